package workload

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

func boats() *apiextensionsv1.CustomResourceDefinition {
	object, integer := apiextensionsv1.JSONSchemaProps{Type: "object"}, apiextensionsv1.JSONSchemaProps{Type: "integer"}
	spec, all := object, object
	spec.Properties = map[string]apiextensionsv1.JSONSchemaProps{"masts": integer, "crew": integer}
	all.Properties = map[string]apiextensionsv1.JSONSchemaProps{"spec": spec}
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "boats.example.com"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "example.com", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "boats", Singular: "boat", Kind: "Boat", ListKind: "BoatList", ShortNames: []string{"bo"}},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true, Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &all},
				Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
			}},
		},
	}
}

func boatKind() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "boats"}
}

func boat(masts any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Boat", "metadata": map[string]any{"name": "b", "namespace": "default", "labels": map[string]any{"rig": "gaff"}},
		"spec": map[string]any{"masts": masts},
	}}
}

func define(t *testing.T, cfg *rest.Config) {
	t.Helper()
	c, err := apiextensionsclient.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	made, err := c.ApiextensionsV1().CustomResourceDefinitions().Create(t.Context(), boats(), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	established := func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
	}
	if !slices.ContainsFunc(made.Status.Conditions, established) {
		t.Errorf("not established: %+v", made.Status)
	}
}

// kinds are what discovery says of our group, asked the new way and the old.
func kinds(t *testing.T, cfg *rest.Config, legacy bool) (all []string) {
	t.Helper()
	d, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.UseLegacyDiscovery = legacy
	groups, lists, err := d.ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	if len(groups) < 15 {
		t.Errorf("only %d groups", len(groups))
	}
	for _, list := range lists {
		for _, r := range list.APIResources {
			if list.GroupVersion == "example.com/v1" {
				all = append(all, r.Name+" "+r.Kind+" "+strings.Join(r.ShortNames, ","))
			}
		}
	}
	slices.Sort(all)
	return all
}

func TestCustomResources(t *testing.T) {
	s := newServer(t, startEtcd(t))
	cfg, other := serve(t, s, "ns/a"), serve(t, s, "ns/b")
	for _, legacy := range []bool{false, true} {
		if got := kinds(t, cfg, legacy); got != nil {
			t.Errorf("before it is defined: %v", got)
		}
	}
	define(t, cfg)
	for _, legacy := range []bool{false, true} {
		if diff := cmp.Diff([]string{"boats Boat bo", "boats/status Boat "}, kinds(t, cfg, legacy)); diff != "" {
			t.Errorf("legacy %v (-want +got):\n%s", legacy, diff)
		}
		if got := kinds(t, other, legacy); got != nil {
			t.Errorf("in the other cluster: %v", got)
		}
	}
	here, there := dynamic.NewForConfigOrDie(cfg).Resource(boatKind()).Namespace("default"), dynamic.NewForConfigOrDie(other).Resource(boatKind()).Namespace("default")
	apply := metav1.ApplyOptions{FieldManager: "one"}
	if _, err := there.Apply(t.Context(), "b", boat(int64(2)), apply); !apierrors.IsNotFound(err) {
		t.Errorf("a kind that the other cluster does not have: %v", err)
	}
	if _, err := here.Create(t.Context(), boat("two"), metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a mast is a number: %v", err)
	}
	if _, err := here.Apply(t.Context(), "b", boat(int64(2)), apply); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Apply(t.Context(), "b", boat(int64(3)), metav1.ApplyOptions{FieldManager: "two"}); !apierrors.IsConflict(err) {
		t.Errorf("another's masts: %v", err)
	}
	list, err := metadata.NewForConfigOrDie(cfg).Resource(boatKind()).List(t.Context(), metav1.ListOptions{LabelSelector: "rig=gaff"})
	if err != nil || len(list.Items) != 1 || list.Items[0].Name != "b" {
		t.Errorf("metadata: %v, %v", list, err)
	}
	w, err := here.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if e := <-w.ResultChan(); e.Object.(*unstructured.Unstructured).GetName() != "b" {
		t.Errorf("%v", e)
	}
}

// Clusters with the same definition share what serves it, and keep their objects apart.
func TestSharedDefinition(t *testing.T) {
	s := newServer(t, startEtcd(t))
	for i, cluster := range []string{"ns/a", "ns/b"} {
		cfg := serve(t, s, cluster)
		define(t, cfg)
		c := dynamic.NewForConfigOrDie(cfg).Resource(boatKind()).Namespace("default")
		if _, err := c.Create(t.Context(), boat(int64(i)), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		got, err := c.List(t.Context(), metav1.ListOptions{})
		if err != nil || len(got.Items) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		if masts, _, _ := unstructured.NestedInt64(got.Items[0].Object, "spec", "masts"); masts != int64(i) {
			t.Errorf("%s: %d masts", cluster, masts)
		}
	}
	if n := len(s.custom.known); n != 1 {
		t.Errorf("%d definitions, want one", n)
	}
	for _, cluster := range []string{"ns/a", "ns/b"} {
		if err := s.Drop(t.Context(), cluster); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.custom.known); n != 0 {
		t.Errorf("%d definitions after their clusters are gone", n)
	}
}
