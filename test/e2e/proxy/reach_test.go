package proxy

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy/control"
)

// fleet starts a proxy on each host and ends them with the test.
func fleet(t *testing.T, args ...string) []*host {
	t.Helper()
	for _, h := range theLab.hosts {
		h.run(t, args...)
	}
	t.Cleanup(func() {
		for _, h := range theLab.hosts {
			if t.Failed() {
				status, err := h.admin("/status")
				t.Logf("%s says %s (%v); the end of its log:\n%s", h.name, status, err, tail(filepath.Join(h.lab.dir, h.name+".log")))
			}
			h.stop()
		}
	})
	return theLab.hosts
}

// TestReach: two clusters whose networks use the same address, and one with IPv6, on hosts that have different
// networks.
func TestReach(t *testing.T) {
	hosts := fleet(t)
	a := theLab.cluster(t, "10.0.0.5", hosts...)
	b := theLab.cluster(t, "10.0.0.5", hosts[0], hosts[1])
	six := theLab.cluster(t, "fd00::5", hosts[2])
	theLab.api.published(t, a, hosts...)
	theLab.api.published(t, b, hosts[0], hosts[1])
	theLab.api.published(t, six, hosts[2])
	for _, h := range hosts {
		eventually(t, "a through "+h.name, func() error { return a.ready(h.front()) })
	}
	for _, h := range hosts[:2] {
		eventually(t, "b through "+h.name, func() error { return b.ready(h.front()) })
	}
	eventually(t, "IPv6", func() error { return six.ready(hosts[2].front()) })
	if err := b.ready(hosts[2].front()); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("a host without the network says %v", err)
	}

	t.Run("objects", func(t *testing.T) { objects(t, a, hosts) })
	t.Run("kubectl", func(t *testing.T) { useKubectl(t, a, hosts[0].front()) })
	t.Run("kubeconfig", func(t *testing.T) { keptKubeconfig(t, a) })
	t.Run("status", func(t *testing.T) {
		out := runStatus(t, hosts[2])
		for _, want := range []string{a.stack + " ", "no namespace of network " + b.net.id + " on this host", "10.0.0.5:6443", "[fd00::5]:6443"} {
			if !strings.Contains(out, want) {
				t.Errorf("jeroboam proxy status does not say %q:\n%s", want, out)
			}
		}
	})
	t.Run("strangers", func(t *testing.T) {
		for range 20 {
			if c, err := theLab.dial.Dial(t.Context(), "mgmt", hosts[0].front(), time.Minute); err == nil {
				_, _ = c.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
				_ = c.Close()
			}
			if c, err := theLab.dial.Dial(t.Context(), "mgmt", hosts[0].front(), time.Minute); err == nil {
				_ = tls.Client(c, &tls.Config{ServerName: "no.such.cluster", InsecureSkipVerify: true}).Handshake()
				_ = c.Close()
			}
		}
		eventually(t, "refusals are counted", func() error {
			if n := hosts[0].metric(t, "jeroboam_proxy_refused_total"); n < 40 {
				return fmt.Errorf("%v of 40", n)
			}
			return nil
		})
		if log := tail(filepath.Join(theLab.dir, hosts[0].name+".log")); strings.Contains(log, "no.such.cluster") {
			t.Error("a stranger's words are in the log")
		}
	})
	t.Run("deleted", func(t *testing.T) {
		theLab.api.deleteCluster(t, b.stack)
		theLab.api.published(t, b)
		eventually(t, "the Service goes with the cluster", func() error {
			err := theLab.api.client.Get(t.Context(), client.ObjectKey{Namespace: control.Namespace, Name: b.stack}, &corev1.Service{})
			if err == nil {
				return fmt.Errorf("it is still there")
			}
			return client.IgnoreNotFound(err)
		})
		if err := b.ready(hosts[0].front()); err == nil {
			t.Error("a deleted cluster is still reached")
		}
	})
	t.Run("withdrawn", func(t *testing.T) {
		hosts[1].stop()
		if have := theLab.api.slices(t, a.stack); slices.Contains(have, a.stack+"-"+hosts[1].name) {
			t.Errorf("a host that ended in order left %v", have)
		}
	})
}

