package deploy

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestFaultsStanding is what happens to a deployment that stands: a member that fails while others are changed, a host
// that loses power, a node that is gone for good.
func TestFaultsStanding(t *testing.T) {
	l := open(t)
	l.configure(t)
	l.apply(t)
	l.converged(t)
	// Each one needs what the one before leaves.
	_ = t.Run("an etcd member stops during a rolling change", l.rollingChange) &&
		t.Run("a host loses power", l.powerOff) &&
		t.Run("a dead node is replaced", l.replace)
}

// stopEtcd stops a node's etcd member for good, and gives what starts it again.
func (l lab) stopEtcd(t *testing.T, n node) func() {
	t.Helper()
	l.inside(t, n, `mv /etc/kubernetes/manifests/etcd.yaml /root/etcd.yaml; for id in $(crictl ps -q --name '^etcd$'); do crictl stop -t 0 $id || true; done`)
	l.until(t, time.Minute, "etcd stops", func() (bool, string) {
		out, code := l.sh(t, n.host, "lxc-attach -n "+n.name+" -- "+etcdctl+"endpoint health")
		return code != 0, out
	})
	return func() {
		l.inside(t, n, `test ! -e /root/etcd.yaml || mv /root/etcd.yaml /etc/kubernetes/manifests/etcd.yaml`)
		// The API server beside it died with it more than once, and kubelet waits up to five minutes before it starts one
		// again.
		l.until(t, 8*time.Minute, "all members serve", func() (bool, string) {
			out, code := l.deploy(t, "status")
			return code != 1, out
		})
	}
}

