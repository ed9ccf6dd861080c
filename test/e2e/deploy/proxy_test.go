package deploy

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// TestProxy is the proxy by the deployer: installed in place of the old one, with a token of its own that can be ended,
// changed without a refused connection by an apply that may be killed, and a private cluster's address published
// through it. It needs "lab up --keystone", whose configuration names hosts of the network.
func TestProxy(t *testing.T) {
	l := open(t)
	if _, err := os.Stat(l.dir + "/authorities/public.crt"); err != nil {
		t.Skip("this needs a lab whose configuration has network_hosts: lab up --keystone")
	}
	l.configure(t)
	p := proxyLab{lab: l, host: l.nodes(t)[0].host}
	p.settings(t)
	l.ssh(t, p.host, oldProxy)
	t.Logf("applied in %s", l.applied(t).Round(time.Second))
	p.node = l.nodes(t)[0]
	t.Run("it has taken the place of the old one", func(t *testing.T) { p.stands(t) })
	t.Run("a private cluster is published", p.published)
	t.Run("changed without a refused connection", p.takesOver)
	t.Run("its token is ended", p.revoked)
	t.Run("back to the old one, and over again", p.back)
}

// oldProxy is the collection's proxy, as far as the deployer sees one.
const oldProxy = `cat > /etc/systemd/system/magnum-cluster-api-proxy.service <<END
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload; systemctl enable --quiet --now magnum-cluster-api-proxy`

type proxyLab struct {
	lab

	host string
	node node
}

const proxyPort = "44355"

func (p proxyLab) settings(t *testing.T, more ...string) {
	t.Helper()
	p.overrides(t, "user_magnum_test.yml", append([]string{
		"magnum_implementation: jeroboam", "magnum_proxy_implementation: jeroboam",
		"mcapi_vexxhost_proxy_environment:", `  PROXY_BIND: "{{ management_address }}"`, "  PROXY_PORT: " + proxyPort,
	}, more...)...)
}

// status is what the proxy of the host says.
func (p proxyLab) status(t *testing.T) string {
	t.Helper()
	return p.ssh(t, p.host, "/usr/local/bin/jeroboam proxy status --output json")
}

// stands looks at what must be there, and at what must not.
func (p proxyLab) stands(t *testing.T) {
	t.Helper()
	p.ssh(t, p.host, "! systemctl is-active --quiet magnum-cluster-api-proxy && ! systemctl is-enabled --quiet magnum-cluster-api-proxy")
	if text := p.status(t); !strings.Contains(text, `"ready":true`) {
		t.Errorf("it is not ready: %s", text)
	}
	if got := p.ssh(t, p.host, "ps -o user= -C jeroboam | sort -u; stat -c '%a %U' /etc/jeroboam/proxy.kubeconfig"); !strings.HasSuffix(got, "600 jeroboam-proxy\n") || !strings.Contains(got, "jeroboa") {
		t.Errorf("it runs as, and its kubeconfig is: %s", got)
	}
	if text := p.ssh(t, p.host, "cat /etc/default/jeroboam-proxy"); strings.Contains(text, "old-hosts") || !strings.Contains(text, "PROXY_PORT=\""+proxyPort+"\"") {
		t.Errorf("its environment: %s", text)
	}
	claims := p.claims(t)
	if claims.Kubernetes.Secret.Name != "jeroboam-proxy-"+p.host || claims.Exp < time.Now().Add(300*24*time.Hour).Unix() || claims.Exp > time.Now().Add(366*24*time.Hour).Unix() {
		t.Errorf("its token says %+v", claims)
	}
	if left := p.kubectl(t, p.node, "get secrets -A --field-selector type=kubernetes.io/service-account-token -o name"); strings.TrimSpace(left) != "" {
		t.Errorf("there are tokens that never end: %s", left)
	}
	p.until(t, time.Minute, "the access service runs", func() (bool, string) {
		out := p.inside(t, p.node, "systemctl is-active jeroboam-proxy-access || true")
		return strings.TrimSpace(out) == "active", out
	})
}

