package management_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	infrav1 "sigs.k8s.io/cluster-api/test/infrastructure/docker/api/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// patience is long: the machine of a test is busy.
const patience = 4 * time.Minute

// TestClusters is the life of two clusters over a power cut.
func TestClusters(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a management cluster")
	}
	dir := t.TempDir()
	p := start(t, dir, "--controllers", "clusterapi", "--workload-ports", "23000-23999")
	apply(t, p.client, "testdata/clusterclass.yaml")
	begin := time.Now()
	create(t, p.client, "one", 1, map[string]int32{"workers": 2})
	create(t, p.client, "two", 1, map[string]int32{"workers": 1, "broken": 1})

	eventually(t, patience, func() string { return available(p.client, "one") })
	t.Logf("a cluster of three machines was available after %.1f s", time.Since(begin).Seconds())
	eventually(t, patience, func() string { return failed(p.client, "two", noHost) })
	one, two := workload(t, p.client, "one"), workload(t, p.client, "two")
	eventually(t, patience, func() string { return nodes(one, 3) })
	eventually(t, patience, func() string { return nodes(two, 2) })

	t.Run("strangers", func(t *testing.T) { strangersAreRefused(t, one, two) })

	before := machines(t, p.client)
	p.kill()
	p = start(t, dir, "--controllers", "clusterapi", "--workload-ports", "23000-23999")
	create(t, p.client, "three", 3, nil)
	for _, cfg := range []*rest.Config{one, two} {
		if got := nodes(cfg, 2); strings.HasPrefix(got, "error") {
			t.Errorf("the kubeconfig from before the power cut: %s", got)
		}
	}
	eventually(t, patience, func() string { return nodes(one, 3) + available(p.client, "one") })
	eventually(t, patience, func() string { return available(p.client, "three") })
	distinctPorts(t, p.client, 3)
	if diff := cmp.Diff(before, machines(t, p.client)); diff != "" {
		t.Errorf("machines of before the power cut were replaced (-before +after):\n%s", diff)
	}

	// A failed machine can be deleted, and a cluster leaves nothing.
	two2 := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "two"}}
	if err := p.client.Delete(t.Context(), two2); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, func() string { return gone(p.client, "two") })

	begin = time.Now()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("a clean stop: %v\n%s", err, p.stderr)
	}
	t.Logf("stopped after %.1f s", time.Since(begin).Seconds())
}

func TestLockedDirectory(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a management cluster")
	}
	p := start(t, t.TempDir())
	second := exec.Command(p.cmd.Path, p.cmd.Args[1:]...)
	second.Env = p.cmd.Env
	out, err := second.CombinedOutput()
	if err == nil || !strings.Contains(string(out), fmt.Sprintf("in use by process %d", p.cmd.Process.Pid)) {
		t.Errorf("a second process in the same directory: %v\n%s", err, out)
	}
}

