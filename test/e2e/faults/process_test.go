package faults

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Bounds that a loaded machine keeps.
const (
	startBound   = 3 * time.Minute
	clusterBound = 6 * time.Minute
	soonBound    = time.Minute
)

// process is a program that was started.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended; read after ended
	began time.Time

	mu        sync.Mutex
	out, errs bytes.Buffer
}

// stream is one of a process's outputs.
type stream struct {
	p  *process
	to *bytes.Buffer
}

func (s stream) Write(b []byte) (int, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.to.Write(b)
}

// launch starts a program and makes sure that it is gone after the test.
func launch(t *testing.T, env []string, binary string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary, args...), ended: make(chan struct{}), began: time.Now()}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = stream{p, &p.out}, stream{p, &p.errs}
	// Ctrl-C at "go test" is for the tests, which then end what they started.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends it as a power failure would; harmless when it has ended.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *process) stdout() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func (p *process) stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.errs.String()
}

// says waits until standard output holds words.
func (p *process) says(t *testing.T, words string) {
	t.Helper()
	for end := time.Now().Add(startBound); !strings.Contains(p.stdout(), words); time.Sleep(50 * time.Millisecond) {
		if !p.running() {
			t.Fatalf("%s ended (%v) without saying %q:\n%s\n%s", p.cmd.Path, p.err, words, p.stdout(), p.stderr())
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not say %q within %s:\n%s\n%s", p.cmd.Path, words, startBound, p.stdout(), p.stderr())
		}
	}
}

// fails waits for an end with status 1 and a message on standard error that has all the words.
func (p *process) fails(t *testing.T, words ...string) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(startBound):
		t.Fatalf("still running after %s:\n%s\n%s", startBound, p.stdout(), p.stderr())
	}
	var exit *exec.ExitError
	if !errors.As(p.err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v, want exit status 1", p.err)
	}
	text := p.stderr()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("the message does not say %q:\n%s", w, text)
		}
	}
	// Known: the API server's own client of etcd complains on standard error, past our log, when it is stopped early.
	said := slices.DeleteFunc(strings.SplitAfter(text, "\n"), func(line string) bool {
		return strings.HasPrefix(line, `{"level":"warn"`) && strings.Contains(line, `"logger":"etcd-client"`)
	})
	if text = strings.Join(said, ""); strings.Contains(text, "goroutine ") || len(text) > 2000 {
		t.Errorf("that is a stack trace or a log, and no message for people:\n%.2000s", text)
	}
}

// resident is the memory a running process holds, in MB.
func (p *process) resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kb / 1024
		}
	}
	t.Fatalf("no VmRSS in %s", text)
	return 0
}

// cpu is the processor time a running process has used.
func (p *process) cpu(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(text)[strings.LastIndex(string(text), ")")+1:])
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond // 100 ticks a second, on every Linux that Go supports
}

type ports struct{ magnum, keystone, management, admin, workload int }

const workloadPorts = 150

var (
	portsMu sync.Mutex
	given   = map[int]bool{} // blocks that tests of this run have; a killed process leaves its ports free for a moment
)

// freePorts finds a block of ports that nobody listens on, below those that the kernel gives to clients.
func freePorts(t *testing.T) ports {
	t.Helper()
	portsMu.Lock()
	defer portsMu.Unlock()
	for range 200 {
		base := 3000 + 200*rand.IntN(33)
		if given[base] {
			continue
		}
		p := ports{base, base + 1, base + 2, base + 3, base + 10}
		free := true
		for n := base; n < base+15; n++ {
			l, err := net.Listen("tcp", local(n))
			if err != nil {
				free = false
				break
			}
			_ = l.Close()
		}
		if free {
			given[base] = true
			t.Cleanup(func() {
				portsMu.Lock()
				defer portsMu.Unlock()
				delete(given, base)
			})
			return p
		}
	}
	t.Fatal("no block of free ports between 3000 and 9600")
	return ports{}
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// site is an all-in-one with its directory and ports: it can be killed and started again.
type site struct {
	*process

	dir, data string
	ports     ports
	args, env []string
}

// newSite prepares one and does not start it. Arguments come last and win.
func newSite(t *testing.T, args ...string) *site {
	t.Helper()
	dir := t.TempDir()
	return &site{dir: dir, data: filepath.Join(dir, "data"), ports: freePorts(t), args: args}
}

// flags are without addons: these tests make dozens of clusters and kill the process all the time, and each cluster
// with addons costs some hundred requests. Package e2e has them.
func (s *site) flags() []string {
	p := s.ports
	return append([]string{
		"up", "--no-addons", "--output", "json", "--first-cluster=false", "--state-dir", filepath.Join(s.dir, "state"), "--data-dir", s.data,
		"--magnum-port", strconv.Itoa(p.magnum), "--keystone-port", strconv.Itoa(p.keystone),
		"--management-port", strconv.Itoa(p.management), "--admin-port", strconv.Itoa(p.admin),
		"--workload-ports", fmt.Sprintf("%d-%d", p.workload, p.workload+workloadPorts-1),
	}, s.args...)
}

// begin starts it without waiting.
func (s *site) begin(t *testing.T) {
	t.Helper()
	s.process = launch(t, s.env, allinoneBinary, s.flags()...)
}

// start starts it, again if need be, and waits until it serves.
func (s *site) start(t *testing.T) {
	t.Helper()
	s.begin(t)
	s.says(t, `"event":"serving"`)
}

// running starts an all-in-one for one test.
func running(t *testing.T, args ...string) *site {
	t.Helper()
	s := newSite(t, args...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s\nthe end of its log:\n%s", s.stderr(), lastLines(filepath.Join(s.data, "allinone.log"), 25))
		}
	})
	s.start(t)
	return s
}

// lastLines are the last of a log, without what is said when all is well.
func lastLines(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "I1") && !strings.HasPrefix(line, "I0") && (!strings.Contains(line, "msg=request") || strings.Contains(line, "status=5")) &&
			!strings.Contains(line, "superfluous") && !strings.Contains(line, "took too long") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
