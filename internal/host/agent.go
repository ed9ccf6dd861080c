package host

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
)

// maxLine bounds a line of the protocol. Files travel in lines; what is bigger goes through the store.
const maxLine = 64 << 20

// agent serves one deployer.
type agent struct {
	m     *Machine
	out   *json.Encoder
	write sync.Mutex
	work  sync.WaitGroup
	// changing is held while something changes, by whoever; lockFile does the same between agents.
	changing sync.Mutex

	// held is this agent's hold on the machine, nil if it has none; a hold that was broken is still held, of another file.
	holding sync.Mutex
	held    *os.File

	children sync.Mutex
	inside   map[string]*child
}

const lockFile = "/run/jeroboam-agent.lock"

// Serve answers requests until in ends. What it is doing then it finishes: half a kubeadm run helps nobody.
func Serve(ctx context.Context, m *Machine, in io.Reader, out io.Writer) error {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP) // a deployer that has gone is no reason to die in the middle
	a := &agent{m: m, out: json.NewEncoder(out), inside: map[string]*child{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		var r Request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("agent: a line that is no request: %w", err)
		}
		a.work.Go(func() { a.serve(ctx, r) })
	}
	a.letGo()
	a.work.Wait()
	a.closeChildren()
	return lines.Err()
}

func (a *agent) serve(ctx context.Context, r Request) {
	if err := a.mayChange(r.Op); err != nil {
		a.reply(Reply{ID: r.ID, Error: err.Error()})
		return
	}
	if r.Container != "" {
		if err := a.forward(ctx, r); err != nil {
			a.reply(Reply{ID: r.ID, Error: err.Error()})
		}
		return
	}
	out, err := a.do(ctx, r)
	reply := Reply{ID: r.ID}
	if err == nil {
		reply.Out, err = json.Marshal(out)
	}
	if err != nil {
		reply.Error = err.Error()
	}
	a.reply(reply)
}

func (a *agent) reply(r Reply) {
	a.write.Lock()
	defer a.write.Unlock()
	_ = a.out.Encode(r) // a deployer that has gone hears nothing
}

// decode reads what a request brings.
func decode[T any](r Request) (T, error) {
	var v T
	if err := json.Unmarshal(r.In, &v); err != nil {
		return v, fmt.Errorf("agent: %s: %w", r.Op, err)
	}
	return v, nil
}

// call decodes, then does.
func call[T, R any](r Request, do func(T) (R, error)) (any, error) {
	v, err := decode[T](r)
	if err != nil {
		return nil, err
	}
	return do(v)
}

type nothing struct{}

func (a *agent) do(ctx context.Context, r Request) (any, error) {
	switch r.Op {
	case OpFacts:
		return Look(ctx, a.m)
	case OpObserve:
		return call(r, func(items []Item) (any, error) { return Observe(ctx, a.m, items) })
	case OpRead:
		return call(r, func(path string) (any, error) {
			b, err := os.ReadFile(a.m.path(path))
			return string(b), err
		})
	case OpPart:
		return call(r, func(p Part) (any, error) { return ReadPart(a.m, p) })
	case OpNode:
		return call(r, func(q NodeQuery) (any, error) { return LookAtNode(ctx, a.m, q) })
	case OpEtcd:
		return call(r, func(c EtcdCall) (any, error) { return CallEtcd(ctx, a.m, c) })
	case OpAnswers:
		return call(r, func(url string) (any, error) { return Answers(ctx, url) })
	case OpAlive:
		return call(r, func(address string) (any, error) { return Alive(ctx, address), nil })
	case OpStats:
		return call(r, func(command string) (any, error) { return StatsSocket(ctx, a.m, command) })
	case OpHold:
		return call(r, a.take)
	case OpMissing:
		return call(r, func(d []string) (any, error) { return Missing(a.m, d), nil })
	}
	return a.change(ctx, r)
}

// change does what changes the machine, one at a time.
func (a *agent) change(ctx context.Context, r Request) (any, error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	unlock, err := a.m.lock(func() { a.reply(Reply{ID: r.ID, Event: &Event{Text: "waiting for an earlier run to end"}}) })
	if err != nil {
		return nil, err
	}
	defer unlock()
	switch r.Op {
	case OpEnsure:
		return call(r, func(items []Item) (any, error) {
			return nothing{}, Ensure(ctx, a.m, items, func(e Event) { a.reply(Reply{ID: r.ID, Event: &e}) })
		})
	case OpRun:
		return call(r, func(c Command) (any, error) { return RunWithFiles(ctx, a.m, c) })
	case OpLend:
		return call(r, func(l Loan) (any, error) {
			return nothing{}, Lend(ctx, a.m, filepath.Base(l.Container), l.Digests)
		})
	case OpRemove:
		return call(r, func(name string) (any, error) { return nothing{}, RemoveContainer(ctx, a.m, name) })
	case OpSettle:
		return nothing{}, nil // whoever holds the lock has ended
	case OpLeave:
		return nothing{}, Leave(a.m)
	}
	return nil, fmt.Errorf("agent: no operation %q: it is older than the deployer", r.Op)
}

// lock keeps two agents on one machine from changing it at the same time.
func (m *Machine) lock(waiting func()) (func(), error) {
	path := m.path(lockFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(err, f.Close())
		}
		waiting()
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return func() { _ = f.Close() }, nil // closing unlocks
}
