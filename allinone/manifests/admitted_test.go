package manifests

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/jeroboam-cloud/jeroboam/allinone/etcd"
	"github.com/jeroboam-cloud/jeroboam/allinone/workload"
	"github.com/jeroboam-cloud/jeroboam/internal/addon"
	client "github.com/jeroboam-cloud/jeroboam/internal/workload"
)

// Every object of every addon of the catalogue is taken by Kubernetes' own handlers, also of those addons whose images
// cannot be made here, and a second time without a change.
func TestEveryAddonIsAdmitted(t *testing.T) {
	e := &etcd.Server{Dir: t.TempDir(), Log: io.Discard}
	if err := e.Start(t.Context(), func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
	s, err := workload.New(workload.Options{Etcd: e.Endpoint(), Version: func(context.Context, string) string { return "v1.36.4" }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	c := theCatalogue(t)
	for _, driver := range []string{addon.Calico, addon.Cilium} {
		t.Run(driver, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s.ServeHTTP(w, workload.Identify(r, "ns/"+driver, "admin"))
			}))
			defer srv.Close()
			names, err := kubernetes.NewForConfig(&rest.Config{Host: srv.URL})
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"default", addon.Namespace, "magnum-system"} {
				if _, err := names.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			cluster, err := client.Open(fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}],
				clusters: [{name: c, cluster: {server: %q}}]}`, srv.URL), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			in := everything(driver, map[string]string{"manila_csi_share_network_id": "7f3c9d9e-4b1c-4a43-9d6a-333333333333"})
			for _, r := range c.Releases(in) {
				if r.Home {
					r.Objects = append(r.Objects, addon.AutoscalerRole(in, addon.Scaled{Deployments: []string{"md"}, Machines: []string{"m"}, Templates: []string{"t"}}))
				}
				if r.Skipped == "" && len(r.Objects) == 0 || r.Problem != "" {
					t.Errorf("%s has no objects: %s", r.Name, r.Problem)
				}
				for _, u := range r.Objects {
					first, err := cluster.Apply(t.Context(), u, "test")
					if err != nil {
						t.Errorf("%s: %v", r.Name, err)
						continue
					}
					if u.GetKind() == "CustomResourceDefinition" {
						cluster.Forget()
					}
					if again, err := cluster.Apply(t.Context(), u, "test"); err != nil || again.GetResourceVersion() != first.GetResourceVersion() {
						t.Errorf("%s: %s %s is written again: %v", r.Name, u.GetKind(), u.GetName(), err)
					}
				}
			}
		})
	}
}
