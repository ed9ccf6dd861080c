package haproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy/backend"
)

// Options are a Plane's parts.
type Options struct {
	Program        string // "haproxy"
	Dir            string // for configuration, socket and pid file; made if need be, for our user alone
	Bind           string // "", "*" or an address
	Port           int
	MaxConnections int
	MaxPerBackend  int
	ConnectTimeout time.Duration
	HelloTimeout   time.Duration
	Metrics        *backend.Metrics
	Log            *slog.Logger
}

// Plane runs haproxy.
type Plane struct {
	Options

	binds   []string
	changed chan struct{}

	mu      sync.Mutex
	wanted  []backend.Backend
	asked   int           // how many times Set was called
	applied int           // the last of them that haproxy serves
	moved   chan struct{} // closed when applied moves
	text    string        // what haproxy runs with
	pid     int           // of the master process
}

// New prepares the directory and ends a haproxy that an earlier process left behind.
func New(ctx context.Context, o Options) (*Plane, error) {
	if _, err := exec.LookPath(o.Program); err != nil {
		return nil, fmt.Errorf("%w: install haproxy, or use the data plane \"native\"", err)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make haproxy's directory: %w", err)
	}
	b, err := binds(o.Bind, o.Port)
	if err != nil {
		return nil, err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("read the limit of file descriptors: %w", err)
	}
	if most := connections(limit.Max); most < o.MaxConnections {
		o.Log.WarnContext(ctx, "fewer connections than asked for: the limit of file descriptors is low", "connections", most, "descriptors", limit.Max)
		o.MaxConnections = most
	}
	p := &Plane{Options: o, binds: b, changed: make(chan struct{}, 1), moved: make(chan struct{})}
	p.endOld(ctx)
	return p, nil
}

// connections is how many haproxy can hold with so many file descriptors: two sockets each, a pipe for every fourth,
// and some for itself. It refuses to start when it cannot hold what its configuration says.
func connections(descriptors uint64) int {
	return int(min(descriptors, 1<<30)-min(descriptors, 200)) * 2 / 5
}

func (p *Plane) file(name string) string { return filepath.Join(p.Dir, name) }

// endOld asks the haproxy of a process that was killed to end when its streams have.
func (p *Plane) endOld(ctx context.Context) {
	data, err := os.ReadFile(p.file("haproxy.pid"))
	if err != nil {
		return // there is none
	}
	for line := range strings.Lines(string(data)) {
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil || pid <= 1 {
			continue
		}
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || !strings.Contains(string(cmdline), p.file("haproxy.cfg")) {
			continue // another process has that number now
		}
		p.Log.InfoContext(ctx, "an older haproxy is asked to end when its streams have", "pid", pid)
		if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
			p.Log.WarnContext(ctx, "the older haproxy could not be told", "pid", pid, "error", err)
		}
	}
}

// Set says which backends there are, and waits a moment until haproxy serves them.
func (p *Plane) Set(backends []backend.Backend) error {
	p.mu.Lock()
	p.wanted = backends
	p.asked++
	mine := p.asked
	p.mu.Unlock()
	select {
	case p.changed <- struct{}{}:
	default: // it has been said
	}
	late := time.NewTimer(settleIn)
	defer late.Stop()
	for {
		p.mu.Lock()
		done, moved := p.applied >= mine, p.moved
		p.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-moved:
		case <-late.C:
			return errors.New("haproxy does not serve its backends yet")
		}
	}
}

// serves notes that haproxy serves what was asked for by then.
func (p *Plane) serves(asked int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.applied = max(p.applied, asked)
	close(p.moved)
	p.moved = make(chan struct{})
}

// settle waits until the haproxy that answers has the backends that were written.
func (p *Plane) settle(ctx context.Context, written []backend.Backend) bool {
	ctx, cancel := context.WithTimeout(ctx, settleIn)
	defer cancel()
	want := make(map[string]bool, len(written))
	for _, b := range written {
		want[strings.ToLower(b.Stack)] = true
	}
	for {
		rows, err := p.stats(ctx)
		found := 0
		for _, r := range rows {
			if want[r.stack] {
				found++
			}
		}
		if err == nil && found == len(want) && len(rows) == len(want) {
			return true
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return false
		}
	}
}

// How long haproxy rests before it is started again, and how long changes are collected before a reload.
const (
	restartSoon = 100 * time.Millisecond
	restartLate = 5 * time.Second
	collect     = 20 * time.Millisecond
	settleIn    = 5 * time.Second
)

