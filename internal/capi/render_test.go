package capi_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/Masterminds/semver/v3"
	jsonpatch "github.com/evanphx/json-patch/v5"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
)

// rendered is what Cluster API's topology controller makes of one template for one cluster.
type rendered struct {
	For    string // "cluster", "control plane" or a machine deployment's name
	Object *unstructured.Unstructured
}

// renderer does what Cluster API 1.14 does with a class's patches (core/reconcilers/topology/cluster/patches/inline),
// with as much of sprig as the class uses. It notes which patches were ever enabled.
type renderer struct {
	class   *clusterv1.ClusterClass
	objects map[string]*unstructured.Unstructured // by kind/name
	enabled map[string]bool
}

func newRenderer(t *testing.T, class capi.Class) *renderer {
	t.Helper()
	r := &renderer{class: &clusterv1.ClusterClass{}, objects: map[string]*unstructured.Unstructured{}, enabled: map[string]bool{}}
	for _, o := range class.Objects {
		r.objects[o.GetKind()+"/"+o.GetName()] = o
	}
	last := class.Objects[len(class.Objects)-1]
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(last.Object, r.class); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *renderer) cluster(t *testing.T, c *clusterv1.Cluster) []rendered {
	t.Helper()
	all := r.variables(t, c)
	spec := r.class.Spec
	out := []rendered{
		r.render(t, "cluster", spec.Infrastructure.TemplateRef, all),
		r.render(t, "control plane", spec.ControlPlane.TemplateRef, all),
		r.render(t, "control plane", spec.ControlPlane.MachineInfrastructure.TemplateRef, all),
	}
	for _, md := range c.Spec.Topology.Workers.MachineDeployments {
		vars := maps.Clone(all)
		for _, o := range md.Variables.Overrides {
			vars[o.Name] = decode(t, o.Value.Raw)
		}
		w := spec.Workers.MachineDeployments[0]
		out = append(out, r.render(t, md.Name, w.Bootstrap.TemplateRef, vars), r.render(t, md.Name, w.Infrastructure.TemplateRef, vars))
	}
	return out
}

// variables are the cluster's, the class's defaults and Cluster API's builtins.
func (r *renderer) variables(t *testing.T, c *clusterv1.Cluster) map[string]any {
	t.Helper()
	vars := map[string]any{"builtin": map[string]any{"cluster": map[string]any{"name": c.Name, "namespace": c.Namespace}}}
	for _, v := range r.class.Spec.Variables {
		if d := v.Schema.OpenAPIV3Schema.Default; d != nil {
			vars[v.Name] = decode(t, d.Raw)
		}
	}
	for _, v := range c.Spec.Topology.Variables {
		vars[v.Name] = decode(t, v.Value.Raw)
	}
	return vars
}

func (r *renderer) render(t *testing.T, whom string, ref clusterv1.ClusterClassTemplateReference, vars map[string]any) rendered {
	t.Helper()
	doc, err := json.Marshal(r.objects[ref.Kind+"/"+ref.Name])
	if err != nil {
		t.Fatal(err)
	}
	vars = maps.Clone(vars)
	if whom == "control plane" { // only its templates know its version
		builtin, _ := vars["builtin"].(map[string]any)
		builtin = maps.Clone(builtin)
		builtin["controlPlane"] = map[string]any{"version": "v1.34.1"}
		vars["builtin"] = builtin
	}
	for _, p := range r.class.Spec.Patches {
		if p.EnabledIf != "" && string(execute(t, p.EnabledIf, vars)) != "true" {
			continue
		}
		for _, d := range p.Definitions {
			if d.Selector.Kind != ref.Kind || d.Selector.APIVersion != ref.APIVersion || !matches(d.Selector.MatchResources, whom) {
				continue
			}
			r.enabled[p.Name] = true
			doc = apply(t, p.Name, d.JSONPatches, vars, doc)
		}
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(doc); err != nil {
		t.Fatal(err)
	}
	return rendered{whom, u}
}

func matches(m clusterv1.PatchSelectorMatch, whom string) bool {
	switch whom {
	case "cluster":
		return m.InfrastructureCluster != nil && *m.InfrastructureCluster
	case "control plane":
		return m.ControlPlane != nil && *m.ControlPlane
	}
	return m.MachineDeploymentClass != nil && slices.Contains(m.MachineDeploymentClass.Names, capi.WorkerClass)
}

func apply(t *testing.T, name string, ops []clusterv1.JSONPatch, vars map[string]any, doc []byte) []byte {
	t.Helper()
	type op struct {
		Op    string          `json:"op"`
		Path  string          `json:"path"`
		Value json.RawMessage `json:"value"`
	}
	var list []op
	for _, o := range ops {
		value := o.Value
		switch {
		case value != nil:
		case o.ValueFrom.Variable != "":
			v, ok := vars[o.ValueFrom.Variable]
			if !ok {
				t.Fatalf("patch %s: variable %s is not set", name, o.ValueFrom.Variable)
			}
			b, _ := json.Marshal(v)
			value = &apiextensionsv1.JSON{Raw: b}
		default:
			value = &apiextensionsv1.JSON{Raw: execute(t, o.ValueFrom.Template, vars)}
		}
		list = append(list, op{o.Op, o.Path, value.Raw})
	}
	b, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(b)
	if err != nil {
		t.Fatalf("patch %s: %v", name, err)
	}
	out, err := patch.Apply(doc)
	if err != nil {
		t.Fatalf("patch %s: %v", name, err)
	}
	return out
}

// execute renders a template and reads what comes out as YAML, into JSON.
func execute(t *testing.T, text string, vars map[string]any) []byte {
	t.Helper()
	tpl, err := template.New("").Funcs(template.FuncMap{
		"toJson": func(v any) string { b, _ := json.Marshal(v); return string(b) },
		"semverCompare": func(constraint, version string) (bool, error) {
			c, err := semver.NewConstraint(constraint)
			if err != nil {
				return false, err
			}
			v, err := semver.NewVersion(version)
			return err == nil && c.Check(v), err
		},
		"hasKey": func(m map[string]any, k string) bool { _, ok := m[k]; return ok },
		"has":    func(needle any, list []any) bool { return slices.Contains(list, needle) },
		"without": func(list []any, omit any) []any {
			return slices.DeleteFunc(slices.Clone(list), func(v any) bool { return v == omit })
		},
		"replace": func(from, to, s string) string { return strings.ReplaceAll(s, from, to) },
	}).Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := tpl.Execute(&b, vars); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "<no value>") {
		t.Fatalf("template %q: a variable is missing: %s", text, b.String())
	}
	out, err := yaml.YAMLToJSON(b.Bytes())
	if err != nil {
		t.Fatalf("template %q gives no YAML: %v\n%s", text, err, b.String())
	}
	return out
}

func decode(t *testing.T, raw []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
