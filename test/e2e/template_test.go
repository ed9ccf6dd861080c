package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Templates live without clusters; the client is all that is needed.
func TestTemplatesWithTheClient(t *testing.T) {
	t.Parallel()
	all := shared(t)
	demo, user := all.client("demo"), all.as(t, "demo")
	said := strings.Fields(demo.says(t, "coe", "cluster", "template", "create", "plan", "--coe", "kubernetes", "--image", "ubuntu-2204-kube-v1.34.2",
		"--external-network", "public", "--flavor", "m1.small", "--master-flavor", "m1.medium", "--network-driver", "calico",
		"--master-lb-enabled", "--labels", "kube_tag=v1.34.2,boot_volume_size=20", "-f", "value", "-c", "uuid"))
	uuid := said[len(said)-1] // the last word after "Request to create ..."

	var list []object
	demo.shows(t, &list, "coe", "cluster", "template", "list")
	if !slices.ContainsFunc(list, func(o object) bool { return o["uuid"] == uuid && o["name"] == "plan" }) {
		t.Errorf("the new template %q is not in the list: %v", uuid, list)
	}
	check := func(ident string, want object) {
		t.Helper()
		var shown object
		demo.shows(t, &shown, "coe", "cluster", "template", "show", ident)
		for k, v := range want {
			if shown[k] != v {
				t.Errorf("%s of template %s is %v, want %v", k, ident, shown[k], v)
			}
		}
		if l, _ := shown["labels"].(object); l["kube_tag"] != "v1.34.2" || l["boot_volume_size"] != "20" {
			t.Errorf("labels of template %s are %v", ident, shown["labels"])
		}
	}
	check("plan", object{
		"uuid": uuid, "coe": "kubernetes", "image_id": "ubuntu-2204-kube-v1.34.2", "flavor_id": "m1.small", "master_flavor_id": "m1.medium",
		"network_driver": "calico", "cluster_distro": "ubuntu", "master_lb_enabled": true, "floating_ip_enabled": true, "public": false,
	})
	demo.says(t, "coe", "cluster", "template", "update", "plan", "replace", "name=plan-b", "flavor_id=m1.large")
	check(uuid, object{"name": "plan-b", "flavor_id": "m1.large", "master_flavor_id": "m1.medium"})

	t.Log("what a cluster uses stays")
	cluster := user.start(t, "planned", uuid, object{"labels": object{"kube_tag": "v1.34.2"}})
	demo.refused(t, "is referenced by one or multiple clusters", "coe", "cluster", "template", "delete", "plan-b")
	if a := user.ask(t, latest, "PATCH", "/clustertemplates/plan-b", []object{{"op": "replace", "path": "/flavor_id", "value": "m1.tiny"}}); a.status != 400 {
		t.Errorf("patch of a template in use: %d %s", a.status, a.body)
	}
	user.want(t, http.StatusNoContent, "DELETE", "/clusters/"+cluster, nil, nil)
	user.gone(t, cluster)
	demo.says(t, "coe", "cluster", "template", "delete", "plan-b")
	demo.refused(t, "could not be found", "coe", "cluster", "template", "show", uuid)
}

// A template that only admins may publish is everybody's to use.
func TestPublicTemplate(t *testing.T) {
	t.Parallel()
	all := shared(t)
	admin, other := all.as(t, "admin"), all.as(t, "other")
	uuid := admin.template(t, "for-all", "v1.34.2", object{"public": true})
	other.want(t, http.StatusOK, "GET", "/clustertemplates/"+uuid, nil, nil)
	if a := other.ask(t, latest, "DELETE", "/clustertemplates/"+uuid, nil); a.status != http.StatusNotFound && a.status != http.StatusForbidden {
		t.Errorf("another project deletes a public template: %d", a.status)
	}
	if a := other.ask(t, latest, "POST", "/clustertemplates", object{
		"coe": "kubernetes", "image_id": "ubuntu-2204-kube-v1.34.2", "external_network_id": "public", "public": true,
	}); a.status != http.StatusForbidden {
		t.Errorf("a member publishes a template: %d %s", a.status, a.body)
	}
	admin.want(t, http.StatusNoContent, "DELETE", "/clustertemplates/"+uuid, nil, nil)
}
