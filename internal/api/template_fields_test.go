package api

import (
	"reflect"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// TestTemplateFields: whatever a template can say is read, patched, shown and sorted by the one table. A field that is
// added to the model and forgotten in the table changes no document and fails here.
func TestTemplateFields(t *testing.T) {
	empty := templateDocument(&magnum.ClusterTemplate{})
	seen := map[string]bool{}
	model := reflect.TypeFor[magnum.TemplateFields]()
	for i := range model.NumField() {
		name := model.Field(i).Name
		if name == "ProjectID" || name == "UserID" {
			continue // the service sets them
		}
		var changed magnum.ClusterTemplate
		switch v := reflect.ValueOf(&changed.TemplateFields).Elem().Field(i); v.Kind() {
		case reflect.String:
			v.SetString("x")
		case reflect.Int:
			v.SetInt(2000)
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Map:
			v.Set(reflect.ValueOf(map[string]string{"a": "b"}))
		default:
			t.Fatalf("%s: the test does not know %s", name, v.Kind())
		}
		doc := templateDocument(&changed)
		attributes := doc.changed(empty)
		if len(attributes) != 1 || seen[attributes[0]] {
			t.Errorf("%s changes the attributes %v, want one that no other field has", name, attributes)
			continue
		}
		seen[attributes[0]] = true
		if attributes[0] == "coe" || attributes[0] == "server_type" {
			continue // enumerations
		}
		doc["image_id"], doc["coe"] = "x", "kubernetes"
		if attributes[0] == "dns_nameserver" {
			doc["dns_nameserver"] = "8.8.8.8"
		}
		delete(doc, "server_type")
		f := doc.fields("cluster_template", 512)
		read := f.template()
		if err := f.done(); err != nil {
			t.Errorf("%s: what is shown cannot be read: %v", name, err)
		}
		if back := templateDocument(&read); !reflect.DeepEqual(back[attributes[0]], doc[attributes[0]]) {
			t.Errorf("%s: shown as %v, read as %v", attributes[0], doc[attributes[0]], back[attributes[0]])
		}
		order := templateOrder(attributes[0])[attributes[0]]
		if order == nil && attributes[0] != "labels" || order != nil && order(&magnum.ClusterTemplate{}, &changed) >= 0 {
			t.Errorf("lists are not sorted by %s", attributes[0])
		}
	}
	if len(seen) != len(templateFields()) {
		t.Errorf("the table has %d attributes, the model %d", len(templateFields()), len(seen))
	}
}
