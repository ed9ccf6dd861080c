package cloud

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPrivate is a cluster whose API server has no floating address: Jeroboam and Cluster API reach it through "jeroboam proxy", which
// enters the namespace that Neutron's DHCP agent made for the cluster's network. The proxy has the rights of its own manifests.
// Cluster API knows the proxy by the name that the management cluster's DNS would have; here /etc/hosts says it.
func TestPrivate(t *testing.T) {
	w := newWorld(t)
	before := w.inventory(t)
	w.proxy(t)
	w.template(t, "private", "cilium", "--labels", labels+",master_lb_floating_ip_enabled=false", "--master-lb-enabled")
	began := time.Now()
	w.create(t, "private", "private", 1, 1)
	c := w.mustCluster(t, "private")
	w.knows(t, proxyAddress+" "+c.Stack+".magnum-system")
	s := w.reaches(t, "private", "CREATE_COMPLETE", 15*time.Minute)
	t.Logf("complete %.0f s after the request", time.Since(began).Seconds())
	w.whereTimeWent(t, s, began)
	if strings.Contains(s.APIAddress, "10.78.0.") {
		t.Errorf("its API is at %s, which is public", s.APIAddress)
	}
	config := filepath.Join(w.work, "private")
	text, err := w.manage(t, "get", "secret", s.Stack+"-kubeconfig", "-o", "go-template={{.data.value | base64decode}}")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "server: https://"+s.Stack+".magnum-system:6443") {
		t.Error("the kubeconfig does not lead to the proxy")
	}
	w.nodesAreReady(t, config, "private", 2)
	w.say(t, w.tenant, "coe", "cluster", "resize", "private", "2")
	w.reaches(t, "private", "UPDATE_COMPLETE", 15*time.Minute)
	w.nodesAreReady(t, config, "private", 3)
	w.delete(t, "private")
	w.nothingLeft(t, before, s)
}

const proxyAddress = "10.77.0.1"

// proxy runs the proxy where Neutron's namespaces are, and what keeps its rights beside the management cluster.
func (w *world) proxy(t *testing.T) {
	t.Helper()
	admin := filepath.Join(w.state, "management.kubeconfig")
	jeroboam := place(t, "JEROBOAM")
	w.mustExec(t, time.Minute, "", "sh", "-c", jeroboam+" proxy manifests | kubectl --kubeconfig "+admin+" apply -f -")
	token := strings.TrimSpace(w.mustExec(t, time.Minute, "", "kubectl", "--kubeconfig", admin, "-n", "jeroboam-proxy", "create", "token", "jeroboam-proxy", "--duration", "2h"))
	rights := filepath.Join(w.work, "proxy.kubeconfig")
	w.mustExec(t, time.Minute, "", "sh", "-c", "umask 077 && cp "+admin+" "+rights+" && k='kubectl --kubeconfig "+rights+"' && "+
		"for u in $($k config get-users | tail -n +2); do $k config delete-user $u; done")
	setUser := w.command(t.Context(), "", "sh", "-c", "k='kubectl --kubeconfig "+rights+"' && $k config set-credentials proxy --token=$(cat) && "+
		"$k config set-context $($k config current-context) --user=proxy")
	setUser.Stdin = strings.NewReader(token) // not in an argument
	if out, err := setUser.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	// Its own network is the management cluster's; Neutron's namespaces have names where its agents live.
	agent, err := exec.CommandContext(t.Context(), "pgrep", "-of", "neutron-dhcp-agent").Output()
	if err != nil {
		t.Fatalf("where is the DHCP agent? %v", err)
	}
	w.background(t, "access", jeroboam, "proxy", "access", "--watch", "--kubeconfig", admin)
	w.background(t, "proxy", jeroboam, "proxy", "run", "--kubeconfig", rights, "--bind", proxyAddress, "--port", "6443", "--host", "e2e",
		"--netns-dir", filepath.Join("/proc", strings.TrimSpace(string(agent)), "root/run/netns"))
}

// background runs something in the cloud's network until the test ends.
func (w *world) background(t *testing.T, name string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(w.work, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := w.command(context.WithoutCancel(t.Context()), "", args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended by itself
		_ = cmd.Wait()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name()) // only to be shown
			t.Logf("%s said:\n%s", name, text)
		}
	})
}

// knows adds a line to the /etc/hosts of the cloud's network, which is its own mount name space's and nobody else's.
func (w *world) knows(t *testing.T, line string) {
	t.Helper()
	hosts := filepath.Join(w.work, "hosts")
	text, err := os.ReadFile("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hosts, fmt.Appendf(text, "\n%s\n", line), 0o644); err != nil {
		t.Fatal(err)
	}
	w.mustExec(t, time.Minute, "", "mount", "--bind", hosts, "/etc/hosts")
	t.Cleanup(func() {
		_ = w.command(context.WithoutCancel(t.Context()), "", "umount", "/etc/hosts").Run() // the name space ends with the cloud
	})
}
