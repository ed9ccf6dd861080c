package capi_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/kube/kubetest"
)

// TestRenderedObjects builds every cluster on every infrastructure as the topology controller would, and holds each
// object against the schema of its CRD, rules included.
func TestRenderedObjects(t *testing.T) {
	for _, tc := range []struct {
		name  string
		infra capi.Infrastructure
		crds  []string
	}{
		{"openstack", capi.OpenStack(), []string{kubetest.ClusterAPIModule, kubetest.OpenStackModule}},
		{"inmemory", capi.InMemory(0), []string{kubetest.ClusterAPIModule, kubetest.InMemoryModule}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			crds := schemas{}
			for _, m := range tc.crds {
				crds.load(t, moduleDir(t, m))
			}
			class := capi.ClusterClass(tc.infra)
			r := newRenderer(t, class)
			for _, o := range class.Objects {
				crds.check(t, o)
			}
			for name, c := range clusters() {
				renderOne(t, r, crds, class, tc.name+"-"+name, c.change, c.opts, nil)
			}
			renderOne(t, r, crds, class, tc.name+"-rotation", clusters()["one-master"].change, capi.Options{}, &capi.Rotation{
				ControlPlane: "3.1", Workers: "2.3", Signer: "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
			})
			for _, p := range r.class.Spec.Patches {
				if !r.enabled[p.Name] {
					t.Errorf("patch %s is never applied by a test", p.Name)
				}
			}
		})
	}
}

// TestNoRuleTwice: CAPO opens the ports of Services to the subnet that it makes by itself, and Neutron refuses the same
// rule a second time, for ever. The default is the nodes' own network, and an owner may name it beside others.
func TestNoRuleTwice(t *testing.T) {
	class := capi.ClusterClass(capi.OpenStack())
	r := newRenderer(t, class)
	for _, is := range []struct {
		cidrs, network, provider  string
		workers, controlPlaneOnly []string
		reason                    string
	}{
		{"", "", "", nil, []string{"10.0.0.0/24"}, "the default: load balancers send from the nodes' network"},
		{"10.0.0.0/24,192.0.2.0/24", "", "", []string{"192.0.2.0/24"}, []string{"10.0.0.0/24"}, "named by the owner"},
		{"192.0.2.0/24", "", "", []string{"192.0.2.0/24"}, nil, "somebody else"},
		{"0.0.0.0/0", "", "", []string{"0.0.0.0/0"}, nil, "everybody"},
		{"10.0.0.0/24", "5f1e4c0a-0000-4000-8000-000000000001", "", []string{"10.0.0.0/24"}, nil, "the network is another one, of whatever addresses"},
		{"", "5f1e4c0a-0000-4000-8000-000000000001", "", []string{"0.0.0.0/0"}, nil, "the default where nobody knows the network's addresses"},
		{"", "", "ovn", []string{"0.0.0.0/0"}, nil, "the default where load balancers keep clients' addresses"},
	} {
		c, groups := aCluster()
		c.Resolved.FixedNetworkID = is.network
		if is.cidrs != "" {
			c.Labels = maps.Clone(c.Labels)
			if c.Labels == nil {
				c.Labels = map[string]string{}
			}
			c.Labels["node_port_allowed_cidrs"] = is.cidrs
		}
		if is.provider != "" {
			c.Labels["octavia_provider"] = is.provider
		}
		wanted, err := capi.Cluster(c, groups, capi.Options{Class: class.Name})
		if err != nil || len(wanted.Faults) > 0 {
			t.Fatal(err, wanted.Faults)
		}
		for _, o := range r.cluster(t, wanted.Cluster) {
			if o.Object.GetKind() != "OpenStackCluster" {
				continue
			}
			prefixes := func(field string) (out []string) {
				rules, _, _ := unstructured.NestedSlice(o.Object.Object, "spec", "managedSecurityGroups", field)
				for _, rule := range rules {
					m := rule.(map[string]any) //nolint:forcetypeassert // rendered
					if m["remoteIPPrefix"] != "0.0.0.0/0" && m["description"] != "Node Port Services" {
						t.Errorf("%s: the rule's description is not CAPO's: %v", is.reason, m)
					}
					out = append(out, m["remoteIPPrefix"].(string)) //nolint:forcetypeassert // rendered
				}
				return slices.Compact(out) // UDP and TCP
			}
			if got := prefixes("allNodesSecurityGroupRules"); !slices.Equal(got, is.workers) {
				t.Errorf("all nodes let %v in, want %v: %s", got, is.workers, is.reason)
			}
			if got := prefixes("controlPlaneNodesSecurityGroupRules"); !slices.Equal(got, is.controlPlaneOnly) {
				t.Errorf("the control plane lets %v in, want %v: %s", got, is.controlPlaneOnly, is.reason)
			}
		}
	}
}

