package deploy

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// TestMagnum is Magnum's service by the deployer, beside a real Keystone and behind TLS: installed, found by clients on
// both virtual addresses, nothing made twice, changed by an apply that is killed in between, its certificate renewed,
// over to another Magnum and back. It needs "lab up --keystone", and Debian's python3-openstackclient and
// python3-magnumclient.
func TestMagnum(t *testing.T) {
	l := open(t)
	if _, err := os.Stat(l.dir + "/authorities/public.crt"); err != nil {
		t.Skip("this needs a lab with a Keystone: lab up --keystone")
	}
	l.configure(t)
	m := magnumLab{lab: l}
	m.settings(t, "magnum_implementation: jeroboam")
	t.Logf("applied in %s", l.applied(t).Round(time.Second))
	m.node, m.servers = l.nodes(t)[0], l.group(t, "magnum_container")
	t.Run("clients find it", m.clients)
	t.Run("nothing is made twice", m.twice)
	t.Run("behind TLS, and back", m.backendTLS)
	t.Run("the certificate is renewed", m.renewal)
	t.Run("killed in between", m.killed)
	t.Run("over to another Magnum and back", m.overAndBack)
}

// overrides are variables of an operator, in a file of their own.
func (l lab) overrides(t *testing.T, name string, lines ...string) {
	t.Helper()
	path := l.dir + "/openstack_deploy/" + name
	if err := os.WriteFile(path, []byte("---\n"+strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

type magnumLab struct {
	lab

	node    node
	servers []node
}

// authority is what a client trusts on an interface: OpenStack-Ansible's own for the internal address, another one for
// the public.
func (l lab) authority(internal bool) string {
	if internal {
		return l.dir + "/openstack_deploy/pki/roots/ExampleCorpRoot/certs/ExampleCorpRoot.crt"
	}
	return l.dir + "/authorities/public.crt"
}

// openstack runs the client as Keystone's administrator, on the deploy host.
func (l lab) openstack(t *testing.T, internal bool, args ...string) (string, int) {
	t.Helper()
	return l.run(t, append(append(append([]string{"env"}, l.client(internal, "admin", "lab", "admin")...), "openstack"), args...)...)
}

// client is the environment of a user's client.
func (l lab) client(internal bool, user, password, project string) []string {
	at, face := "https://openstack.example.com:5000/v3", "public"
	if internal {
		at, face = "https://"+vip+":5000/v3", "internal"
	}
	return []string{
		"OS_AUTH_URL=" + cmp.Or(l.keystone, at), "OS_CACERT=" + l.authority(internal), "OS_INTERFACE=" + face, "OS_USERNAME=" + user, "OS_PASSWORD=" + password,
		"OS_PROJECT_NAME=" + project, "OS_USER_DOMAIN_NAME=Default", "OS_PROJECT_DOMAIN_NAME=Default",
		"OS_REGION_NAME=" + cmp.Or(l.regionName, "RegionOne"), "OS_IDENTITY_API_VERSION=3",
	}
}

// settings are the variables of this test; proxies have a test of their own.
func (m magnumLab) settings(t *testing.T, more ...string) {
	t.Helper()
	m.overrides(t, "user_magnum_test.yml", append(more, "magnum_proxy_implementation: magnum-cluster-api")...)
}

func (m magnumLab) clients(t *testing.T) {
	t.Helper()
	for _, s := range m.servers {
		m.inside(t, s, "systemctl is-active --quiet jeroboam && systemctl is-enabled --quiet jeroboam")
		if got := strings.TrimSpace(m.inside(t, s, "ps -o user= -C jeroboam")); got != "magnum" {
			t.Errorf("%s: the server runs as %q", s.name, got)
		}
		if got := m.inside(t, s, "stat -c '%a %U %G' /etc/magnum/magnum.conf /etc/jeroboam/server.kubeconfig"); got != "640 root magnum\n640 root magnum\n" {
			t.Errorf("%s: files with secrets are %q", s.name, got)
		}
	}
	for _, internal := range []bool{true, false} {
		address := "https://openstack.example.com:9511"
		if internal {
			address = "https://" + vip + ":9511"
		}
		if out, code := m.run(t, "curl", "-sf", "--cacert", m.authority(internal), address+"/healthcheck"); code != 0 {
			t.Errorf("%s/healthcheck: status %d: %s", address, code, out)
		}
		if _, code := m.run(t, "curl", "-sf", "--cacert", m.authority(!internal), address+"/healthcheck"); code == 0 {
			t.Errorf("%s has a certificate of the other address's authority", address)
		}
		out, code := m.openstack(t, internal, "coe", "service", "list", "-f", "json")
		if code != 0 || !strings.Contains(out, `"state": "up"`) {
			t.Errorf("coe service list at %s: status %d: %s", address, code, out)
		}
		if out, _ := m.run(t, "curl", "-sf", "--cacert", m.authority(internal), address+"/"); !strings.Contains(out, address+"/v1/") {
			t.Errorf("links at %s lead elsewhere: %s", address, out)
		}
	}
}

// registered is what Keystone has of Magnum.
func (m magnumLab) registered(t *testing.T) string {
	t.Helper()
	var all []string
	for _, what := range [][]string{{"service", "list", "-c", "Type"}, {"endpoint", "list", "--service", "magnum", "-c", "Interface", "-c", "URL"}, {"user", "list", "-c", "Name"}, {"project", "list", "-c", "Name"}, {"role", "assignment", "list", "--user", "magnum", "--names", "-c", "Role", "-c", "Project"}} {
		out, code := m.openstack(t, true, append(what, "-f", "value")...)
		if code != 0 {
			t.Fatalf("%v: status %d: %s", what, code, out)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		slices.Sort(lines)
		all = append(all, lines...)
	}
	return strings.Join(all, "\n")
}

func (m magnumLab) twice(t *testing.T) {
	before := m.registered(t)
	const want = `container-infra
identity
admin https://172.29.236.9:9511
internal https://172.29.236.9:9511
public https://openstack.example.com:9511
admin
magnum
admin
service
admin service@Default
service service@Default`
	if before != want {
		t.Errorf("Keystone has\n%s", before)
	}
	started := m.inside(t, m.servers[0], "systemctl show -p ExecMainStartTimestampMonotonic jeroboam")
	m.apply(t)
	if after := m.registered(t); after != before {
		t.Errorf("a second apply made more of it:\n%s\nbefore:\n%s", after, before)
	}
	if again := m.inside(t, m.servers[0], "systemctl show -p ExecMainStartTimestampMonotonic jeroboam"); again != started {
		t.Errorf("a second apply has restarted the server")
	}
}

// renewal puts a certificate there that ends tomorrow.
func (m magnumLab) renewal(t *testing.T) {
	s := m.servers[0]
	key, request, err := pki.NewRequest(rand.Reader, "jeroboam")
	if err != nil {
		t.Fatal(err)
	}
	object, err := json.Marshal(map[string]any{
		"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": map[string]any{"name": "short"},
		"spec": map[string]any{"request": request, "signerName": "kubernetes.io/kube-apiserver-client", "expirationSeconds": 86400, "usages": []string{"digital signature", "client auth"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	m.kubectlWith(t, m.node, string(object), "apply -f -")
	m.kubectl(t, m.node, "certificate approve short")
	var certificate, ca string
	m.until(t, time.Minute, "the cluster has signed", func() (bool, string) {
		certificate = m.kubectl(t, m.node, "get csr short -o jsonpath={.status.certificate} | base64 -d")
		return certificate != "", "no certificate"
	})
	m.kubectl(t, m.node, "delete csr short")
	ca = m.inside(t, m.node, "cat /etc/kubernetes/pki/ca.crt")
	text, err := kube.Config("https://"+vip+":6443", []byte(ca), "jeroboam", clientcmdapi.AuthInfo{ClientCertificateData: []byte(certificate), ClientKeyData: key})
	if err != nil {
		t.Fatal(err)
	}
	m.inside(t, s, "cat > /etc/jeroboam/server.kubeconfig <<'END'\n"+text+"END\n")
	p, _ := m.plan(t)
	var got []string
	for _, c := range p.Changes {
		got = append(got, fmt.Sprintf("%s %s", c.Action, c.Name))
	}
	if want := []string{"update /etc/jeroboam/server.kubeconfig", "restart jeroboam.service"}; !slices.Equal(got, want) {
		t.Errorf("the plan has %v, not %v", got, want)
	}
	m.apply(t)
	m.converged(t)
	if text := m.inside(t, s, "cat /etc/jeroboam/server.kubeconfig"); strings.Contains(text, "short") {
		t.Error("the old kubeconfig is still there")
	}
	if left := m.kubectl(t, m.node, "get csr -o name"); strings.Contains(left, "jeroboam-server") {
		t.Errorf("requests are left: %s", left)
	}
	if out, code := m.openstack(t, true, "coe", "service", "list"); code != 0 {
		t.Errorf("after the renewal: %s", out)
	}
}

// backendTLS lets load balancers speak TLS to the servers, with certificates of OpenStack-Ansible's own authority.
func (m magnumLab) backendTLS(t *testing.T) {
	tls := []string{"magnum_implementation: jeroboam", "openstack_service_backend_ssl: true"}
	m.settings(t, tls...)
	t.Logf("over to TLS in %s", m.applied(t).Round(time.Second))
	_, balancer := m.hosts(t)
	chain := m.dir + "/openstack_deploy/pki/roots/ExampleCorpRoot/certs/ExampleCorpRoot.crt"
	for _, s := range m.servers {
		url := "https://" + s.address + ":9511/healthcheck"
		if out, code := m.run(t, "curl", "-sf", "--cacert", chain, url); code != 0 {
			t.Errorf("%s, verified by its authority: status %d: %s", url, code, out)
		}
		if _, code := m.run(t, "curl", "-sf", "http://"+s.address+":9511/healthcheck"); code == 0 {
			t.Errorf("%s speaks plain HTTP as well", s.name)
		}
		if got := m.inside(t, s, "stat -c '%a %U %G' /etc/magnum/magnum.key"); got != "640 root magnum\n" {
			t.Errorf("%s: the key is %q", s.name, got)
		}
		line := m.ssh(t, balancer, "grep -A40 'backend magnum-back' /etc/haproxy/haproxy.cfg | grep 'server "+s.name+" '")
		if !strings.Contains(line, " ssl check-ssl ca-file /etc/ssl/certs/ca-certificates.crt") {
			t.Errorf("the load balancer does not verify it: %s", line)
		}
	}
	m.clients(t)
	// A certificate that nobody would believe is made anew, and the plan says that the server starts again.
	s := m.servers[0]
	m.inside(t, s, "head -c 200 /etc/magnum/magnum.pem > /etc/magnum/x && mv /etc/magnum/x /etc/magnum/magnum.pem")
	p, _ := m.plan(t)
	var got []string
	for _, c := range p.Changes {
		got = append(got, fmt.Sprintf("%s %s %s", c.Action, c.Kind, c.Name))
	}
	if want := []string{"update TLS certificate /etc/magnum/magnum.pem", "restart unit jeroboam.service"}; !slices.Equal(got, want) {
		t.Errorf("the plan has %v, not %v", got, want)
	}
	m.applied(t)
	m.clients(t)
	m.settings(t, "magnum_implementation: jeroboam")
	m.applied(t)
	m.clients(t)
}

// killed changes a setting and kills the deployer at several moments.
func (m magnumLab) killed(t *testing.T) {
	for i, says := range []string{"update file /etc/magnum/magnum.conf", "restart unit jeroboam.service"} {
		m.settings(t, "magnum_implementation: jeroboam", fmt.Sprintf("debug: %v", i == 0))
		m.start(t, "apply").killAfter(says, 10*time.Millisecond)
		m.applied(t)
		want := "debug = " + map[bool]string{true: "True", false: "False"}[i == 0]
		if text := m.inside(t, m.servers[0], "cat /etc/magnum/magnum.conf"); !strings.Contains(text, want) {
			t.Errorf("killed after %q: magnum.conf has no %q", says, want)
		}
		if out, code := m.openstack(t, true, "coe", "service", "list"); code != 0 {
			t.Errorf("killed after %q: %s", says, out)
		}
	}
}

// standIn is another Magnum, as far as the deployer sees one: two units, a configuration, an API that answers.
const standIn = `cat > /etc/systemd/system/magnum-api.service <<END
[Service]
ExecStart=/usr/bin/python3 -m http.server 9511
WorkingDirectory=/var/lib/magnum-stand-in
[Install]
WantedBy=multi-user.target
END
cat > /etc/systemd/system/magnum-conductor.service <<END
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
END
mkdir -p /var/lib/magnum-stand-in; echo '{"of": "the other Magnum"}' > /var/lib/magnum-stand-in/healthcheck
systemctl daemon-reload`

func (m magnumLab) overAndBack(t *testing.T) {
	const theirs = "# of the other Magnum\n[DEFAULT]\n"
	for _, s := range m.servers {
		m.inside(t, s, standIn)
		m.inside(t, s, "printf '"+strings.ReplaceAll(theirs, "\n", `\n`)+"' > /etc/magnum/magnum.conf.openstack-ansible")
	}
	health := func() string {
		out, _ := m.run(t, "curl", "-s", "--cacert", m.authority(true), "https://"+vip+":9511/healthcheck")
		return out
	}
	m.settings(t, "magnum_implementation: magnum")
	if out, code := m.try(t, "apply"); code == 0 || !strings.Contains(out, "--allow delete") {
		t.Errorf("our kubeconfig is removed without a word: status %d\n%s", code, out)
	}
	m.applied(t, "--allow", "delete")
	for _, s := range m.servers {
		m.inside(t, s, "systemctl is-active --quiet magnum-api magnum-conductor && ! systemctl is-active --quiet jeroboam && test ! -e /etc/jeroboam/server.kubeconfig")
		if got := m.inside(t, s, "cat /etc/magnum/magnum.conf"); got != theirs {
			t.Errorf("%s: its configuration is %q", s.name, got)
		}
	}
	m.until(t, time.Minute, "the other Magnum answers", func() (bool, string) {
		out := health()
		return strings.Contains(out, "the other Magnum"), out
	})
	m.settings(t, "magnum_implementation: jeroboam")
	p, _ := m.plan(t)
	i := slices.IndexFunc(p.Changes, func(c plan.Change) bool { return c.Name == "magnum-api.service" })
	if i < 0 || !strings.Contains(p.Changes[i].Summary, "stops") {
		t.Errorf("the plan does not say that the other one stops: %+v", p.Changes)
	}
	m.applied(t)
	for _, s := range m.servers {
		m.inside(t, s, "systemctl is-active --quiet jeroboam && ! systemctl is-active --quiet magnum-api && ! systemctl is-enabled --quiet magnum-api")
		if got := m.inside(t, s, "cat /etc/magnum/magnum.conf.openstack-ansible"); got != theirs {
			t.Errorf("%s: what the other one wrote is now %q", s.name, got)
		}
	}
	if out, code := m.openstack(t, false, "coe", "service", "list"); code != 0 || strings.Contains(health(), "the other Magnum") {
		t.Errorf("after the way back: status %d: %s", code, out)
	}
}