func objects(t *testing.T, a *cluster, hosts []*host) {
	t.Helper()
	s := &corev1.Service{}
	eventually(t, "the owner makes the Service", func() error {
		return theLab.api.client.Get(t.Context(), client.ObjectKey{Namespace: control.Namespace, Name: a.stack}, s)
	})
	if len(s.Labels) != 1 || s.Labels["magnum-cluster-api.vexxhost.com/proxied-service"] != "true" || s.Spec.Ports[0].Port != 6443 || s.Spec.Ports[0].Name != "https" {
		t.Errorf("the Service is %v, %v", s.Labels, s.Spec.Ports)
	}
	slice := &discoveryv1.EndpointSlice{}
	if err := theLab.api.client.Get(t.Context(), client.ObjectKey{Namespace: control.Namespace, Name: a.stack + "-" + hosts[0].name}, slice); err != nil {
		t.Fatal(err)
	}
	if slice.Endpoints[0].Addresses[0] != hosts[0].addr.String() || *slice.Ports[0].Port != proxyPort || *slice.Ports[0].Name != "https" {
		t.Errorf("the slice leads to %v %v", slice.Endpoints, slice.Ports)
	}
	for k, want := range map[string]string{
		"kubernetes.io/service-name": a.stack, "magnum-cluster-api.vexxhost.com/node": hosts[0].name,
		"magnum-cluster-api.vexxhost.com/proxied-cluster": a.stack, "magnum-cluster-api.vexxhost.com/proxied-service": "true",
	} {
		if slice.Labels[k] != want {
			t.Errorf("the slice's label %s is %q", k, slice.Labels[k])
		}
	}
	if _, err := time.Parse("2006-01-02T15:04:05.999999-07:00", slice.Annotations["magnum-cluster-api.vexxhost.com/timestamp"]); err != nil {
		t.Errorf("the slice's timestamp: %v", err)
	}
}

func useKubectl(t *testing.T, c *cluster, via netip.AddrPort) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(kubeconfigText, base64.StdEncoding.EncodeToString(c.lab.ca.pem), "https://"+via.String(), "    tls-server-name: "+c.stack+".magnum-system\n", c.stack)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out []byte
	err := c.lab.root.do(func() (err error) {
		out, err = exec.Command("kubectl", "--kubeconfig", file, "get", "--raw", "/readyz").CombinedOutput()
		return err
	})
	if err != nil || string(out) != "ok "+c.stack {
		t.Errorf("kubectl get --raw /readyz: %s, %v", out, err)
	}
}

const kubeconfigText = `apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority-data: %s
    server: %s
%s  name: %[4]s
contexts:
- context: {cluster: %[4]s, user: %[4]s-admin}
  name: %[4]s-admin@%[4]s
current-context: %[4]s-admin@%[4]s
users:
- name: %[4]s-admin
  user:
    token: x
`

// keptKubeconfig writes the Secret as the kubeadm control plane does, twice, and sees it led through the proxy each
// time.
func keptKubeconfig(t *testing.T, c *cluster) {
	t.Helper()
	original := fmt.Sprintf(kubeconfigText, "AAAA", "https://10.0.0.5:6443", "", c.stack)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: control.Namespace, Name: c.stack + "-kubeconfig", Labels: map[string]string{"cluster.x-k8s.io/cluster-name": c.stack}},
		Type:       "cluster.x-k8s.io/secret", Data: map[string][]byte{"value": []byte(original)},
	}
	if err := theLab.api.client.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	rewritten := func() {
		begin := time.Now()
		eventually(t, "the kubeconfig leads through the proxy", func() error {
			if err := theLab.api.client.Get(t.Context(), client.ObjectKeyFromObject(secret), secret); err != nil {
				return err
			}
			if !strings.Contains(string(secret.Data["value"]), "server: https://"+c.stack+".magnum-system:6443\n") {
				return fmt.Errorf("it has %s", secret.Data["value"])
			}
			return nil
		})
		t.Logf("rewritten within %s", time.Since(begin).Round(time.Millisecond))
	}
	rewritten()
	secret.Data["value"] = []byte(original) // as a control plane does that makes it anew
	if err := theLab.api.client.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	rewritten()
	version := secret.ResourceVersion
	time.Sleep(time.Second)
	if err := theLab.api.client.Get(t.Context(), client.ObjectKeyFromObject(secret), secret); err != nil || secret.ResourceVersion != version {
		t.Errorf("it is written again without need (%v)", err)
	}
}