func renderOne(t *testing.T, r *renderer, crds schemas, class capi.Class, name string, change changer, opts capi.Options, rotation *capi.Rotation) {
	t.Helper()
	c, groups := aCluster()
	groups = change(c, groups)
	opts.Class = class.Name
	wanted, err := capi.Cluster(c, groups, opts)
	if err != nil || len(wanted.Faults) > 0 {
		t.Fatal(err, wanted.Faults)
	}
	if rotation != nil {
		capi.Apply(wanted.Cluster, capi.Plan(wanted.Cluster, wanted.Cluster.DeepCopy(), capi.Request{Rotation: rotation}))
		if diff := cmp.Diff(*rotation, capi.RotationOf(wanted.Cluster)); diff != "" {
			t.Errorf("what is asked for is not what was said: %s", diff)
		}
	}
	cluster := wanted.Cluster
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(cluster)
	if err != nil {
		t.Fatal(err)
	}
	crds.check(t, &unstructured.Unstructured{Object: object})
	checkVariables(t, r.class, cluster)
	var out []any
	for _, o := range r.cluster(t, cluster) {
		crds.check(t, o.Object)
		out = append(out, map[string]any{"for": o.For, "kind": o.Object.GetKind(), "spec": o.Object.Object["spec"]})
	}
	if strings.HasPrefix(name, "openstack-") || name == "inmemory-one-master" {
		golden(t, "rendered-"+name, out...)
	}
}

// schemas are CRDs by "group/version kind".
type schemas map[string]*schemaOf

type schemaOf struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
	rules      *cel.Validator
}

func (s schemas) load(t *testing.T, dir string) {
	t.Helper()
	var files []string
	for _, glob := range []string{"*/config/crd/bases/*.yaml", "*/*/config/crd/bases/*.yaml", "config/crd/bases/*.yaml", "infrastructure/docker/config/crd/bases/*.yaml"} {
		found, err := filepath.Glob(filepath.Join(dir, glob))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Fatalf("no CRDs in %s", dir)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(b, crd); err != nil {
			t.Fatal(err)
		}
		for _, v := range crd.Spec.Versions {
			if kind := crd.Spec.Names.Kind; wanted(kind) && v.Served {
				s[crd.Spec.Group+"/"+v.Name+" "+kind] = compile(t, v.Schema.OpenAPIV3Schema)
			}
		}
	}
}

func wanted(kind string) bool {
	return kind == "Cluster" || kind == "ClusterClass" || strings.HasSuffix(kind, "Template")
}

func compile(t *testing.T, props *apiextensionsv1.JSONSchemaProps) *schemaOf {
	t.Helper()
	internal := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, internal, nil); err != nil {
		t.Fatal(err)
	}
	structural, err := schema.NewStructural(internal)
	if err != nil {
		t.Fatal(err)
	}
	validator, _, err := validation.NewSchemaValidator(internal)
	if err != nil {
		t.Fatal(err)
	}
	return &schemaOf{structural, validator, cel.NewValidator(structural, true, 1<<30)}
}

func (s schemas) check(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	id := o.GetAPIVersion() + " " + o.GetKind()
	crd, ok := s[id]
	if !ok {
		t.Errorf("no CRD for %s", id)
		return
	}
	content := o.DeepCopy().Object
	for _, f := range pruning.PruneWithOptions(content, crd.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		t.Errorf("%s %s: unknown field %s", id, o.GetName(), f)
	}
	crd.report(t, id+" "+o.GetName(), content)
}

func (s *schemaOf) report(t *testing.T, what string, content any) {
	t.Helper()
	defaulting.Default(content, s.structural)
	errs := validation.ValidateCustomResource(nil, content, s.validator)
	if m, ok := content.(map[string]any); ok {
		errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, m)...)
	}
	if s.rules != nil {
		rules, _ := s.rules.Validate(context.Background(), field.NewPath(""), s.structural, content, nil, 1<<30)
		errs = append(errs, rules...)
	}
	for _, err := range errs {
		t.Errorf("%s: %v", what, err)
	}
}

// checkVariables holds a cluster's variables against the class's schemas, as Cluster API's webhook does.
func checkVariables(t *testing.T, class *clusterv1.ClusterClass, c *clusterv1.Cluster) {
	t.Helper()
	defs := map[string]clusterv1.ClusterClassVariable{}
	given := map[string]bool{}
	for _, d := range class.Spec.Variables {
		defs[d.Name] = d
	}
	check := func(vs []clusterv1.ClusterVariable) {
		for _, v := range vs {
			given[v.Name] = true
			b, err := json.Marshal(defs[v.Name].Schema.OpenAPIV3Schema)
			if err != nil {
				t.Fatal(err)
			}
			props := &apiextensionsv1.JSONSchemaProps{}
			if err := json.Unmarshal(b, props); err != nil {
				t.Fatal(err)
			}
			if _, ok := defs[v.Name]; !ok {
				t.Errorf("variable %s is not in the class", v.Name)
				continue
			}
			compile(t, props).report(t, "variable "+v.Name, decode(t, v.Value.Raw))
		}
	}
	check(c.Spec.Topology.Variables)
	for name, d := range defs {
		if d.Required != nil && *d.Required && !given[name] {
			t.Errorf("variable %s is required", name)
		}
	}
	for _, md := range c.Spec.Topology.Workers.MachineDeployments {
		check(md.Variables.Overrides)
	}
}

func moduleDir(t *testing.T, module string) string {
	t.Helper()
	dir, err := kubetest.ModuleDir(t.Context(), module)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
