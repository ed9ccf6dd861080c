package deploy

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// lab is where the lab and the bundle are. "make e2e-deploy" sets these.
type lab struct {
	program, dir, bundle, jeroboam string

	keystone   string // of a cloud beside it; "" for the lab's own, behind the load balancer
	regionName string // "" for RegionOne
}

func open(t *testing.T) lab {
	t.Helper()
	l := lab{program: os.Getenv("LAB_PROGRAM"), dir: os.Getenv("LAB_DIR"), bundle: os.Getenv("BUNDLE"), jeroboam: os.Getenv("JEROBOAM")}
	if l.program == "" || l.dir == "" || l.bundle == "" || l.jeroboam == "" {
		t.Fatal("LAB_PROGRAM, LAB_DIR, BUNDLE and JEROBOAM say where things are: run this with make e2e-deploy")
	}
	return l
}

// run runs a command on the lab's deploy host.
func (l lab) run(t *testing.T, args ...string) (string, int) {
	t.Helper()
	began := time.Now()
	cmd := exec.CommandContext(t.Context(), l.program, append([]string{"exec", "--dir", l.dir, "--"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	t.Logf("%s: %.1f s, status %d", strings.Join(args[:min(3, len(args))], " "), time.Since(began).Seconds(), cmd.ProcessState.ExitCode())
	if code := cmd.ProcessState.ExitCode(); code == 1 {
		t.Log(errs.String())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// deploy runs "jeroboam deploy".
func (l lab) deploy(t *testing.T, verb string, args ...string) (string, int) {
	t.Helper()
	return l.run(t, l.deployArgs(verb, args...)...)
}

// deployArgs is the command line of "jeroboam deploy".
func (l lab) deployArgs(verb string, args ...string) []string {
	return append([]string{
		l.jeroboam, "deploy", verb, "--config", l.dir + "/openstack_deploy", "-e", l.dir + "/openstack-ansible/inventory", "--bundle", l.bundle,
		"--ssh-key", l.dir + "/ssh/id_ed25519", "--known-hosts", l.dir + "/ssh/known_hosts",
	}, args...)
}

// sshArgs is the command line of ssh to a lab host.
func (l lab) sshArgs(host string, command ...string) []string {
	return append([]string{
		"ssh", "-i", l.dir + "/ssh/id_ed25519", "-o", "UserKnownHostsFile=" + l.dir + "/ssh/known_hosts", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=5", "root@" + host,
	}, command...)
}

func (l lab) ssh(t *testing.T, host, command string) string {
	t.Helper()
	out, code := l.run(t, l.sshArgs(host, command)...)
	if code != 0 {
		t.Fatalf("%s: %s: status %d", host, command, code)
	}
	return out
}

func (l lab) plan(t *testing.T) (plan.Plan, int) {
	t.Helper()
	out, code := l.deploy(t, "plan", "--output", "json")
	var p plan.Plan
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatalf("plan: %v: %s", err, out)
	}
	return p, code
}

// versions are those of bundle.lock.yaml; the lab's configuration asks for the old ones of the playbooks'
// documentation.
const versions = `kubernetes_version: 1.36.4
cluster_api_version: 1.14.2
cluster_api_infrastructure_version: 0.13.0
`

// TestDeploy goes from whatever is there to a deployment, and looks whether it stays one.
func TestDeploy(t *testing.T) {
	l := open(t)
	l.configure(t)
	out, code := l.deploy(t, "apply")
	for line := range strings.Lines(out) {
		if strings.Contains(line, ": done (") || strings.Contains(line, ": waiting") || strings.Contains(line, ": joined") {
			t.Log(strings.TrimSpace(line)) // where the time goes
		}
	}
	if code != 0 {
		t.Fatalf("apply: status %d\n%s", code, out)
	}
	if p, code := l.plan(t); code != 0 || !p.Empty() {
		t.Fatalf("after apply there are changes (status %d): %s", code, plan.Summary(p))
	}
	if out, code := l.deploy(t, "status"); code != 0 {
		t.Errorf("status: %d\n%s", code, out)
	}
	nodes := l.nodes(t)
	changed := nodes[len(nodes)/2]
	node := changed.name
	l.ssh(t, changed.host, "echo '# by hand' >> /var/lib/lxc/"+node+"/rootfs/etc/crictl.yaml")
	p, code := l.plan(t)
	if code != 2 || len(p.Changes) != 1 || p.Changes[0].Name != "/etc/crictl.yaml" || p.Changes[0].Place != node {
		t.Errorf("one file was changed by hand; the plan (status %d) has %+v", code, p.Changes)
	}
	if _, code := l.deploy(t, "apply"); code != 0 {
		t.Errorf("apply after drift: status %d", code)
	}
	if p, code := l.plan(t); code != 0 {
		t.Errorf("drift stays (status %d): %s", code, plan.Summary(p))
	}
}
