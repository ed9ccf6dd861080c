package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	stopBound = 30 * time.Second
	ticks     = 100 // USER_HZ: Linux gives /proc/<pid>/stat in hundredths of a second on every architecture Go knows
	mebi      = 1 << 20
)

// process is a child that ends with us.
type process struct {
	cmd   *exec.Cmd
	began time.Time
	ended chan struct{}
	err   error // read after ended

	mu    sync.Mutex
	lines []string
	wrote bytes.Buffer // standard error
}

func start(path string, args ...string) (*process, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(context.Background(), abs, args...), ended: make(chan struct{})} // ended by stop, in order
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stderr = (*tail)(p)
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.read(out)
	return p, nil
}

func (p *process) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		p.mu.Unlock()
	}
	p.err = p.cmd.Wait()
	close(p.ended)
}

// tail keeps the end of standard error.
type tail process

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wrote.Len() > 64<<10 {
		t.wrote.Reset()
	}
	return t.wrote.Write(b)
}

// saw waits until is says yes to a line of standard output.
func (p *process) saw(ctx context.Context, bound time.Duration, is func(line string) bool) error {
	return p.until(ctx, bound, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, l := range p.lines {
			if is(l) {
				return true
			}
		}
		return false
	})
}

// until waits for a condition while the process lives.
func (p *process) until(ctx context.Context, bound time.Duration, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for !ready() {
		select {
		case <-p.ended:
			return fmt.Errorf("the process ended (%w):\n%s", p.err, p.said())
		case <-ctx.Done():
			return fmt.Errorf("%w:\n%s", ctx.Err(), p.said())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines[max(0, len(p.lines)-5):], "\n") + "\n" + p.wrote.String()
}

// stop asks for the end, and insists after a while.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(os.Interrupt) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(stopBound):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// cpu is the processor time the process has used, in seconds.
func (p *process) cpu() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The second field, the name, may hold spaces: count behind its parenthesis.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("cannot read %q", text)
	}
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	return (user + system) / ticks, errors.Join(err1, err2)
}

// memory is VmRSS or VmHWM, in MiB.
func (p *process) memory(which string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == which+":" {
			kib, err := strconv.ParseFloat(f[1], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("no %s in /proc", which)
}

// event is one line of "up --output json".
type event struct {
	Event, State, Took, Status, Reason string
	Elapsed                            float64
}

func (p *process) events() []event {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []event
	for _, l := range p.lines {
		var e event
		if json.Unmarshal([]byte(l), &e) == nil {
			out = append(out, e)
		}
	}
	return out
}

// freePorts asks the kernel for n ports that nobody listens on now.
func freePorts(ctx context.Context, n int) ([]int, error) {
	var out []int
	var lc net.ListenConfig
	for range n {
		l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // all at once, so that no port comes twice
		a, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			return nil, fmt.Errorf("listening on %v", l.Addr())
		}
		out = append(out, a.Port)
	}
	return out, nil
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