type tokenClaims struct {
	Exp        int64
	Kubernetes struct{ Secret struct{ Name string } } `json:"kubernetes.io"`
}

func (p proxyLab) token(t *testing.T) string {
	t.Helper()
	found := regexp.MustCompile(`token: (\S+)`).FindStringSubmatch(p.ssh(t, p.host, "cat /etc/jeroboam/proxy.kubeconfig"))
	if found == nil {
		t.Fatal("the kubeconfig has no token")
	}
	return found[1]
}

func (p proxyLab) claims(t *testing.T) (c tokenClaims) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(p.token(t), ".")[1])
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// privateCluster is what Cluster API's provider has made of a cluster without a floating address, on a network of which
// the host has the namespace; in it something answers with TLS. The names are of test/e2e/proxy, where what passes
// through is looked at.
const privateCluster = `systemctl stop lab-api 2>/dev/null; ip netns del qdhcp-11111111-2222-3333-4444-555555555555 2>/dev/null; set -e
ip netns add qdhcp-11111111-2222-3333-4444-555555555555
ip netns exec qdhcp-11111111-2222-3333-4444-555555555555 ip link set lo up
ip netns exec qdhcp-11111111-2222-3333-4444-555555555555 ip addr add 10.6.0.10/32 dev lo
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /run/s.key -out /run/s.crt -days 2 -subj /CN=kube-lab01 2>/dev/null
systemd-run --quiet --unit lab-api ip netns exec qdhcp-11111111-2222-3333-4444-555555555555 openssl s_server -accept 10.6.0.10:6443 -key /run/s.key -cert /run/s.crt -quiet -www`

const openStackCluster = `{"apiVersion":"infrastructure.cluster.x-k8s.io/v1beta1","kind":"OpenStackCluster","metadata":{"namespace":"magnum-system","name":"kube-lab01-x7k2p",
"labels":{"cluster.x-k8s.io/cluster-name":"kube-lab01"}},"spec":{"disableAPIServerFloatingIP":true,"apiServerLoadBalancer":{"enabled":true},
"identityRef":{"cloudName":"default","name":"kube-lab01-cloud-config"}}}`

func (p proxyLab) published(t *testing.T) {
	p.ssh(t, p.host, privateCluster)
	p.kubectlWith(t, p.node, openStackCluster, "apply -f -")
	p.kubectl(t, p.node, "-n magnum-system patch openstackcluster kube-lab01-x7k2p --subresource=status --type merge -p "+
		`'{"status":{"ready":true,"network":{"id":"11111111-2222-3333-4444-555555555555","name":"n"},"apiServerLoadBalancer":{"id":"1","name":"l","ip":"10.6.0.10","internalIP":"10.6.0.10"}}}'`)
	address := strings.TrimSpace(p.ssh(t, p.host, "ip -4 -o addr show br-mgmt | awk '{print $4}' | grep /22 | cut -d/ -f1"))
	took := p.until(t, time.Minute, "the cluster is published", func() (bool, string) {
		out := p.kubectl(t, p.node, "-n magnum-system get endpointslices -o \"jsonpath={.items[*].endpoints[*].addresses[*]}:{.items[*].ports[*].port}\"")
		return out == address+":"+proxyPort, out + "\n" + p.status(t)
	})
	t.Logf("published after %s", took.Round(time.Millisecond))
	if out := p.inside(t, p.node, "curl -sk --connect-to kube-lab01.magnum-system:6443:"+address+":"+proxyPort+" https://kube-lab01.magnum-system:6443/ | head -c 200"); !strings.Contains(out, "s_server") {
		t.Errorf("through the proxy: %s", out)
	}
	p.until(t, 30*time.Second, "the fleet may touch its kubeconfig", func() (bool, string) {
		out := p.kubectl(t, p.node, "-n magnum-system get role jeroboam-proxy-kubeconfigs -o jsonpath={.rules[*].resourceNames}")
		return strings.Contains(out, "kube-lab01-kubeconfig"), out
	})
}