func (l lab) rollingChange(t *testing.T) {
	nodes := l.three(t)
	change := l.dir + "/openstack_deploy/user_change.yml"
	if err := os.WriteFile(change, []byte("containerd_debug_level: debug\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(change) }) // a test that failed leaves no configuration to the next; one that passed removed it
	changed := func(n node) bool {
		return strings.Contains(l.inside(t, n, "cat /etc/containerd/config.toml"), `"debug"`)
	}

	// A member that is down before: the plan is refused.
	start := l.stopEtcd(t, nodes[2])
	out, code := l.try(t, "apply")
	if code != 1 || !strings.Contains(out, "danger: "+nodes[2].name+": does not serve") {
		t.Errorf("status %d, want 1 and a danger:\n%s", code, out)
	}
	for _, n := range nodes {
		if changed(n) {
			t.Errorf("%s was changed all the same", n.name)
		}
	}
	start()

	// A member that stops after its turn: nobody else's turn comes.
	r := l.start(t, "apply")
	if !r.await(regexp.MustCompile(regexp.QuoteMeta(nodes[0].name)+`: changed`), 5*time.Minute) {
		t.Fatalf("the first node was not changed:\n%s", r.output())
	}
	start = l.stopEtcd(t, nodes[0])
	out, code = r.wait()
	if code != 1 || !strings.Contains(out, "not going on") || !strings.Contains(out, nodes[0].name) {
		t.Errorf("status %d, want 1 and why it does not go on:\n%s", code, tailOf(out))
	}
	if changed(nodes[2]) {
		t.Error("the last node was changed while a member did not serve")
	}
	start()
	l.apply(t)
	for _, n := range nodes {
		if !changed(n) {
			t.Errorf("%s was not changed by the run after", n.name)
		}
	}
	if err := os.Remove(change); err != nil {
		t.Fatal(err)
	}
	l.apply(t)
	l.converged(t)
}

func tailOf(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}

// poll asks the API server through the internal VIP, with a new connection each time, as long as the test goes on.
func (l lab) poll(t *testing.T) func() (asked, failed int, gap time.Duration) {
	t.Helper()
	vip := vipOf(l.kubectl(t, l.nodes(t)[0], "config view -o jsonpath={.clusters[0].cluster.server}"))
	file := t.TempDir() + "/poll"
	script := fmt.Sprintf(`for i in $(seq 6000); do
		if [ "$(curl -sk --max-time 10 https://%s/readyz)" = ok ]; then s=ok; else s=no; fi
		echo "$(date +%%s.%%N) $s"; sleep 0.1
	done >%s`, vip, file)
	cmd := exec.CommandContext(t.Context(), l.program, "exec", "--dir", l.dir, "--", "sh", "-c", script)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // so that it ends what it runs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() (asked, failed int, gap time.Duration) {
		_ = cmd.Cancel()
		_ = cmd.Wait() // it was stopped
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		last := 0.0
		for line := range strings.Lines(string(text)) {
			at, state, _ := strings.Cut(strings.TrimSpace(line), " ")
			now, err := strconv.ParseFloat(at, 64)
			if err != nil {
				continue
			}
			asked++
			if state != "ok" {
				failed++
				continue
			}
			if last > 0 {
				gap = max(gap, time.Duration((now-last)*float64(time.Second)))
			}
			last = now
		}
		return asked, failed, gap
	}
}

func vipOf(server string) string { return strings.TrimPrefix(strings.TrimSpace(server), "https://") }

func (l lab) powerOff(t *testing.T) {
	nodes := l.three(t)
	stop := l.poll(t)
	time.Sleep(5 * time.Second)
	l.power(t, "off", nodes[1].host)
	began := time.Now()
	out, code := l.try(t, "status")
	if code != 1 || !strings.Contains(out, "its host does not answer") {
		t.Errorf("status while %s is off: %d\n%s", nodes[1].host, code, out)
	}
	if out, code := l.try(t, "apply"); code != 1 || !strings.Contains(out, "host "+nodes[1].host+": ") {
		t.Errorf("apply while %s is off: status %d\n%s", nodes[1].host, code, out)
	}
	// Nothing is lost and things can be written, by way of the VIP.
	l.until(t, 2*time.Minute, "an object is written", func() (bool, string) {
		out, code := l.sh(t, nodes[0].host, "lxc-attach -n "+nodes[0].name+" -- kubectl --kubeconfig /etc/kubernetes/admin.conf create configmap written -n default --dry-run=client -o yaml | lxc-attach -n "+nodes[0].name+" -- kubectl --kubeconfig /etc/kubernetes/admin.conf apply -f -")
		return code == 0, out
	})
	t.Logf("the first write through the VIP was %.1f s after the plug was pulled", time.Since(began).Seconds())
	time.Sleep(time.Until(began.Add(time.Minute))) // past haproxy's checks
	l.power(t, "on", nodes[1].host)
	back := l.until(t, 8*time.Minute, "the host comes back", func() (bool, string) {
		out, code := l.deploy(t, "status")
		return code == 0, out
	})
	asked, failed, gap := stop()
	t.Logf("%d requests through the VIP, %d failed, the longest time without an answer was %.1f s; everything serves %.0f s after power came back", asked, failed, gap.Seconds(), back.Seconds())
	if asked < 50 || gap > 2*time.Minute {
		t.Errorf("the API did not stay up")
	}
	l.kubectl(t, nodes[1], "delete configmap written -n default")
	l.converged(t)
}

// power pulls a host's plug ("off") or puts it back ("on").
func (l lab) power(t *testing.T, verb, host string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), l.program, verb, "--dir", l.dir, host).CombinedOutput(); err != nil {
		t.Fatalf("lab %s %s: %v: %s", verb, host, err, out)
	}
}

func (l lab) replace(t *testing.T) {
	nodes := l.three(t)
	dead := nodes[2]
	before := l.kubectl(t, nodes[0], "get node "+dead.name+" -o jsonpath={.metadata.uid}")
	l.ssh(t, dead.host, "lxc-stop -k -n "+dead.name+"; rm -rf /var/lib/lxc/"+dead.name)
	out, code := l.try(t, "apply")
	if code != 1 || !strings.Contains(out, "--replace "+dead.name) {
		t.Fatalf("a lost member: status %d, want 1 and what to do\n%s", code, out)
	}
	l.apply(t, "--replace", dead.name, "--allow", "delete")
	if after := l.kubectl(t, nodes[0], "get node "+dead.name+" -o jsonpath={.metadata.uid}"); after == before {
		t.Error("the Node is the old one")
	}
	l.converged(t)
	l.single(t)
}

