package workload_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/kube/kubetest"
	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

// TestDeprecatedAPIs reads what an API server of 1.29 showed after somebody had listed flow schemas of v1beta2,
// shortened.
func TestDeprecatedAPIs(t *testing.T) {
	const metrics = `# TYPE apiserver_request_total counter
apiserver_request_total{code="200",component="apiserver",group="batch",resource="jobs",verb="LIST",version="v1"} 7
apiserver_requested_deprecated_apis{group="flowcontrol.apiserver.k8s.io",removed_release="1.29",resource="flowschemas",subresource="",version="v1beta2"} 1
apiserver_requested_deprecated_apis{group="flowcontrol.apiserver.k8s.io",removed_release="1.29",resource="flowschemas",subresource="status",version="v1beta2"} 1
apiserver_requested_deprecated_apis{group="",removed_release="",resource="componentstatuses",subresource="",version="v1"} 1
`
	c := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			t.Errorf("%s was asked for", r.URL.Path)
		}
		_, _ = fmt.Fprint(w, metrics)
	}))
	got, err := c.DeprecatedAPIs(t.Context())
	want := []workload.DeprecatedAPI{
		{Version: "v1", Resource: "componentstatuses"},
		{Group: "flowcontrol.apiserver.k8s.io", Version: "v1beta2", Resource: "flowschemas", Removed: "1.29"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	for status, fails := range map[int]bool{http.StatusNotFound: false, http.StatusForbidden: true, http.StatusInternalServerError: true} {
		c := open(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		if got, err := c.DeprecatedAPIs(t.Context()); (err != nil) != fails || len(got) > 0 {
			t.Errorf("%d: %v, %v", status, got, err)
		}
	}
}

// TestWhatATenantMayShow: a cluster's owner may have put anything in place of its API server. What is read of it stays
// small, is soon done with, and has no text that is no name.
func TestWhatATenantMayShow(t *testing.T) {
	c := open(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		line := func(resource string) {
			_, _ = fmt.Fprintf(w, "apiserver_requested_deprecated_apis{group=\"a\",removed_release=\"1.35\",resource=\"%s\",version=\"v1\"} 1\n", resource)
		}
		line("one\x1b[2Jtwo")
		line(strings.Repeat("x", 1<<19))
		for i := range 150_000 {
			line(fmt.Sprint("r", i))
		}
	}))
	apis, err := c.DeprecatedAPIs(t.Context())
	if err != nil || len(apis) != 1000 {
		t.Errorf("%d APIs, %v", len(apis), err)
	}
	for _, a := range apis {
		if len(a.String()) > 20 || strings.Contains(a.String(), "\x1b") {
			t.Errorf("%.40q is no name", a.String())
		}
	}
}

// TestNobodyIsSentOn: an API server that answers with another address is not followed there: it could be one that only
// we can reach.
func TestNobodyIsSentOn(t *testing.T) {
	asked := make(chan string, 10)
	inner := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	defer inner.Close()
	c := open(t, http.RedirectHandler(inner.URL+"/inner", http.StatusFound))
	if _, err := c.DeprecatedAPIs(t.Context()); err == nil {
		t.Error("what it is sent to is taken for metrics")
	}
	if _, err := c.Get(t.Context(), configMaps(), "default", "x"); err == nil {
		t.Error("what it is sent to is taken for kinds")
	}
	select {
	case path := <-asked:
		t.Errorf("%s was asked for where nobody but us comes", path)
	default:
	}
}

// TestDeprecatedAPIsOfARealServer: the metric has the name and the labels that are read, and is there only after
// somebody has asked.
func TestDeprecatedAPIsOfARealServer(t *testing.T) {
	m := kubetest.Start(t, kubetest.Options{})
	version := func(name string, deprecated bool) apiextensionsv1.CustomResourceDefinitionVersion {
		return apiextensionsv1.CustomResourceDefinitionVersion{
			Name: name, Served: true, Storage: !deprecated, Deprecated: deprecated,
			Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object"}},
		}
	}
	old := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "wheels.cart.example.com"}}
	old.Spec.Group, old.Spec.Scope = "cart.example.com", apiextensionsv1.NamespaceScoped
	old.Spec.Names = apiextensionsv1.CustomResourceDefinitionNames{Plural: "wheels", Singular: "wheel", Kind: "Wheel", ListKind: "WheelList"}
	old.Spec.Versions = []apiextensionsv1.CustomResourceDefinitionVersion{version("v1", false), version("v1beta1", true)}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(old)
	if err != nil {
		t.Fatal(err)
	}
	crd := unstructuredOf(content, "apiextensions.k8s.io/v1", "CustomResourceDefinition")
	if err := m.Client.Create(t.Context(), crd, client.FieldOwner("test")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(m.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	c, err := workload.Open(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	kind := schema.GroupVersionKind{Group: "cart.example.com", Version: "v1beta1", Kind: "Wheel"}
	if apis, err := c.DeprecatedAPIs(t.Context()); err != nil || has(apis, kind.Group) {
		t.Fatalf("nobody has asked yet: %v, %v", apis, err)
	}
	for range 50 {
		if _, err := c.Get(t.Context(), kind, "default", "x"); err != nil {
			t.Fatal(err)
		}
		apis, err := c.DeprecatedAPIs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if has(apis, kind.Group) {
			return
		}
		c.Forget()
	}
	t.Error("the API server does not show that a deprecated API is in use")
}

func has(apis []workload.DeprecatedAPI, group string) bool {
	for _, a := range apis {
		if a == (workload.DeprecatedAPI{Group: group, Version: "v1beta1", Resource: "wheels"}) {
			return true
		}
	}
	return false
}

func unstructuredOf(content map[string]any, version, kind string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: content}
	u.SetAPIVersion(version)
	u.SetKind(kind)
	return u
}