// takesOver changes a setting while a client connects all the time, and kills the deployer once in between.
func (p proxyLab) takesOver(t *testing.T) {
	address := strings.TrimSpace(p.ssh(t, p.host, "ip -4 -o addr show br-mgmt | awk '{print $4}' | grep /22 | cut -d/ -f1"))
	p.ssh(t, p.host, "systemctl stop lab-client 2>/dev/null; cat > /run/client <<'END'\nimport socket, time\nok = bad = 0\nwhile True:\n  try:\n    socket.create_connection((\""+address+"\", "+proxyPort+"), 5).close(); ok += 1\n  except OSError: bad += 1\n  open(\"/run/count.new\", \"w\").write(f\"{ok} {bad}\")\n  import os; os.rename(\"/run/count.new\", \"/run/count\")\n  time.sleep(0.01)\nEND\nsystemd-run --quiet --unit lab-client python3 /run/client")
	before := p.ssh(t, p.host, "systemctl is-active jeroboam-proxy@a jeroboam-proxy@b || true")
	p.settings(t, "  PROXY_ALWAYS: 1")
	p.start(t, "apply").killAfter("restart service jeroboam-proxy@", 10*time.Millisecond)
	p.applied(t)
	p.settings(t)
	p.applied(t)
	p.ssh(t, p.host, "systemctl stop lab-client")
	after := p.ssh(t, p.host, "systemctl is-active jeroboam-proxy@a jeroboam-proxy@b || true")
	if got := strings.Fields(after); slices.Equal(got, []string{"active", "active"}) || !slices.Contains(got, "active") {
		t.Errorf("instances afterwards: %v", got)
	}
	var ok, bad int
	if _, err := fmt.Sscan(p.ssh(t, p.host, "cat /run/count"), &ok, &bad); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d connections, %d refused; instances before %q, after %q", ok, bad, before, after)
	if ok < 100 || bad > 0 {
		t.Errorf("%d connections, %d refused", ok, bad)
	}
}

func (p proxyLab) revoked(t *testing.T) {
	old := p.token(t)
	whoami := func(token string) string {
		return p.inside(t, p.node, "kubectl --kubeconfig /dev/null --server https://"+vip+":6443 --certificate-authority /etc/kubernetes/pki/ca.crt --token "+token+" auth whoami 2>&1 || true")
	}
	if out := whoami(old); !strings.Contains(out, "system:serviceaccount:jeroboam-proxy:jeroboam-proxy") {
		t.Fatalf("the token is of %s", out)
	}
	p.kubectl(t, p.node, "-n jeroboam-proxy delete secret jeroboam-proxy-"+p.host)
	took := p.until(t, time.Minute, "the token has ended", func() (bool, string) {
		out := whoami(old)
		return strings.Contains(out, "Unauthorized") || strings.Contains(out, "must be logged in") || strings.Contains(out, "provide credentials"), out
	})
	t.Logf("the token was refused %s after its Secret was deleted", took.Round(time.Second))
	planned, _ := p.plan(t)
	if !slices.ContainsFunc(planned.Changes, func(c plan.Change) bool { return c.Name == "/etc/jeroboam/proxy.kubeconfig" }) {
		t.Errorf("the plan has no new token: %+v", planned.Changes)
	}
	p.applied(t)
	if out := whoami(p.token(t)); !strings.Contains(out, "system:serviceaccount:jeroboam-proxy:jeroboam-proxy") {
		t.Errorf("the new token is of %s", out)
	}
	if out := whoami(old); strings.Contains(out, "system:serviceaccount") {
		t.Error("the old token is good again")
	}
}

func (p proxyLab) back(t *testing.T) {
	p.overrides(t, "user_magnum_test.yml", "magnum_implementation: jeroboam", "magnum_proxy_implementation: magnum-cluster-api")
	p.applied(t, "--allow", "delete")
	p.ssh(t, p.host, "systemctl is-active --quiet magnum-cluster-api-proxy && test ! -e /etc/jeroboam/proxy.kubeconfig && ! systemctl is-active --quiet jeroboam-proxy@a && ! systemctl is-active --quiet jeroboam-proxy@b")
	p.settings(t)
	p.applied(t)
	p.stands(t)
}
