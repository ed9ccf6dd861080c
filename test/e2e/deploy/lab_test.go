package deploy

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

// configure writes what an operator writes before the first apply: the bundle's versions, more variables, and the
// inventory.
func (l lab) configure(t *testing.T, more ...string) {
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

// kubernetes is the version the bundle has.
func (l lab) kubernetes(t *testing.T) string {
	t.Helper()
	b, err := bundle.Open(l.bundle, sign.Trust{})
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

// apply must succeed.
func (l lab) apply(t *testing.T, args ...string) string {
	t.Helper()
	out, code := l.deploy(t, "apply", args...)
	if code != 0 {
		t.Fatalf("apply %v: status %d\n%s", args, code, out)
	}
	return out
}

// applied applies, looks whether it is done, and says how long the apply took.
func (l lab) applied(t *testing.T, args ...string) time.Duration {
	t.Helper()
	began := time.Now()
	out := l.apply(t, args...)
	took := time.Since(began)
	if testing.Verbose() {
		t.Log(out)
	}
	l.converged(t)
	return took
}

// converged must have an empty plan and a status without complaint.
func (l lab) converged(t *testing.T) {
	t.Helper()
	if p, code := l.plan(t); code != 0 || !p.Empty() {
		t.Fatalf("there are changes (status %d): %s\n%+v", code, plan.Summary(p), p.Changes)
	}
	l.until(t, 3*time.Minute, "status is good", func() (bool, string) { // haproxy's checks need their time
		out, code := l.deploy(t, "status")
		return code == 0, out
	})
}

// node is a container of the inventory.
type node struct{ name, host, address string }

// nodes are in the order of their hosts.
func (l lab) nodes(t *testing.T) []node {
	t.Helper()
	return l.group(t, "k8s_container")
}

// group are the containers of a group of the inventory, in the order of their hosts.
func (l lab) group(t *testing.T, group string) []node {
	t.Helper()
	text, err := os.ReadFile(l.dir + "/openstack_deploy/openstack_inventory.json")
	if err != nil {
		t.Fatal(err)
	}
	var inventory map[string]json.RawMessage
	var meta struct {
		Hostvars map[string]struct {
			Host    string `json:"physical_host"`
			Address string `json:"management_address"`
		} `json:"hostvars"`
	}
	var members struct{ Hosts []string }
	if err := json.Unmarshal(text, &inventory); err != nil {
		t.Fatal(err)
	}
	decode(t, string(inventory["_meta"]), &meta)
	decode(t, string(inventory[group]), &members)
	var out []node
	for _, name := range members.Hosts {
		v := meta.Hostvars[name]
		out = append(out, node{name, v.Host, v.Address})
	}
	slices.SortFunc(out, func(a, b node) int { return strings.Compare(a.host, b.host) })
	if len(out) == 0 {
		t.Fatalf("the inventory has nobody in %s", group)
	}
	return out
}

// three are the nodes of a lab that can lose one.
func (l lab) three(t *testing.T) []node {
	t.Helper()
	nodes := l.nodes(t)
	if len(nodes) != 3 {
		t.Fatalf("these tests need a lab of three hosts; the inventory has the nodes %v", nodes)
	}
	return nodes
}

// hosts are the lab's, with the one of the load balancer.
func (l lab) hosts(t *testing.T) (names []string, balancer string) {
	t.Helper()
	text, err := os.ReadFile(l.dir + "/hosts.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Name     string
		Balancer bool
	}
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	for _, h := range list {
		names = append(names, h.Name)
		if h.Balancer {
			balancer = h.Name
		}
	}
	return names, balancer
}

// sh runs a script on a lab host; its status is the script's.
func (l lab) sh(t *testing.T, host, script string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), l.program, append([]string{"exec", "--dir", l.dir, "--"}, l.sshArgs(host, script)...)...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String() + errs.String(), cmd.ProcessState.ExitCode()
	}
	return out.String(), 0
}