// single looks for what there is twice or too much.
func (l lab) single(t *testing.T) {
	t.Helper()
	nodes := l.nodes(t)
	var names []string
	for _, n := range nodes {
		names = append(names, n.name)
		if got := strings.Fields(l.ssh(t, n.host, "ls /var/lib/lxc")); len(got) != 1 || got[0] != n.name {
			t.Errorf("%s has the containers %q", n.host, got)
		}
		l.until(t, time.Minute, "agents end", func() (bool, string) {
			out, code := l.sh(t, n.host, "pgrep -af '^/usr/local/lib/jeroboam/agent'")
			return code == 1, out
		})
		left := l.ssh(t, n.host, "cd /var/lib/lxc/"+n.name+`; find rootfs.new rootfs.gone /var/lib/jeroboam/blobs/sha256/new-* rootfs/var/lib/jeroboam/blobs 2>/dev/null
			find rootfs -xdev \( -name '.*.jeroboam-*' -o -name '*.jeroboam-new' \)`)
		if left += l.inside(t, n, "find /run/jeroboam -type f 2>/dev/null || true"); left != "" {
			t.Errorf("%s: runs have left %s", n.name, left)
		}
	}
	members := l.inside(t, nodes[0], etcdctl+"member list")
	if strings.Count(members, "\n") != len(nodes) || strings.Count(members, ", started, ") != len(nodes) || strings.Contains(members, ", true\n") {
		t.Errorf("etcd has the members\n%s", members)
	}
	for _, name := range names {
		if strings.Count(members, ", "+name+", ") != 1 {
			t.Errorf("etcd's members of %s:\n%s", name, members)
		}
	}
	if got := strings.Fields(l.kubectl(t, nodes[0], "get nodes -o jsonpath={.items[*].metadata.name}")); cmp.Diff(names, got) != "" {
		t.Errorf("Nodes: %q, want %q", got, names)
	}
}

// TestFaultsInterrupted is what happens while a deployment is made or removed: the deployer is killed, a disk is full,
// a connection is lost.
func TestFaultsInterrupted(t *testing.T) {
	l := open(t)
	l.configure(t)
	if out, code := l.deploy(t, "destroy", "--allow", "delete"); code != 0 {
		t.Fatalf("destroy: status %d\n%s", code, out)
	}
	before := l.files(t)
	// Each one needs what the one before leaves.
	_ = t.Run("there is no room on a disk", l.noRoom) &&
		t.Run("the deployer is killed ten times", l.killed) &&
		t.Run("destroy is killed, and leaves nothing that we made", func(t *testing.T) { l.destroyed(t, before) }) &&
		t.Run("a disk fills up, then a host is cut off", l.cutOff)
}

func (l lab) noRoom(t *testing.T) {
	nodes := l.nodes(t)
	host := nodes[len(nodes)-1].host
	l.ssh(t, host, "mount -t tmpfs -o size=1g tmpfs /var/lib/lxc")
	out, code := l.try(t, "apply")
	l.ssh(t, host, "umount /var/lib/lxc")
	if code != 1 || !strings.Contains(out, "host "+host+": 1 GiB are free in /var/lib/lxc") || !strings.Contains(out, "nothing was changed") {
		t.Errorf("status %d, want 1 and which disk:\n%s", code, out)
	}
	for _, n := range nodes {
		if got := l.ssh(t, n.host, "ls -A /var/lib/lxc /var/lib/jeroboam 2>/dev/null | grep -v : || true"); strings.TrimSpace(got) != "" {
			t.Errorf("%s was changed: %s", n.host, got)
		}
	}
}

// killed kills the deployer at ten random moments of an apply from empty hosts. If it is faster than that, the hosts
// are emptied and it goes on.
func (l lab) killed(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	kills := 0
	for runs := 0; kills < 10; runs++ {
		if runs == 30 {
			t.Fatal("thirty runs, and not ten of them could be killed")
		}
		r := l.start(t, "apply")
		moment := time.Duration(random.Int64N(int64(20 * time.Second)))
		if r.await(regexp.MustCompile(`(?m)^\[ *[0-9.]+ s\]`), 12*time.Minute) {
			select {
			case <-time.After(moment):
			case <-r.done:
			}
		}
		if r.kill() {
			kills++
			lines := strings.Split(strings.TrimSpace(r.output()), "\n")
			t.Logf("killed %d: %.1f s after the first change, at %q", kills, moment.Seconds(), lines[len(lines)-1])
			continue
		}
		if out, code := r.wait(); code != 0 {
			t.Fatalf("a run that was not killed failed, status %d:\n%s", code, tailOf(out))
		}
		t.Logf("converged after %d kills: beginning again", kills)
		if out, code := l.deploy(t, "destroy", "--allow", "delete"); code != 0 {
			t.Fatalf("destroy: status %d\n%s", code, out)
		}
	}
	l.apply(t)
	l.converged(t)
	l.single(t)
}

