package deploy

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// TestWhole is an operator's whole journey on empty hosts with a Keystone beside them ("lab up --hosts 3 --keystone"):
// one apply makes the management cluster, servers of Magnum behind TLS, and the proxies; clients find them on both
// addresses; a second apply changes nothing; destroy leaves nothing. With three hosts, servers are changed one after
// the other, one is killed, and a host loses power, while clients work. What is not in it is the rest of a cloud: no
// cluster is made.
func TestWhole(t *testing.T) {
	l := open(t)
	if _, err := os.Stat(l.dir + "/authorities/public.crt"); err != nil {
		t.Skip("this needs a lab with a Keystone: lab up --hosts 3 --keystone")
	}
	l.configure(t, wholeSettings(l.shell(t) != "")...)
	nodes, before := l.nodes(t), l.files(t)
	began := time.Now()
	out := l.apply(t)
	for line := range strings.Lines(out) {
		if strings.Contains(line, ": done (") {
			t.Log(strings.TrimSpace(line)) // where the time goes
		}
	}
	t.Logf("one apply, %s from empty hosts", time.Since(began).Round(time.Second))
	l.converged(t)
	began = time.Now()
	if again := l.apply(t); !strings.Contains(again, "no changes") {
		t.Errorf("a second apply changes something:\n%s", again)
	}
	t.Logf("a second apply, %s", time.Since(began).Round(time.Second))
	m := magnumLab{lab: l, node: nodes[0], servers: l.group(t, "magnum_container")}
	if len(m.servers) != len(nodes) {
		t.Fatalf("Magnum has the servers %+v", m.servers)
	}
	if l.shell(t) != "" {
		t.Run("without kube-proxy", l.withoutKubeProxy)
	}
	t.Run("clients find Magnum", m.clients)
	t.Run("the proxies run", func(t *testing.T) {
		for _, n := range nodes {
			if out := l.ssh(t, n.host, "/usr/local/bin/jeroboam proxy status --output json"); !strings.Contains(out, `"ready":true`) {
				t.Errorf("%s: %s", n.host, out)
			}
		}
	})
	if len(nodes) == 3 {
		t.Run("servers are changed one after the other", m.rolled)
		t.Run("a server is killed", m.serverKilled)
		t.Run("a host loses power", m.hostLost)
	}
	t.Run("destroy leaves nothing", func(t *testing.T) {
		began := time.Now()
		if out, code := l.deploy(t, "destroy", "--allow", "delete"); code != 0 {
			t.Fatalf("destroy: status %d\n%s", code, out)
		}
		t.Logf("destroyed in %s", time.Since(began).Round(time.Second))
		if diff := cmp.Diff(before, l.files(t), cmpopts.AcyclicTransformer("lines", func(s string) []string { return strings.Split(s, "\n") })); diff != "" {
			t.Errorf("the hosts are not as they were (-before +after):\n%s", diff)
		}
	})
}

// wholeSettings are the operator's words beside the seed's files; with Cilium there is no kube-proxy.
func wholeSettings(cilium bool) []string {
	out := []string{"openstack_service_backend_ssl: true"}
	if cilium {
		out = append(out, "kubernetes_remove_kube_proxy: true")
	}
	return out
}

// worker is a client that asks all the time, each time with a new connection, and tries again what failed, up to so
// many times a request. Each line it writes is a request: when it began, how long it took, how often it was tried,
// whether it was answered in the end.
const worker = `
import socket, ssl, sys, time, urllib.request
url, token, ca, out, most, at = sys.argv[1:]
if at: # whatever the name, there
    real, there = socket.create_connection, (at.rpartition(":")[0], int(at.rpartition(":")[2]))
    socket.create_connection = lambda address, *more, **named: real(there, *more, **named)
context = ssl.create_default_context(cafile=ca) if ca else ssl._create_unverified_context()
with open(out, "w", buffering=1) as lines:
    while True:
        began, tries, ok = time.time(), 0, False
        while tries < int(most) and not ok:
            tries += 1
            try:
                urllib.request.urlopen(urllib.request.Request(url, headers={"X-Auth-Token": token}), timeout=10, context=context).read()
                ok = True
            except Exception as e:
                why = str(e)
                time.sleep(0.3)
        lines.write(f"{began} {time.time() - began} {tries} {'ok' if ok else 'failed: ' + why}\n")
        time.sleep(0.1)
`

// request is one of a worker's.
type request struct {
	began time.Time
	took  time.Duration
	tries int
	ok    bool
	why   string
}

// work starts a worker on the deploy host; what it returns stops it and gives its requests.
func (l lab) work(t *testing.T, url, token, ca string) func() []request {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/worker.py", []byte(worker), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), l.program, "exec", "--dir", l.dir, "--", "python3", dir+"/worker.py", url, token, ca, dir+"/requests", "5", "")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // so that it ends what it runs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() []request {
		_ = cmd.Cancel()
		_ = cmd.Wait() // it was stopped
		text, err := os.ReadFile(dir + "/requests")
		if err != nil {
			t.Fatal(err)
		}
		return requests(t, string(text))
	}
}