// inside runs a script in a node; it must succeed.
func (l lab) inside(t *testing.T, n node, script string) string {
	t.Helper()
	out, code := l.sh(t, n.host, "lxc-attach -n "+n.name+" -- sh -ec "+quote(script))
	if code != 0 {
		t.Fatalf("%s: %s: status %d: %s", n.name, script, code, out)
	}
	return out
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// kubectl runs kubectl in a node; it must succeed.
func (l lab) kubectl(t *testing.T, n node, args string) string {
	t.Helper()
	return l.inside(t, n, kubectl+args)
}

// kubectlWith gives it a text on standard input.
func (l lab) kubectlWith(t *testing.T, n node, stdin, args string) string {
	t.Helper()
	return l.inside(t, n, "echo "+base64.StdEncoding.EncodeToString([]byte(stdin))+" | base64 -d | "+kubectl+args)
}

const kubectl = "kubectl --kubeconfig /etc/kubernetes/admin.conf "

const etcdctl = "etcdctl --endpoints https://127.0.0.1:2379 --cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/server.crt --key /etc/kubernetes/pki/etcd/server.key "

// until waits for a condition.
func (l lab) until(t *testing.T, limit time.Duration, what string, ok func() (bool, string)) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		done, why := ok()
		if done {
			return time.Since(began)
		}
		if time.Since(began) > limit {
			t.Fatalf("%s: not after %s: %s", what, limit, why)
		}
		time.Sleep(time.Second)
	}
}

// try runs "jeroboam deploy" and gives everything it said, errors among it.
func (l lab) try(t *testing.T, verb string, args ...string) (string, int) {
	t.Helper()
	return l.start(t, verb, args...).wait()
}

// running is a deployer that works while the test does something to its world.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	cancel context.CancelFunc
	pid    int
	done   chan struct{}

	mu   sync.Mutex
	text strings.Builder
	more chan struct{} // closed and made anew with each line
}

// start starts "jeroboam deploy" and does not wait for it.
func (l lab) start(t *testing.T, verb string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	line := append([]string{"exec", "--dir", l.dir, "--", "sh", "-c", `echo "pid $$"; exec "$@" 2>&1`, "sh"}, l.deployArgs(verb, args...)...)
	r := &running{t: t, cancel: cancel, done: make(chan struct{}), more: make(chan struct{})}
	r.cmd = exec.CommandContext(ctx, l.program, line...)
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.done)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			r.mu.Lock()
			r.text.WriteString(lines.Text() + "\n")
			close(r.more)
			r.more = make(chan struct{})
			r.mu.Unlock()
		}
		_ = r.cmd.Wait() // ProcessState says it
	}()
	t.Cleanup(func() {
		if r.pid > 1 && !r.ended() {
			_ = syscall.Kill(r.pid, syscall.SIGKILL) // a failed test must not leave it
		}
		cancel()
	})
	if !r.await(regexp.MustCompile(`(?m)^pid (\d+)$`), time.Minute) {
		t.Fatalf("it did not start: %s", r.output())
	}
	if _, err := fmt.Sscanf(r.output(), "pid %d", &r.pid); err != nil || r.pid <= 1 {
		t.Fatalf("its process is %d, %v", r.pid, err)
	}
	return r
}

func (r *running) output() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (r *running) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// await waits until the output matches; false if it ended before, or the time has.
func (r *running) await(pattern *regexp.Regexp, limit time.Duration) bool {
	deadline := time.After(limit)
	for {
		r.mu.Lock()
		found, more := pattern.MatchString(r.text.String()), r.more
		r.mu.Unlock()
		if found {
			return true
		}
		select {
		case <-more:
		case <-r.done:
			return pattern.MatchString(r.output())
		case <-deadline:
			return false
		}
	}
}

// killAfter kills the deployer a while after it says something.
func (r *running) killAfter(says string, after time.Duration) {
	r.t.Helper()
	if !r.await(regexp.MustCompile(regexp.QuoteMeta(says)), 15*time.Minute) {
		r.t.Fatalf("it never said %q:\n%s", says, r.output())
	}
	time.Sleep(after)
	if !r.kill() {
		r.t.Fatalf("it ended by itself, %s or less after it said %q:\n%s", after, says, tailOf(r.output()))
	}
	r.t.Logf("killed %s after it said %q:\n%s", after, says, tailOf(r.output()))
}

// kill kills the deployer as power loss would; false if it had ended already.
func (r *running) kill() bool {
	if r.ended() {
		return false
	}
	err := syscall.Kill(r.pid, syscall.SIGKILL)
	<-r.done
	return err == nil && r.cmd.ProcessState.ExitCode() != 0
}

// wait gives what it said and its status.
func (r *running) wait() (string, int) {
	r.t.Helper()
	<-r.done
	return r.output(), r.cmd.ProcessState.ExitCode()
}
