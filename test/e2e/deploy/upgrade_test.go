package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// The tests of this file need bundles of other versions than bundle.lock.yaml's: "go run ./test/e2e/deploy/otherlock"
// writes a lock for one, docs/lab.md says how. They are given in BUNDLE_MINOR_BEFORE (of the minor version before
// BUNDLE's) and BUNDLE_PATCH_BEFORE (of an earlier patch of the same minor version), and begin from whatever is on the
// lab's hosts that is not newer.

// other is the same lab with another bundle.
func (l lab) other(t *testing.T, variable string) lab {
	t.Helper()
	l.bundle = os.Getenv(variable)
	if l.bundle == "" {
		t.Skip(variable + " names no bundle of an earlier version: see docs/lab.md")
	}
	return l
}

// member is a control plane node as "deploy status" shows it.
type member struct {
	Name, Host, Address, Kubelet, APIServer, Member string
	Ready                                           bool
	Expires                                         time.Time
}

func (l lab) members(t *testing.T) []member {
	t.Helper()
	out, _ := l.deploy(t, "status", "--output", "json")
	var s struct{ Nodes []member }
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("status: %v: %s", err, out)
	}
	if len(s.Nodes) == 0 {
		t.Fatalf("status shows no node: %s", out)
	}
	return s.Nodes
}

func (l lab) kubeconfig(t *testing.T) string {
	t.Helper()
	return l.inside(t, l.nodes(t)[0], "cat /etc/kubernetes/admin.conf")
}

// running checks that everything runs a version, the addons included.
func (l lab) running(t *testing.T, version string) {
	t.Helper()
	for _, n := range l.members(t) {
		if n.Kubelet != version || n.APIServer != version || !n.Ready || n.Member != "voter" {
			t.Errorf("node is %+v, should be Ready with %s", n, version)
		}
	}
	nodes := l.nodes(t)
	for _, n := range nodes {
		images := l.inside(t, n, "grep -h image: /etc/kubernetes/manifests/kube-*.yaml")
		if strings.Count(images, ":v"+version) != 3 {
			t.Errorf("%s has %s", n.name, images)
		}
		// What kubeadm copied before an upgrade is a way back, and the last ones stay.
		if left := l.inside(t, n, "ls -d /etc/kubernetes/tmp/kubeadm-* 2>/dev/null | grep -v /kubeadm-backup- || true"); left != "" {
			t.Errorf("kubeadm has left %s", left)
		}
	}
	if image := l.kubectl(t, nodes[0], "-n kube-system get ds kube-proxy -o jsonpath={..image}"); !strings.HasSuffix(strings.TrimSpace(image), ":v"+version) {
		t.Errorf("kube-proxy is %s", image)
	}
	if cordoned := l.kubectl(t, nodes[0], "get nodes -o jsonpath={..unschedulable}"); cordoned != "" {
		t.Errorf("nodes are cordoned: %s", cordoned)
	}
}

// upgradeUnderLoad is an apply while somebody writes and watches.
func upgradeUnderLoad(t *testing.T, l lab, apply func()) {
	t.Helper()
	stop := startLoad(t, l, l.kubeconfig(t))
	time.Sleep(5 * time.Second)
	began := time.Now()
	apply()
	took := time.Since(began)
	time.Sleep(5 * time.Second)
	r := stop()
	t.Logf("upgrade to %s: %.0f s", l.kubernetes(t), took.Seconds())
	if r.Failed > 0 || r.Lost > 0 || r.Writes < 10 {
		t.Errorf("the load was not served: %+v", r)
	}
	if took := took.Seconds(); r.Longest.Seconds() > took {
		t.Errorf("a write waited longer than the upgrade took: %v", r.Longest)
	}
}