// files are the paths on the hosts that a deployment could leave something in.
func (l lab) files(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	hosts, _ := l.hosts(t)
	for _, host := range hosts {
		out[host] = l.ssh(t, host, `find /etc /root /opt /openstack /usr/local /var/lib /var/log -xdev \( -path /var/log/journal -o -path /var/lib/systemd -o -path '/var/lib/keystone/keystone.db-*' \) -prune -o -print | sort
			sha256sum /etc/haproxy/conf.d/* /etc/haproxy/haproxy.cfg 2>/dev/null || true`)
	}
	return out
}

func (l lab) destroyed(t *testing.T, before map[string]string) {
	t.Helper()
	// A container that somebody else made, and a fragment that somebody else wrote: both stay.
	l.ssh(t, "infra1", "mkdir -p /var/lib/lxc/somebody/rootfs/etc; echo '# of somebody' >/var/lib/lxc/somebody/config")
	out, code := l.try(t, "destroy")
	if code != 1 || !strings.Contains(out, "danger") {
		t.Fatalf("destroy without --allow delete: status %d\n%s", code, out)
	}
	r := l.start(t, "destroy", "--allow", "delete")
	if !r.await(regexp.MustCompile(`remove container`), 2*time.Minute) || !r.kill() {
		t.Fatalf("it was not killed:\n%s", r.output())
	}
	out, code = l.deploy(t, "destroy", "--allow", "delete")
	if code != 0 {
		t.Fatalf("destroy after a killed one: status %d\n%s", code, out)
	}
	if got := l.ssh(t, "infra1", "cat /var/lib/lxc/somebody/config; rm -r /var/lib/lxc/somebody"); got != "# of somebody\n" {
		t.Errorf("somebody's container: %q", got)
	}
	if diff := cmp.Diff(before, l.files(t), cmp.Transformer("lines", func(s string) []string { return strings.Split(s, "\n") })); diff != "" {
		t.Errorf("the hosts are not as they were (-before +after):\n%s", diff)
	}
	out, code = l.deploy(t, "destroy", "--allow", "delete")
	if code != 0 || !strings.Contains(out, "no changes") {
		t.Errorf("a second destroy: status %d\n%s", code, out)
	}
}

// cutOff fills the disk of one host in the middle of a run from empty hosts, then cuts another one off in the middle of
// the next.
func (l lab) cutOff(t *testing.T) {
	nodes := l.nodes(t)
	host, cut := nodes[len(nodes)-1].host, nodes[len(nodes)/2]
	// Twelve gigabytes are room enough for preflight; nothing of them is used, because then there are only 150 megabytes.
	l.ssh(t, host, "mkdir -p /var/lib/jeroboam && mount -t tmpfs -o size=12g tmpfs /var/lib/jeroboam")
	r := l.start(t, "apply")
	if !r.await(regexp.MustCompile(`\d+ changes in \d+ places`), 3*time.Minute) {
		t.Fatalf("no plan:\n%s", r.output())
	}
	l.ssh(t, host, "mount -o remount,size=$(( $(df -k --output=used /var/lib/jeroboam | tail -1) + 150000 ))k /var/lib/jeroboam")
	out, code := r.wait()
	if code != 1 || !strings.Contains(out, "no space left on device") || !strings.Contains(out, host) || !strings.Contains(out, "make room there") {
		t.Errorf("status %d, want 1, the host and what to do:\n%s", code, tailOf(out))
	}
	l.ssh(t, host, "umount /var/lib/jeroboam")

	r = l.start(t, "apply")
	if !r.await(regexp.MustCompile(regexp.QuoteMeta(cut.name)+`: (create|update) unit`), 10*time.Minute) {
		t.Fatalf("%s was not begun:\n%s", cut.name, r.output())
	}
	if out, code := l.run(t, "ip", "link", "set", cut.host, "down"); code != 0 {
		t.Fatal(out)
	}
	began := time.Now()
	out, code = r.wait()
	t.Logf("the run ended %.0f s after the host was cut off", time.Since(began).Seconds())
	if code != 1 || !strings.Contains(out, "host "+cut.host+": the connection to the host is gone") || !strings.Contains(out, "running again goes on") {
		t.Errorf("status %d, want 1 and the host's name:\n%s", code, tailOf(out))
	}
	out, code = l.deploy(t, "plan")
	if code != 1 {
		t.Errorf("a plan without a host: status %d\n%s", code, out)
	}
	if out, code := l.run(t, "ip", "link", "set", cut.host, "up"); code != 0 {
		t.Fatal(out)
	}
	l.apply(t)
	l.converged(t)
	l.single(t)
}