func runStatus(t *testing.T, h *host) string {
	t.Helper()
	var out []byte
	err := h.do(func() (err error) {
		out, err = exec.Command(binary("jeroboam"), "proxy", "status").CombinedOutput()
		return err
	})
	if err != nil {
		t.Errorf("jeroboam proxy status: %v", err)
	}
	return string(out)
}

// TestRights: what the fleet's credential may not do.
func TestRights(t *testing.T) {
	hosts := fleet(t)
	c := theLab.cluster(t, "10.0.0.5", hosts[0])
	theLab.api.published(t, c, hosts[0])
	for name, data := range map[string]string{c.stack + "-kubeconfig": "x", c.stack + "-ca": "secret"} {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: control.Namespace, Name: name}, Data: map[string][]byte{"tls.key": []byte(data)}}
		if err := theLab.api.client.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	as := func(stdin string, args ...string) (string, error) {
		var out []byte
		err := theLab.root.do(func() (err error) {
			cmd := exec.Command("kubectl", append([]string{"--kubeconfig", hosts[0].config, "-n", "magnum-system"}, args...)...)
			cmd.Stdin = strings.NewReader(stdin)
			out, err = cmd.CombinedOutput()
			return err
		})
		return string(out), err
	}
	eventually(t, "the kubeconfig of a proxied cluster is readable", func() error {
		out, err := as("", "get", "secret", c.stack+"-kubeconfig")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	const foreignSlice = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: other}\naddressType: IPv4\nendpoints: [{addresses: [192.0.2.1]}]\n"
	const foreign = "apiVersion: v1\nkind: Service\nmetadata: {name: other}\nspec: {ports: [{port: 1}]}\n"
	for _, theirs := range []string{foreign, foreignSlice} {
		if err := theLab.api.kubectl(theirs, "-n", "magnum-system", "apply", "-f", "-"); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		reason string
		stdin  string
		args   []string
	}{
		{"another Secret of the same cluster", "", []string{"get", "secret", c.stack + "-ca"}},
		{"all Secrets", "", []string{"get", "secrets"}},
		{"a watch of all Secrets", "", []string{"get", "--raw", "/api/v1/namespaces/magnum-system/secrets?watch=true&timeoutSeconds=1"}},
		{"a watch of another Secret by its name", "", []string{"get", "--raw", "/api/v1/namespaces/magnum-system/secrets?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3D" + c.stack + "-ca"}},
		{"Secrets elsewhere", "", []string{"get", "secrets", "-n", "kube-system"}},
		{"a Secret that is not there yet", "", []string{"create", "secret", "generic", "mine"}},
		{"the role that lets it", "", []string{"patch", "role", control.RoleKubeconfigs, "--type", "merge", "-p", `{"rules":[]}`}},
		{"leases of other programs", "", []string{"get", "leases"}},
		{"clusters' specifications", "", []string{"patch", "openstackclusters", c.stack + "-x7k2p", "--type", "merge", "-p", `{"spec":{"tags":["x"]}}`}},
		{"a Service that is not the proxy's", "", []string{"delete", "service", "other"}},
		{"a Service without the label", strings.Replace(foreign, "other", "another", 1), []string{"create", "-f", "-"}},
		{"an EndpointSlice that is not the proxy's", "", []string{"delete", "endpointslice", "other"}},
		{"an EndpointSlice without the label", strings.Replace(foreignSlice, "other", "another", 1), []string{"create", "-f", "-"}},
		{"the label on what is somebody else's", "", []string{"label", "service", "other", control.LabelService + "=true"}},
		{"rights", "", []string{"create", "rolebinding", "mine", "--clusterrole", "admin", "--serviceaccount", "jeroboam-proxy:jeroboam-proxy"}},
		{"the rights of another account", "", []string{"--as", "system:admin", "get", "secrets"}},
		{"tokens of another account", "", []string{"create", "token", "jeroboam-proxy-access"}},
		{"pods", "", []string{"get", "pods"}},
		{"nodes", "", []string{"get", "nodes"}},
	} {
		if out, err := as(tc.stdin, tc.args...); err == nil || !strings.Contains(out, "forbidden") && !strings.Contains(out, "denied") && !strings.Contains(out, "Forbidden") {
			t.Errorf("%s: kubectl %v: %s, %v", tc.reason, tc.args, out, err)
		}
	}
}
