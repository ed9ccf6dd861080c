package kubeadm_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
)

// TestEvict asks a server that keeps pods of a node; the client is the one that deployments use.
func TestEvict(t *testing.T) {
	pod := func(name string, change func(*corev1.Pod)) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: corev1.PodSpec{NodeName: "a"}}
		change(&p)
		return p
	}
	pods := []corev1.Pod{
		pod("web", func(*corev1.Pod) {}),
		pod("static", func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }),
		pod("agent", func(p *corev1.Pod) { p.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet"}} }),
		pod("done", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
	}
	var evicted []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		var answer any
		switch {
		case r.URL.Path == "/api":
			answer = metav1.APIVersions{Versions: []string{"v1"}}
		case r.URL.Path == "/apis":
			answer = metav1.APIGroupList{}
		case r.URL.Path == "/api/v1":
			answer = metav1.APIResourceList{GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "pods", Namespaced: true, Kind: "Pod"}}}
		case r.Method == http.MethodGet && r.URL.Path == "/api/v1/pods" && r.URL.Query().Get("fieldSelector") == "spec.nodeName=a":
			answer = corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: pods}
		case r.Method == http.MethodPost && r.URL.Path == "/api/v1/namespaces/default/pods/web/eviction":
			body, _ := io.ReadAll(r.Body) // of the client under test
			var e struct{ Kind, APIVersion string }
			_ = json.Unmarshal(body, &e) // an empty kind is seen below
			evicted = append(evicted, e.APIVersion+" "+e.Kind)
			pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool { return p.Name == "web" })
			answer = metav1.Status{Status: metav1.StatusSuccess}
		default:
			w.WriteHeader(http.StatusNotFound)
		}
		_ = json.NewEncoder(w).Encode(answer) // the client says if it is broken
	}))
	defer server.Close()
	scheme, err := site.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if done, why := kubeadm.Evict(ctx, c, "a"); done || why != "pods are still there: web" {
		t.Errorf("first: %v, %s", done, why)
	}
	if done, why := kubeadm.Evict(ctx, c, "a"); !done {
		t.Errorf("second: %s", why)
	}
	if diff := cmp.Diff([]string{"policy/v1 Eviction"}, evicted); diff != "" {
		t.Error(diff)
	}
}
