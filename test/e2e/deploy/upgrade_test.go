package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
)

// The tests of this file need bundles of other versions than bundle.lock.yaml's: "go run ./test/e2e/deploy/otherlock" writes a lock
// for one, docs/lab.md says how. They are given in BUNDLE_MINOR_BEFORE (of the minor version before BUNDLE's) and
// BUNDLE_PATCH_BEFORE (of an earlier patch of the same minor version), and begin from whatever is on the lab's hosts that is
// not newer.

// other is the same lab with another bundle.
func (l lab) other(t *testing.T, variable string) lab {
	t.Helper()
	l.bundle = os.Getenv(variable)
	if l.bundle == "" {
		t.Skip(variable + " names no bundle of an earlier version: see docs/lab.md")
	}
	return l
}

// kubernetes is the version a bundle has.
func (l lab) kubernetes(t *testing.T) string {
	t.Helper()
	b, err := bundle.Open(l.bundle)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range b.Index.Files {
		if f.Name == "kubeadm" {
			return strings.TrimPrefix(f.Version, "v")
		}
	}
	t.Fatalf("%s has no kubeadm", l.bundle)
	return ""
}

// want writes the configuration for a bundle, with more variables.
func (l lab) want(t *testing.T, more ...string) {
	t.Helper()
	text := strings.Replace(versions, "1.36.4", l.kubernetes(t), 1) + strings.Join(more, "\n") + "\n"
	config, environment := l.dir+"/openstack_deploy", l.dir+"/openstack-ansible/inventory"
	if err := os.WriteFile(config+"/user_versions.yml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := l.run(t, l.jeroboam, "inventory", "--config", config, "-e", environment, "--write"); code != 0 {
		t.Fatalf("inventory --write: status %d\n%s", code, out)
	}
}

// applied applies and looks whether it is done: a plan without changes, and a status without complaints.
func (l lab) applied(t *testing.T, args ...string) time.Duration {
	t.Helper()
	began := time.Now()
	out, code := l.deploy(t, "apply", args...)
	took := time.Since(began)
	if code != 0 {
		t.Fatalf("apply: status %d\n%s", code, out)
	}
	if testing.Verbose() {
		t.Log(out)
	}
	l.converged(t)
	return took
}

// deployArgs is the command line of "jeroboam deploy".
func (l lab) deployArgs(verb string, args ...string) []string {
	return append([]string{
		l.jeroboam, "deploy", verb, "--config", l.dir + "/openstack_deploy", "-e", l.dir + "/openstack-ansible/inventory", "--bundle", l.bundle,
		"--ssh-key", l.dir + "/ssh/id_ed25519", "--known-hosts", l.dir + "/ssh/known_hosts",
	}, args...)
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

// run this inside a node's container.
func (l lab) insideMember(t *testing.T, n member, command string) string {
	t.Helper()
	container := strings.Fields(l.ssh(t, n.Host, "lxc-ls -1 --running | grep k8s"))[0]
	return l.ssh(t, n.Host, "lxc-attach -n "+container+" -- sh -c '"+command+"'")
}

func (l lab) kubeconfig(t *testing.T) string {
	t.Helper()
	return l.insideMember(t, l.members(t)[0], "cat /etc/kubernetes/admin.conf")
}

// running checks that everything runs a version, the addons included.
func (l lab) running(t *testing.T, version string) {
	t.Helper()
	nodes := l.members(t)
	for _, n := range nodes {
		if n.Kubelet != version || n.APIServer != version || !n.Ready || n.Member != "voter" {
			t.Errorf("node is %+v, should be Ready with %s", n, version)
		}
		images := l.insideMember(t, n, "grep -h image: /etc/kubernetes/manifests/kube-*.yaml")
		if strings.Count(images, ":v"+version) != 3 {
			t.Errorf("%s has %s", n.Name, images)
		}
		if left := l.insideMember(t, n, "ls -d /etc/kubernetes/tmp/kubeadm-* 2>/dev/null || true"); left != "" {
			t.Errorf("kubeadm's copies are left: %s", left)
		}
	}
	kubectl := "kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system get "
	if image := l.insideMember(t, nodes[0], kubectl+"ds kube-proxy -o jsonpath={..image}"); !strings.HasSuffix(strings.TrimSpace(image), ":v"+version) {
		t.Errorf("kube-proxy is %s", image)
	}
	if cordoned := l.insideMember(t, nodes[0], kubectl+"nodes -o jsonpath={..unschedulable}"); cordoned != "" {
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
		minor.want(t)
		t.Logf("deployed %s in %.0f s", minor.kubernetes(t), minor.applied(t).Seconds())
		minor.running(t, minor.kubernetes(t))
	})
	t.Run("a restart needs a word", func(t *testing.T) {
		patch.want(t)
		out, code := patch.deploy(t, "apply")
		if code != 1 {
			t.Fatalf("an upgrade without --allow: status %d\n%s", code, out)
		}
		minor.running(t, minor.kubernetes(t))
	})
	t.Run("minor", func(t *testing.T) {
		upgradeUnderLoad(t, patch, func() { patch.applied(t, "--allow", "restart") })
		patch.running(t, patch.kubernetes(t))
	})
	t.Run("patch, killed in between", func(t *testing.T) {
		l.want(t)
		upgradeUnderLoad(t, l, func() {
			l.killedApply(t, "kubeadm upgrade node", 10*time.Second)
			l.applied(t, "--allow", "restart")
		})
		l.running(t, l.kubernetes(t))
	})
}

