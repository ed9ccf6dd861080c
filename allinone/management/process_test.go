package management_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/allinone/clusterapi"
	"github.com/jeroboam-cloud/jeroboam/allinone/management"
	"github.com/jeroboam-cloud/jeroboam/allinone/simmachines"
)

const childVariable = "JEROBOAM_TEST_MANAGEMENT"

// TestMain is the test, or the program under test: a process that can be killed.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		ctrl.SetLogger(klog.Background())
		os.Exit(m.Run())
	}
	c := management.Command{Scheduler: pickyScheduler{}}
	kong.Parse(&c)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := c.Run(ctx, os.Stdin, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

const noHost = "No valid host was found. There are not enough hosts available."

// pickyScheduler has no room for huge machines.
type pickyScheduler struct{}

func (pickyScheduler) Schedule(_ context.Context, r simmachines.Request) simmachines.Verdict {
	if r.Flavor == "huge" {
		return simmachines.Verdict{Fail: noHost}
	}
	return simmachines.Verdict{Delay: 100 * time.Millisecond}
}

func (pickyScheduler) Release(context.Context, string) {}

func (pickyScheduler) Names(context.Context) []string { return nil }

// process is a running management cluster.
type process struct {
	cmd    *exec.Cmd
	stderr *strings.Builder
	client client.WithWatch
}

// start runs a management cluster in dir until the test ends it.
func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	p := &process{stderr: &strings.Builder{}}
	p.cmd = exec.Command(self, append([]string{"--data-dir", dir, "--kubeconfig-out", kubeconfig, "--exit-on-stdin-close"}, args...)...)
	p.cmd.Env = append(os.Environ(), childVariable+"=1")
	p.cmd.Stderr = p.stderr
	if _, err := p.cmd.StdinPipe(); err != nil { // never written to: it closes when this process ends, however that ends
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "ready\n" {
		rest, _ := io.ReadAll(stdout)
		t.Fatalf("the process said %q, %v\n%s%s", line, err, rest, p.stderr)
	}
	t.Logf("ready after %.1f s", time.Since(begin).Seconds())
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS = -1
	scheme, err := clusterapi.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	if p.client, err = client.NewWithWatch(cfg, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	return p
}

// kill ends the process as a power cut would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// eventually asks until the answer is "", or fails with the last one.
func eventually(t *testing.T, timeout time.Duration, ask func() string) {
	t.Helper()
	var last string
	for end := time.Now().Add(timeout); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if last = ask(); last == "" {
			return
		}
	}
	t.Fatalf("not within %s: %s", timeout, last)
}
