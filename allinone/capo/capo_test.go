package capo_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/allinone/capo"
)

const (
	childVariable  = "JEROBOAM_TEST_CAPO"  // how the program behaves
	parentVariable = "JEROBOAM_TEST_OWNER" // this process starts the program and waits to be killed
)

// TestMain is the test, or one of the processes it is about.
func TestMain(m *testing.M) {
	switch { // the program inherits its owner's environment
	case len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "--kubeconfig="):
		os.Exit(program(os.Getenv(childVariable)))
	case os.Getenv(parentVariable) != "":
		os.Exit(owner())
	}
	os.Exit(m.Run())
}

// program is a provider as far as its owner can see.
func program(behaviour string) int {
	flags := map[string]string{}
	for _, a := range os.Args[1:] {
		name, value, _ := strings.Cut(a, "=")
		flags[name] = value
	}
	for _, file := range []string{flags["--kubeconfig"], filepath.Join(flags["--webhook-cert-dir"], "tls.crt")} {
		if _, err := os.Stat(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 3
		}
	}
	if behaviour == "broken" {
		fmt.Fprintln(os.Stderr, "E1 setup: no matches for kind OpenStackCluster")
		return 1
	}
	http.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, os.Getpid()) })
	fmt.Fprintln(os.Stderr, http.ListenAndServe(flags["--health-addr"], nil)) //nolint:gosec // G114: a test's server
	return 2
}

// owner starts a provider and never ends by itself.
func owner() int {
	port, _ := strconv.Atoi(os.Getenv(parentVariable))
	p := provider(os.Getenv("DIR"), port)
	if err := p.Start(context.Background(), nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("ready")
	select {}
}

func provider(dir string, health int) *capo.Provider {
	self, _ := os.Executable()
	return &capo.Provider{
		Program: self, Dir: dir, Ports: capo.Ports{Webhooks: health + 1, Health: health, Metrics: health + 2}, Log: os.Stderr,
		Certificate: func() (c, k []byte, err error) { return []byte("cert"), []byte("key"), nil },
		Kubeconfig:  func(_ context.Context, path string) error { return os.WriteFile(path, []byte("{}"), 0o600) },
		FirstPause:  time.Millisecond,
	}
}

// freePort is the first of three that nobody has.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// pid asks the program who it is; 0 when nobody answers.
func pid(port int) int {
	resp, err := http.Get("http://127.0.0.1:" + strconv.Itoa(port) + "/pid")
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	var n int
	_, _ = fmt.Fscan(resp.Body, &n)
	return n
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

func TestProgramIsKeptAndStopped(t *testing.T) {
	t.Setenv(childVariable, "good")
	port := freePort(t)
	p := provider(t.TempDir(), port)
	var mu sync.Mutex
	var said []string
	p.Say = func(message string, err error) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, message+": "+err.Error())
	}
	if err := p.Start(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	first := pid(port)
	if first == 0 {
		t.Fatal("Start returned before the program served")
	}
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another process serves", func() bool { n := pid(port); return n != 0 && n != first })
	mu.Lock()
	if len(said) != 1 || !strings.Contains(said[0], "signal: killed") {
		t.Errorf("what was said of the end: %q", said)
	}
	mu.Unlock()
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := pid(port); n != 0 {
		t.Errorf("process %d still serves after Stop", n)
	}
}

func TestProgramEndsWithItsOwner(t *testing.T) {
	port := freePort(t)
	self, _ := os.Executable()
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), parentVariable+"="+strconv.Itoa(port), childVariable+"=good", "DIR="+t.TempDir())
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the program serves", func() bool { return pid(port) != 0 })
	_ = cmd.Process.Kill() // as a power cut would
	_ = cmd.Wait()
	eventually(t, "the program is gone", func() bool { return pid(port) == 0 })
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		reason string
		change func(*testing.T, *capo.Provider)
		want   string
	}{
		{
			"what the program says last is what helps",
			func(t *testing.T, _ *capo.Provider) { t.Helper(); t.Setenv(childVariable, "broken") },
			"exit status 1; it last said: E1 setup: no matches for kind OpenStackCluster",
		},
		{
			"nobody has built it",
			func(_ *testing.T, p *capo.Provider) { p.Program = "/nowhere/capo-manager" },
			"is not at /nowhere/capo-manager: build it with make capo",
		},
		{
			"a directory is no program",
			func(t *testing.T, p *capo.Provider) { t.Helper(); p.Program = t.TempDir() },
			"is no program that can be executed",
		},
		{
			"somebody else has its port, and would answer in its place",
			func(t *testing.T, p *capo.Provider) {
				t.Helper()
				l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p.Ports.Health))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = l.Close() })
			},
			"(--capo-health-port chooses another port)",
		},
	} {
		t.Run(c.reason, func(t *testing.T) {
			t.Setenv(childVariable, "good")
			p := provider(t.TempDir(), freePort(t))
			c.change(t, p)
			err := p.Start(t.Context(), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, have %v", c.want, err)
			}
			if err := p.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