// killedApply runs apply and kills it, a while after it says something.
func (l lab) killedApply(t *testing.T, says string, after time.Duration) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	f, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // only read back
	// The process group is killed, so that nothing of the deployer goes on; agents on the hosts are not in it.
	cmd := exec.CommandContext(t.Context(), l.program, append([]string{"exec", "--dir", l.dir, "--"}, l.deployArgs("apply", "--allow", "restart")...)...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = f, f, &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for deadline := time.Now().Add(15 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		text, _ := os.ReadFile(out)
		if strings.Contains(string(text), says) {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("apply ended before it said %q: %v\n%s", says, err, text)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("apply never said %q\n%s", says, text)
		}
	}
	time.Sleep(after)
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("apply ended by itself before it was killed")
	}
	text, _ := os.ReadFile(out)
	t.Logf("killed %s after it said %q:\n%s", after, says, lastLines(string(text), 4))
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// TestUpgradeKilled kills an upgrade where it hurts: kubeadm itself, in the middle of "kubeadm upgrade apply" and in its addon
// phase. One host is enough.
func TestUpgradeKilled(t *testing.T) {
	l := open(t)
	patch := l.other(t, "BUNDLE_PATCH_BEFORE")
	patch.want(t)
	patch.applied(t)
	l.want(t)
	first := l.members(t)[0]
	for _, at := range []struct{ reason, test string }{
		{"while the API server is replaced", "grep -q :v" + l.kubernetes(t) + " /etc/kubernetes/manifests/kube-apiserver.yaml"},
		// Addons come right after kubelet's configuration, of which kubeadm keeps a copy here.
		{"before the addons are changed", "ls -d /etc/kubernetes/tmp/kubeadm-kubelet-config* 2>/dev/null"},
	} {
		t.Run(at.reason, func(t *testing.T) {
			done := make(chan string, 1)
			go func() {
				out, code := l.deploy(t, "apply", "--allow", "restart")
				done <- fmt.Sprintf("status %d\n%s", code, lastLines(out, 5))
			}()
			// The container's kubeadm is killed as soon as the test is true.
			l.insideMember(t, first, "for i in $(seq 6000); do if "+at.test+" >/dev/null && pgrep -x kubeadm >/dev/null; then pkill -9 -x kubeadm; exit 0; fi; sleep 0.05; done; exit 1")
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
	l.want(t)
	l.applied(t, "--allow", "restart")
	nodes := l.members(t)
	l.want(t, "kubernetes_oidc_issuer_url: https://keycloak.example.com/realms/k8s", "kubernetes_oidc_client_id: k8s",
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
		if out := l.insideMember(t, n, "grep oidc-issuer-url /etc/kubernetes/manifests/kube-apiserver.yaml; cat /var/lib/kubelet/config.yaml"); !strings.Contains(out, "keycloak.example.com") || !strings.Contains(out, "failSwapOn: false") {
			t.Errorf("%s runs with %s", n.Name, out)
		}
	}
	l.want(t)
	l.applied(t, "--allow", "restart")
	for _, n := range nodes {
		if out := l.insideMember(t, n, "cat /etc/kubernetes/manifests/kube-apiserver.yaml /var/lib/kubelet/config.yaml"); strings.Contains(out, "keycloak.example.com") || strings.Contains(out, "failSwapOn: false") {
			t.Errorf("%s still runs with what was taken out of the configuration:\n%s", n.Name, out)
		}
	}
}
