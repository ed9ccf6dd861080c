package cloud

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy"
)

// TestPrivate is a cluster whose API server has no floating IP. Nobody in the management cluster's network reaches it
// but through "jeroboam proxy", which runs where Neutron is, as its shipped unit has it, and enters the namespace that
// Neutron made.
func TestPrivate(t *testing.T) {
	w := newWorld(t)
	before := w.inventory(t)
	w.installProxy(t)
	w.template(t, "private", network(), "--master-lb-enabled", "--labels", labels+",master_lb_floating_ip_enabled=false")
	began := time.Now()
	w.create(t, "private", "private", 1, 1)
	s := w.reaches(t, "private", "CREATE_COMPLETE", 15*time.Minute)
	t.Logf("complete %.0f s after the request, addons and all", time.Since(began).Seconds())
	w.whereTimeWent(t, s, began)

	network := w.say(t, w.tenant, "network", "list", "--name", "k8s-clusterapi-cluster-magnum-system-"+s.Stack, "-f", "value", "-c", "ID")
	t.Run("the way leads through Neutron's namespace", func(t *testing.T) {
		c := w.proxied(t, s.Stack)
		if c.Namespace != "qdhcp-"+network || !c.Published || c.Connections == 0 {
			t.Errorf("published, with connections, in qdhcp-%s wanted: %+v", network, c)
		}
		if config := w.config(t, "private"); w.answers(t, config) {
			t.Errorf("the API server answers at %s without a proxy", s.APIAddress)
		}
	})
	t.Run("nodes and health are known", func(t *testing.T) {
		w.health(t, "private", "HEALTHY")
		out, err := w.manage(t, "get", "machines", "-l", "cluster.x-k8s.io/cluster-name="+s.Stack, "-o", "jsonpath={.items[*].status.nodeRef.name}")
		if err != nil || len(strings.Fields(out)) != 2 {
			t.Errorf("two machines with nodes wanted: %q, %v", out, err)
		}
	})
	t.Run("a resize needs it", func(t *testing.T) {
		w.say(t, w.tenant, "coe", "cluster", "resize", "private", "2")
		w.reaches(t, "private", "UPDATE_COMPLETE", 10*time.Minute)
	})
	t.Run("without a proxy it is told, with one again it goes on", func(t *testing.T) {
		w.inside(t, "systemctl", "stop", "jeroboam-proxy@a")
		w.health(t, "private", "UNHEALTHY")
		t.Logf("told as: %s", w.say(t, w.tenant, "coe", "cluster", "show", "private", "-f", "value", "-c", "health_status_reason"))
		w.inside(t, "systemctl", "start", "jeroboam-proxy@a")
		w.health(t, "private", "HEALTHY")
	})
	if t.Failed() {
		return
	}
	t.Logf("gone %.0f s after the request", w.delete(t, "private").Seconds())
	w.nothingLeft(t, before, s)
	w.await(t, time.Minute, "the end of its Service and EndpointSlices", func() error {
		out, err := w.manage(t, "get", "services,endpointslices", "-o", "name")
		if err == nil && strings.Contains(out, s.Stack) {
			err = fmt.Errorf("%w: %s", errNotYet, out)
		}
		return err
	})
}

// health waits for a cluster's.
func (w *world) health(t *testing.T, name, want string) {
	t.Helper()
	w.await(t, 5*time.Minute, name+" is "+want, func() error {
		s, err := w.cluster(t, name)
		if err == nil && s.Health != want {
			err = fmt.Errorf("%w: it is %s", errNotYet, s.Health)
		}
		return err
	})
}

// answers tells whether an API server answers at all to who comes without a proxy.
func (w *world) answers(t *testing.T, config string) bool {
	t.Helper()
	_, err := w.exec(t, time.Minute, w.tenant, "kubectl", "--kubeconfig", config, "--request-timeout=5s", "version")
	return err == nil
}

// installProxy does what docs/proxy.md says under "Setting it up", on the host with Neutron's namespaces.
func (w *world) installProxy(t *testing.T) {
	t.Helper()
	jeroboam, management := place(t, "JEROBOAM"), filepath.Join(w.state, "management.kubeconfig")
	w.apply(t, management, w.mustExec(t, time.Minute, "", jeroboam, "proxy", "manifests"))
	w.background(t, "proxy-access", jeroboam, "proxy", "access", "--watch", "--kubeconfig", management)
	t.Cleanup(func() {
		for _, args := range [][]string{{"systemctl", "stop", "jeroboam-proxy@a"}, {"rm", "-rf", "/etc/jeroboam", "/etc/systemd/system/jeroboam-proxy@.service", "/usr/local/bin/jeroboam"}} {
			if out, err := w.insideLately(args...); err != nil {
				t.Errorf("%s: %v: %s", strings.Join(args, " "), err, out)
			}
		}
	})
	w.inside(t, "sh", "-c", "id jeroboam-proxy >/dev/null 2>&1 || useradd --system jeroboam-proxy; mkdir -p /etc/jeroboam")
	w.put(t, jeroboam, "/usr/local/bin/jeroboam", "root", "0755")
	w.put(t, w.proxyKubeconfig(t, management), "/etc/jeroboam/proxy.kubeconfig", "jeroboam-proxy", "0400")
	w.put(t, w.file(t, "proxy.default", "PROXY_PORT=8443\n"), "/etc/default/jeroboam-proxy", "root", "0644")
	w.put(t, w.file(t, "proxy.service", w.mustExec(t, time.Minute, "", jeroboam, "proxy", "manifests", "--systemd")), "/etc/systemd/system/jeroboam-proxy@.service", "root", "0644")
	w.inside(t, "systemctl", "daemon-reload")
	w.inside(t, "systemctl", "restart", "jeroboam-proxy@a")
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := w.insideLately("journalctl", "-u", "jeroboam-proxy@a", "-n", "40", "--no-pager") // only to be shown
			t.Logf("the proxy said:\n%s", out)
		}
	})
}

// proxyKubeconfig has a token of the fleet's account, which ends.
func (w *world) proxyKubeconfig(t *testing.T, management string) string {
	t.Helper()
	token, err := w.exec(t, time.Minute, "", "kubectl", "--kubeconfig", management, "-n", "jeroboam-proxy", "create", "token", "jeroboam-proxy", "--duration", "12h")
	if err != nil {
		t.Fatal(err)
	}
	return w.withToken(t, management, strings.TrimSpace(token))
}

func (w *world) file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(w.work, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// put copies a file into the cloud's own container.
func (w *world) put(t *testing.T, from, to, owner, mode string) {
	t.Helper()
	f, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.program, "inside", "--dir", w.dir, "--", "sh", "-c",
		"umask 077 && cat > "+to+".new && chown "+owner+" "+to+".new && chmod "+mode+" "+to+".new && mv "+to+".new "+to)
	cmd.Stdin = f
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("put %s: %v: %s", to, err, out)
	}
}

// proxied is what the proxy says of a cluster.
func (w *world) proxied(t *testing.T, stack string) proxy.ClusterStatus {
	t.Helper()
	out, err := w.insideLately("/usr/local/bin/jeroboam", "proxy", "status", "--output", "json")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var s proxy.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, c := range s.Clusters {
		if c.Cluster == stack {
			return c
		}
	}
	t.Fatalf("the proxy knows nothing of %s: %s", stack, out)
	return proxy.ClusterStatus{}
}