// workBy is work where sh runs scripts, behind a prefix to the command, at an address that the URL's name need not lead
// to ("" for its own); nobody's certificate is verified.
func workBy(t *testing.T, sh func(script string) string, most int, prefix, url, at string) func() []request {
	t.Helper()
	sh("cat > /tmp/worker.py <<'END'\n" + worker + "END\n" + prefix + " python3 /tmp/worker.py " + url + " '' '' /tmp/requests " + strconv.Itoa(most) + " '" + at +
		"' >/dev/null 2>&1 </dev/null & echo $! > /tmp/worker.pid")
	return func() []request {
		return requests(t, sh("kill $(cat /tmp/worker.pid); cat /tmp/requests; rm /tmp/requests /tmp/worker.py /tmp/worker.pid"))
	}
}

// requests reads what a worker wrote.
func requests(t *testing.T, text string) (out []request) {
	t.Helper()
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 4)
		if len(f) < 4 {
			continue // the last line, cut short
		}
		began, err := strconv.ParseFloat(f[0], 64)
		took, err2 := strconv.ParseFloat(f[1], 64)
		tries, err3 := strconv.Atoi(f[2])
		if err != nil || err2 != nil || err3 != nil {
			t.Fatalf("the worker wrote %q", line)
		}
		out = append(out, request{time.UnixMicro(int64(began * 1e6)), time.Duration(took * 1e9), tries, f[3] == "ok", f[3]})
	}
	return out
}

// sum says how requests went; those that failed are told one by one.
func sum(t *testing.T, of string, all []request) (failed int) {
	t.Helper()
	again, longest := 0, time.Duration(0)
	for _, r := range all {
		longest = max(longest, r.took)
		if r.tries > 1 {
			again++
		}
		if !r.ok {
			failed++
			t.Logf("%s: a request of %s, %s: %s", of, r.began.Format(time.TimeOnly), r.took.Round(time.Millisecond), r.why)
		}
	}
	t.Logf("%s: %d requests, %d tried again, %d failed, the longest took %s", of, len(all), again, failed, longest.Round(time.Millisecond))
	return failed
}

// token is one of Keystone's administrator.
func (m magnumLab) token(t *testing.T) string {
	t.Helper()
	out, code := m.openstack(t, true, "token", "issue", "-f", "value", "-c", "id")
	if code != 0 {
		t.Fatalf("token issue: status %d: %s", code, out)
	}
	return strings.TrimSpace(out)
}

// workers are two clients of Magnum, one on each virtual address, which each trust their own authority.
func (m magnumLab) workers(t *testing.T) func() (failed int) {
	t.Helper()
	token := m.token(t)
	inside := m.work(t, "https://"+vip+":9511/v1/clusters", token, m.authority(true))
	outside := m.work(t, "https://openstack.example.com:9511/v1/clusters", token, m.authority(false))
	time.Sleep(5 * time.Second)
	return func() int {
		time.Sleep(5 * time.Second)
		a, b := inside(), outside()
		if len(a) < 20 || len(b) < 20 {
			t.Errorf("the clients have asked %d and %d times", len(a), len(b))
		}
		return sum(t, "internal address", a) + sum(t, "external address", b)
	}
}

func (m magnumLab) rolled(t *testing.T) {
	stop := m.workers(t)
	m.overrides(t, "user_magnum_test.yml", "debug: true")
	t.Logf("three servers changed in %s", m.applied(t).Round(time.Second))
	for _, s := range m.servers {
		if text := m.inside(t, s, "cat /etc/magnum/magnum.conf"); !strings.Contains(text, "debug = True") {
			t.Errorf("%s was not changed", s.name)
		}
	}
	if failed := stop(); failed > 0 {
		t.Errorf("%d requests failed", failed)
	}
}

func (m magnumLab) serverKilled(t *testing.T) {
	stop := m.workers(t)
	m.inside(t, m.servers[1], "systemctl kill -s KILL jeroboam")
	m.until(t, time.Minute, "it is back", func() (bool, string) {
		out, code := m.sh(t, m.servers[1].host, "lxc-attach -n "+m.servers[1].name+" -- systemctl is-active jeroboam")
		return code == 0, out
	})
	if failed := stop(); failed > 0 {
		t.Errorf("%d requests failed", failed)
	}
}

// hostLost pulls a host's plug: clients of the API and of Magnum at the virtual addresses come through again in under
// five seconds in all.
func (m magnumLab) hostLost(t *testing.T) {
	nodes := m.three(t)
	stop := m.workers(t)
	api := m.work(t, "https://"+vip+":6443/readyz", "", "")
	time.Sleep(3 * time.Second)
	pulled := time.Now()
	m.power(t, "off", nodes[2].host)
	time.Sleep(time.Minute)
	m.power(t, "on", nodes[2].host)
	back := m.until(t, 8*time.Minute, "the host comes back", func() (bool, string) {
		out, code := m.deploy(t, "status")
		return code == 0, out
	})
	asked := api()
	t.Logf("everything serves %s after power came back", back.Round(time.Second))
	if failed := sum(t, "the API", asked); failed > 0 {
		t.Errorf("%d requests failed", failed)
	}
	gap, slow := slowSince(asked, pulled)
	t.Logf("the last request that took over a second ended %s after the plug was pulled; %d of them did", gap.Round(time.Millisecond), slow)
	if gap > 5*time.Second {
		t.Errorf("the gap is %s, not under five seconds", gap)
	}
	if failed := stop(); failed > 0 {
		t.Errorf("%d requests to Magnum failed", failed)
	}
	if p, code := m.plan(t); code != 0 {
		t.Errorf("after it there are changes: %s", plan.Summary(p))
	}
}