// TestUpgrade goes up by a minor version and by a patch, each under load; the second one is killed in between.
func TestUpgrade(t *testing.T) {
	l := open(t)
	minor, patch := l.other(t, "BUNDLE_MINOR_BEFORE"), l.other(t, "BUNDLE_PATCH_BEFORE")
	t.Run("deploy the minor version before", func(t *testing.T) {
		minor.configure(t)
		t.Logf("deployed %s in %.0f s", minor.kubernetes(t), minor.applied(t).Seconds())
		minor.running(t, minor.kubernetes(t))
	})
	t.Run("a restart needs a word", func(t *testing.T) {
		patch.configure(t)
		out, code := patch.deploy(t, "apply")
		if code != 1 {
			t.Fatalf("an upgrade without --allow: status %d\n%s", code, out)
		}
		patch.running(t, minor.kubernetes(t)) // the configuration asks for patch's version by now
	})
	t.Run("minor", func(t *testing.T) {
		upgradeUnderLoad(t, patch, func() { patch.applied(t, "--allow", "restart") })
		patch.running(t, patch.kubernetes(t))
	})
	t.Run("patch, killed in between", func(t *testing.T) {
		l.configure(t)
		upgradeUnderLoad(t, l, func() {
			l.start(t, "apply", "--allow", "restart").killAfter("kubeadm upgrade node", 10*time.Second)
			l.applied(t, "--allow", "restart")
		})
		l.running(t, l.kubernetes(t))
	})
}

// TestUpgradeKilled kills an upgrade where it hurts: kubeadm itself, in the middle of "kubeadm upgrade apply" and in
// its addon phase. One host is enough.
func TestUpgradeKilled(t *testing.T) {
	l := open(t)
	patch := l.other(t, "BUNDLE_PATCH_BEFORE")
	patch.configure(t)
	patch.applied(t)
	l.configure(t)
	first := l.nodes(t)[0]
	for _, at := range []struct{ reason, test string }{
		{"while the API server is replaced", "grep -q :v" + l.kubernetes(t) + " /etc/kubernetes/manifests/kube-apiserver.yaml"},
		// Addons come right after kubelet's configuration, of which kubeadm keeps a copy here.
		{"before the addons are changed", "ls -d /etc/kubernetes/tmp/kubeadm-kubelet-config* 2>/dev/null"},
	} {
		t.Run(at.reason, func(t *testing.T) {
			done := make(chan string, 1)
			go func() {
				out, code := l.deploy(t, "apply", "--allow", "restart")
				done <- fmt.Sprintf("status %d\n%s", code, tailOf(out))
			}()
			// The container's kubeadm is killed as soon as the test is true.
			l.inside(t, first, "for i in $(seq 6000); do if "+at.test+" >/dev/null && pgrep -x kubeadm >/dev/null; then pkill -9 -x kubeadm; exit 0; fi; sleep 0.05; done; exit 1")
			said := <-done
			if strings.HasPrefix(said, "status 0") {
				t.Errorf("apply did not notice that kubeadm was killed: %s", said)
			}
			t.Log(said)
		})
	}
	t.Logf("finished in %.0f s", l.applied(t, "--allow", "restart").Seconds())
	l.running(t, l.kubernetes(t))
}

// TestSettingsAreRolledOut changes what the configuration says of a cluster that is there.
func TestSettingsAreRolledOut(t *testing.T) {
	l := open(t)
	l.configure(t)
	l.applied(t, "--allow", "restart")
	nodes := l.nodes(t)
	l.configure(t, "kubernetes_oidc_issuer_url: https://keycloak.example.com/realms/k8s", "kubernetes_oidc_client_id: k8s",
		"kubernetes_oidc_username_claim: sub", "kubernetes_allow_unsafe_swap: true")
	p, code := l.plan(t)
	if code != 2 {
		t.Fatalf("settings changed, and the plan has status %d", code)
	}
	var what []string
	for _, c := range p.Changes {
		what = append(what, c.Place+" "+c.Kind+" "+c.Name+": "+c.Summary)
	}
	t.Log(strings.Join(what, "\n"))
	l.applied(t, "--allow", "restart")
	for _, n := range nodes {
		if out := l.inside(t, n, "grep oidc-issuer-url /etc/kubernetes/manifests/kube-apiserver.yaml; cat /var/lib/kubelet/config.yaml"); !strings.Contains(out, "keycloak.example.com") || !strings.Contains(out, "failSwapOn: false") {
			t.Errorf("%s runs with %s", n.name, out)
		}
	}
	l.configure(t)
	l.applied(t, "--allow", "restart")
	for _, n := range nodes {
		if out := l.inside(t, n, "cat /etc/kubernetes/manifests/kube-apiserver.yaml /var/lib/kubelet/config.yaml"); strings.Contains(out, "keycloak.example.com") || strings.Contains(out, "failSwapOn: false") {
			t.Errorf("%s still runs with what was taken out of the configuration:\n%s", n.name, out)
		}
	}
}
