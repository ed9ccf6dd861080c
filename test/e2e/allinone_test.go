package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Bounds that a loaded machine keeps.
const (
	startBound   = 3 * time.Minute
	stopBound    = time.Minute
	clusterBound = 10 * time.Minute
	soonBound    = time.Minute
)

// allinone is one running process of "jeroboam-allinone up".
type allinone struct {
	stateDir, dataDir string
	ports             ports
	cmd               *exec.Cmd
	ended             chan struct{}
	err               error // how it ended; read after ended

	mu     sync.Mutex
	events []event
	stderr bytes.Buffer
}

// event is one line of --output json.
type event struct {
	Event, State, Status, Reason, Error string
	Elapsed                             float64
}

type ports struct{ magnum, keystone, management, admin, workload int }

// freePorts finds a block of ports that nobody listens on, below those that the kernel gives to clients.
func freePorts() (ports, error) {
	for range 100 {
		base := 10000 + 200*rand.IntN(100)
		p := ports{base, base + 1, base + 2, base + 3, base + 10}
		free := true
		for _, n := range []int{p.magnum, p.keystone, p.management, p.admin, p.workload, p.workload + 1} {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", n))
			if err != nil {
				free = false
				break
			}
			_ = l.Close()
		}
		if free {
			return p, nil
		}
	}
	return ports{}, errors.New("no block of free ports between 10000 and 30000")
}

// launch starts an all-in-one whose state and data are in dir and does not wait for it. Arguments come last and win.
func launch(dir string, args ...string) (*allinone, error) {
	p, err := freePorts()
	if err != nil {
		return nil, err
	}
	return launchAt(dir, p, args...)
}

func launchAt(dir string, p ports, args ...string) (*allinone, error) {
	path, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	a := &allinone{
		stateDir: filepath.Join(dir, "state"), dataDir: filepath.Join(dir, "data"), ports: p, ended: make(chan struct{}),
	}
	a.cmd = exec.Command(path, append([]string{
		"up", "--output", "json", "--state-dir", a.stateDir, "--data-dir", a.dataDir,
		"--magnum-port", strconv.Itoa(p.magnum), "--keystone-port", strconv.Itoa(p.keystone),
		"--management-port", strconv.Itoa(p.management), "--admin-port", strconv.Itoa(p.admin),
		"--workload-ports", fmt.Sprintf("%d-%d", p.workload, p.workload+189),
	}, args...)...)
	// Ctrl-C at "go test" is for the tests, which then end what they started.
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	a.cmd.Stderr = (*stderr)(a)
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	go a.read(out)
	return a, nil
}

type stderr allinone

func (s *stderr) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.Write(b)
}

// read takes events until the process ends.
func (a *allinone) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			e = event{Event: "not JSON: " + lines.Text()}
		}
		a.mu.Lock()
		a.events = append(a.events, e)
		a.mu.Unlock()
	}
	a.err = a.cmd.Wait()
	close(a.ended)
}

// saw waits until an event has come for which is is true.
func (a *allinone) saw(what string, bound time.Duration, is func(event) bool) error {
	for end := time.Now().Add(bound); ; time.Sleep(50 * time.Millisecond) {
		a.mu.Lock()
		for _, e := range a.events {
			if is(e) {
				a.mu.Unlock()
				return nil
			}
		}
		a.mu.Unlock()
		select {
		case <-a.ended:
			return errors.Join(fmt.Errorf("ended without %q:\n%s", what, a.tail()), a.err)
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("no %q within %s:\n%s", what, bound, a.tail())
		}
	}
}

func (a *allinone) serving() error {
	return a.saw("serving", startBound, func(e event) bool { return e.Event == "serving" })
}

// stop asks for the end, as Ctrl-C does, and is content only with status 0.
func (a *allinone) stop() error {
	select {
	case <-a.ended:
		return errors.Join(errors.New("ended before it was asked to"), a.err)
	default:
	}
	if err := a.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return errors.Join(a.wait(stopBound), a.panics())
}

// recovered is how controller-runtime 0.24 and Kubernetes tell of a panic, and how our API does.
var recovered = regexp.MustCompile(`panic: [^\n]*\[recovered\]|Observed a panic|request panicked`)

// panics finds what a controller or a handler recovered from: the next round forgives it, and so nothing else would
// show it.
func (a *allinone) panics() error {
	text, err := os.ReadFile(filepath.Join(a.dataDir, "allinone.log"))
	if err != nil {
		return err
	}
	if at := recovered.FindIndex(text); at != nil {
		return fmt.Errorf("it recovered from a panic:\n%s", text[at[0]:min(at[0]+4000, len(text))])
	}
	return nil
}

// wait waits for an end with status 0.
func (a *allinone) wait(bound time.Duration) error {
	select {
	case <-a.ended:
		return a.err
	case <-time.After(bound):
		_ = a.cmd.Process.Kill()
		<-a.ended
		return fmt.Errorf("still running after %s", bound)
	}
}

// kill ends it as a power failure would.
func (a *allinone) kill() {
	_ = a.cmd.Process.Kill()
	<-a.ended
}

// tail is what a person would look at first.
func (a *allinone) tail() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	for _, e := range a.events[max(0, len(a.events)-5):] {
		fmt.Fprintf(&b, "event: %+v\n", e)
	}
	text, err := os.ReadFile(filepath.Join(a.dataDir, "allinone.log"))
	if err != nil {
		text = []byte(err.Error())
	}
	fmt.Fprintf(&b, "standard error:\n%s\nlog:\n%s", lastLines(a.stderr.String(), 5), lastLines(string(text), 20))
	return b.String()
}

func (a *allinone) errors() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stderr.String()
}

// lastLines are the last of a log, without what Cluster API and etcd say when all is well and what tells of polling.
func lastLines(text string, n int) string {
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(text), "\n"), func(l string) bool {
		return strings.HasPrefix(l, "I1") || strings.HasPrefix(l, "I0") || strings.HasPrefix(l, "\t") ||
			strings.Contains(l, "msg=request") && strings.Contains(l, "status=2") ||
			strings.Contains(l, "superfluous") || strings.Contains(l, "took too long") || strings.Contains(l, "retrying of unary")
	})
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
