package workload

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/jeroboam-cloud/jeroboam/allinone/etcd"
)

func newServer(t *testing.T) *Server {
	t.Helper()
	e := &etcd.Server{Dir: t.TempDir(), Log: io.Discard}
	if err := e.Start(t.Context(), func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
	s, err := New(Options{Etcd: e.Endpoint(), Version: func(context.Context, string) string { return "v1.34.2" }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestX(t *testing.T) {
	s := newServer(t)
	c, err := kubernetes.NewForConfig(s.Client("ns/a", "test"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ServeHTTP(w, Identify(r, "ns/a", "admin")) }))
	defer srv.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "x.yaml")
	for _, f := range []string{"/root/go/pkg/mod/sigs.k8s.io/cluster-api-provider-openstack@v0.13.0/test/e2e/data/cni/calico.yaml"} {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Log(err)
			continue
		}
		_ = os.WriteFile(file, b, 0o600)
	}
	for _, args := range [][]string{
		{"version"}, {"get", "ns"}, {"api-resources"}, {"get", "pods", "-A"}, {"create", "ns", "kube-system"}, {"apply", "--server-side", "-f", file}, {"get", "ds,deploy,crd", "-A"}, {"get", "ippools"}, {"apply", "--server-side", "-f", file},
		{"get", "ds", "-n", "kube-system", "-o", "yaml", "--show-managed-fields"},
	} {
		cmd := exec.CommandContext(t.Context(), "kubectl", append([]string{"--server", srv.URL}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+dir)
		out, err := cmd.CombinedOutput()
		t.Logf("%v %v\n%s", args, err, out)
	}
}