// Run keeps a haproxy running until ctx ends; then it lets streams end until drain does.
//
// The child is asked to end when the thread that started it does, so that none is left when this process is killed.
// That is why the thread is kept.
func (p *Plane) Run(ctx, drain context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for wait := restartSoon; ; wait = min(2*wait, restartLate) {
		began := time.Now()
		err := p.once(ctx, drain)
		if ctx.Err() != nil {
			return err
		}
		if time.Since(began) > time.Minute {
			wait = restartSoon
		}
		p.Log.ErrorContext(ctx, "haproxy ended; it is started again", "error", err, "after", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// once is the life of one haproxy.
func (p *Plane) once(ctx, drain context.Context) error {
	asked, written, _, err := p.write(ctx)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.Program, "-W", "-db", "-f", p.file("haproxy.cfg")) //nolint:noctx // it may outlive ctx, to let streams end
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGUSR1}
	said := &lines{log: p.Log}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start haproxy: %w", err)
	}
	p.Metrics.Started()
	ended := make(chan struct{})
	var exit error // once ended is closed
	go func() { defer close(ended); exit = cmd.Wait() }()
	p.setPID(cmd.Process.Pid)
	defer p.setPID(0)
	if p.settle(ctx, written) { // before that a signal would end it
		p.serves(asked)
	}
	for {
		select {
		case <-ended:
			return errors.Join(errors.New("haproxy ended"), exit)
		case <-ctx.Done():
			stop(drain, cmd.Process, ended)
			return nil
		case <-p.changed:
		}
		time.Sleep(collect)
		asked, written, changed, err := p.write(ctx)
		if err != nil {
			p.Log.WarnContext(ctx, "haproxy keeps its current configuration", "error", err)
			continue
		}
		if changed {
			if err := cmd.Process.Signal(syscall.SIGUSR2); err != nil {
				p.Log.WarnContext(ctx, "haproxy could not be told to reload", "error", err)
			}
			p.Metrics.Reloaded()
		}
		if p.settle(ctx, written) {
			p.serves(asked)
			continue
		}
		p.Log.WarnContext(ctx, "haproxy did not load its configuration; retrying")
		p.text = ""
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
}

func (p *Plane) setPID(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pid = pid
}

// PID is the master process, 0 when none runs.
func (p *Plane) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// stop lets streams end, and then does not.
func stop(drain context.Context, process *os.Process, ended <-chan struct{}) {
	_ = process.Signal(syscall.SIGUSR1) // it may have ended just now
	select {
	case <-ended:
		return
	case <-drain.Done():
	}
	_ = process.Signal(syscall.SIGTERM) // likewise
	select {
	case <-ended:
	case <-time.After(2 * time.Second):
		_ = process.Kill() // likewise
		<-ended
	}
}

// write makes the configuration and says whether it is another one. What haproxy would not take is not kept.
func (p *Plane) write(ctx context.Context) (asked int, wanted []backend.Backend, changed bool, err error) {
	p.mu.Lock()
	wanted, asked = p.wanted, p.asked
	p.mu.Unlock()
	text, err := render(settings{
		Socket: p.file("haproxy.sock"), PIDFile: p.file("haproxy.pid"), Binds: p.binds, MaxConnections: p.MaxConnections,
		MaxPerBackend: p.MaxPerBackend, ConnectTimeout: p.ConnectTimeout, HelloTimeout: p.HelloTimeout, Backends: wanted,
	})
	if err != nil {
		return asked, wanted, false, err
	}
	old, err := os.ReadFile(p.file("haproxy.cfg"))
	if err == nil && string(old) == text && p.text == text {
		return asked, wanted, false, nil
	}
	next := p.file("haproxy.cfg.next")
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return asked, wanted, false, fmt.Errorf("write haproxy's configuration: %w", err)
	}
	if out, err := exec.CommandContext(ctx, p.Program, "-c", "-f", next).CombinedOutput(); err != nil {
		return asked, wanted, false, fmt.Errorf("haproxy refuses its configuration: %w: %s", err, firstLines(string(out)))
	}
	if err := os.Rename(next, p.file("haproxy.cfg")); err != nil {
		return asked, wanted, false, fmt.Errorf("write haproxy's configuration: %w", err)
	}
	p.text = text
	return asked, wanted, true, nil
}

func firstLines(s string) string {
	if len(s) > 500 {
		s = s[:500] + " ..."
	}
	return strings.TrimSpace(s)
}

// lines passes on what haproxy says. It says little: it was not told to log connections.
type lines struct{ log *slog.Logger }

func (l *lines) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if text := strings.TrimSpace(line); text != "" && !strings.Contains(text, "[NOTICE]") {
			l.log.Warn("haproxy says", "line", text)
		}
	}
	return len(b), nil
}
