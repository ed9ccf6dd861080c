package capo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// keep runs the program until ctx ends. A program that keeps ending before it ever served long enough is told to hope:
// what it needs is not there, and somebody waits for it.
func (p *Provider) keep(ctx context.Context, hope chan<- error) {
	// The kernel ends the program with the thread that started it, so this goroutine keeps its thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	first := p.FirstPause
	if first == 0 {
		first = time.Second
	}
	pause, failures := first, 0
	for {
		began := time.Now()
		err := p.run(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) >= steady {
			pause, failures = first, 0
		}
		if failures++; failures == hopeless {
			select {
			case hope <- err:
			default: // said before
			}
		}
		p.say("Cluster API's OpenStack provider ended and is started again", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, longestPause)
	}
}

func (p *Provider) say(message string, err error) {
	if p.Say != nil {
		p.Say(message, err)
	}
}

// run runs the program once. The error says how it ended, with the last it said.
func (p *Provider) run(ctx context.Context) error {
	last := &tail{}
	cmd := exec.CommandContext(ctx, p.Program, p.args()...)
	cmd.Stdout, cmd.Stderr = tee{p.Log, last}, tee{p.Log, last}
	// A group of its own: Ctrl-C is for us, who stop things in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	err := cmd.Run()
	if err == nil {
		err = errors.New("it ended without an error")
	}
	return fmt.Errorf("%s: %w; it last said: %s", p.Program, err, last)
}

// tee writes to both and never fails: a full disk must not end the program.
type tee struct {
	log interface {
		Write(p []byte) (int, error)
	}
	last *tail
}

func (t tee) Write(b []byte) (int, error) {
	_, _ = t.log.Write(b)
	t.last.add(b)
	return len(b), nil
}

// tail keeps the last bytes of what was written.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 2000

func (t *tail) add(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if len(t.text) > tailSize {
		t.text = bytes.Clone(t.text[len(t.text)-tailSize:])
	}
}

// String is the last three lines.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.text)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " / ")
}