func apply(t *testing.T, c client.Client, file string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for d := utilyaml.NewYAMLOrJSONDecoder(f, 4096); ; {
		o := &unstructured.Unstructured{}
		if err := d.Decode(o); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatalf("create %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
}

func create(t *testing.T, c client.Client, name string, controlPlane int32, workers map[string]int32) {
	t.Helper()
	cluster := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	topology := &cluster.Spec.Topology
	topology.ClassRef.Name, topology.Version = "small", "v1.33.0"
	topology.ControlPlane.Replicas = ptr.To(controlPlane)
	for class, n := range workers {
		topology.Workers.MachineDeployments = append(topology.Workers.MachineDeployments,
			clusterv1.MachineDeploymentTopology{Class: class, Name: class, Replicas: ptr.To(n)})
	}
	if err := c.Create(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
}

func available(c client.Client, name string) string {
	cluster := &clusterv1.Cluster{}
	if err := c.Get(context.Background(), client.ObjectKey{Namespace: "default", Name: name}, cluster); err != nil {
		return err.Error()
	}
	if conditions.IsTrue(cluster, clusterv1.ClusterAvailableCondition) {
		return ""
	}
	return fmt.Sprintf("cluster %s: %+v", name, conditions.Get(cluster, clusterv1.ClusterAvailableCondition))
}

// failed wants the scheduler's words on a Machine.
func failed(c client.Client, cluster, words string) string {
	list := &clusterv1.MachineList{}
	if err := c.List(context.Background(), list, client.MatchingLabels{clusterv1.ClusterNameLabel: cluster}); err != nil {
		return err.Error()
	}
	for i := range list.Items {
		if cond := conditions.Get(&list.Items[i], clusterv1.MachineInfrastructureReadyCondition); cond != nil && cond.Message == words {
			return ""
		}
	}
	return "no machine says: " + words
}

// machines are all machines by name, with what would show that one was replaced.
func machines(t *testing.T, c client.Client) map[string]string {
	t.Helper()
	list := &clusterv1.MachineList{}
	if err := c.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, m := range list.Items {
		if m.Labels[clusterv1.ClusterNameLabel] != "three" {
			all[m.Name] = fmt.Sprint(m.UID, " deleted: ", m.DeletionTimestamp)
		}
	}
	return all
}

func distinctPorts(t *testing.T, c client.Client, want int) {
	t.Helper()
	list := &infrav1.DevClusterList{}
	if err := c.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	ports := map[int32]string{}
	for _, d := range list.Items {
		ports[d.Spec.ControlPlaneEndpoint.Port] = d.Name
	}
	if len(ports) != want {
		t.Errorf("want %d clusters on ports of their own, got %v", want, ports)
	}
}

func gone(c client.Client, name string) string {
	for _, list := range []client.ObjectList{&clusterv1.ClusterList{}, &clusterv1.MachineList{}, &infrav1.DevMachineList{}, &infrav1.DevClusterList{}, &corev1.SecretList{}} {
		if err := c.List(context.Background(), list); err != nil {
			return err.Error()
		}
		b, _ := json.Marshal(list)
		if bytes.Contains(b, []byte(`"cluster.x-k8s.io/cluster-name":"`+name+`"`)) {
			return fmt.Sprintf("%T still has objects of %s", list, name)
		}
	}
	err := c.Get(context.Background(), client.ObjectKey{Namespace: "default", Name: name}, &clusterv1.Cluster{})
	if !apierrors.IsNotFound(err) {
		return fmt.Sprint("cluster ", name, ": ", err)
	}
	return ""
}

func workload(t *testing.T, c client.Client, name string) *rest.Config {
	t.Helper()
	s := &corev1.Secret{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name + "-kubeconfig"}, s); err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(s.Data["value"])
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func nodes(cfg *rest.Config, want int) string {
	c, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return "error: " + err.Error()
	}
	list, err := c.CoreV1().Nodes().List(context.Background(), metav1.ListOptions{})
	if err != nil {
		return "error: " + err.Error()
	}
	if len(list.Items) != want {
		return fmt.Sprintf("%d nodes instead of %d", len(list.Items), want)
	}
	return ""
}

func strangersAreRefused(t *testing.T, one, two *rest.Config) {
	t.Helper()
	pair, err := tls.X509KeyPair(one.CertData, one.KeyData)
	if err != nil {
		t.Fatal(err)
	}
	hostOf := func(c *rest.Config) string { return strings.TrimPrefix(c.Host, "https://") }
	cases := map[string]struct {
		to     *rest.Config
		certs  []tls.Certificate
		host   string // header
		status int
	}{
		"own cluster":                    {to: one, certs: []tls.Certificate{pair}, status: http.StatusOK},
		"another cluster":                {to: two, certs: []tls.Certificate{pair}, status: http.StatusUnauthorized},
		"no certificate":                 {to: one, status: http.StatusUnauthorized},
		"another cluster in Host header": {to: one, certs: []tls.Certificate{pair}, host: hostOf(two), status: http.StatusOK},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(tc.to.CAData)
			c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: tc.certs}}}
			defer c.CloseIdleConnections()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tc.to.Host+"/api/v1/nodes", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = tc.host
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != tc.status {
				t.Fatalf("%d %s %v", res.StatusCode, body, err)
			}
			if tc.status == http.StatusOK {
				if !strings.Contains(string(body), `"one-`) || strings.Contains(string(body), `"two-`) {
					t.Errorf("not the nodes of cluster one: %s", body)
				}
				return
			}
			var status metav1.Status
			if err := json.Unmarshal(body, &status); err != nil || !apierrors.IsUnauthorized(&apierrors.StatusError{ErrStatus: status}) {
				t.Errorf("not the answer of an API server: %s", body)
			}
		})
	}
	t.Run("from another host", func(t *testing.T) {
		_, port, _ := net.SplitHostPort(hostOf(one))
		for _, ip := range outsideAddresses(t) {
			conn, err := tls.Dial("tcp", net.JoinHostPort(ip, port), &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}})
			if err == nil {
				_ = conn.Close()
				t.Errorf("%s was let in", ip)
			}
		}
	})
}

func outsideAddresses(t *testing.T) (ips []string) {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			ips = append(ips, n.IP.String())
		}
	}
	return ips
}
