package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Machine is where items are: this machine, or a directory that stands for it in tests.
type Machine struct {
	// Root is put before every path; "" is the machine itself.
	Root string
	// Exec runs a command.
	Exec func(ctx context.Context, c Command) (Output, error)
	// Now is the clock.
	Now func() time.Time

	seen *glance // what a look without an agent has seen, which is all there is then
}

// This is the machine this process runs on.
func This() *Machine { return &Machine{Exec: Run, Now: time.Now} }

// Command is a program to run.
type Command struct {
	Args  []string          `json:"args"`
	Env   map[string]string `json:"env,omitempty"`
	Stdin string            `json:"stdin,omitempty"`
	// Timeout bounds it; 0 is five minutes.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Files are there for as long as it runs (RunWithFiles).
	Files []File `json:"files,omitempty"`

	input io.Reader
}

// Output is what it wrote.
type Output struct {
	Out  string `json:"out"`
	Err  string `json:"err"`
	Code int    `json:"code"`
}

// maxOutput bounds what is kept of a command's output, at the end: that is where errors are.
const maxOutput = 256 << 10

// path gives the path on disk of a path of the machine.
func (m *Machine) path(p string) string { return filepath.Join(m.Root, p) }

// run runs a command that must succeed and gives its standard output.
func (m *Machine) run(ctx context.Context, args ...string) (string, error) {
	out, err := m.Exec(ctx, Command{Args: args})
	return out.Out, err
}

// exists says whether there is something at a path.
func (m *Machine) exists(p string) bool {
	_, err := os.Lstat(m.path(p))
	return err == nil
}

// modified says when a file was written; false if there is none.
func (m *Machine) modified(p string) (time.Time, bool) {
	if m.seen != nil {
		f, ok := m.seen.files[p]
		return f.modified, ok && f.mode != ""
	}
	info, err := os.Stat(m.path(p))
	if err != nil {
		return time.Time{}, false
	}
	return info.ModTime(), true
}

// read gives a file's text, "" if it cannot be read.
func (m *Machine) read(p string) string {
	if m.seen != nil {
		return m.seen.files[p].content
	}
	b, err := os.ReadFile(m.path(p))
	if err != nil {
		return ""
	}
	return string(b)
}

// Run runs a command on this machine, in a process group of its own: a signal for the agent is not one for what it
// started.
func Run(ctx context.Context, c Command) (Output, error) {
	if len(c.Args) == 0 {
		return Output{}, errors.New("run nothing")
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	for k, v := range c.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	switch {
	case c.input != nil:
		cmd.Stdin = c.input
	case c.Stdin != "":
		cmd.Stdin = strings.NewReader(c.Stdin)
	}
	var out, errs tail
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = 5 * time.Second
	ownGroup(cmd)
	err := cmd.Run()
	o := Output{Out: out.String(), Err: errs.String(), Code: cmd.ProcessState.ExitCode()}
	if err == nil {
		return o, nil
	}
	if ctx.Err() != nil {
		return o, fmt.Errorf("%s: stopped after %s: %w%s", c.Args[0], timeout, context.Cause(ctx), quoteTail(o))
	}
	return o, fmt.Errorf("%s: %w%s", strings.Join(c.Args[:min(3, len(c.Args))], " "), err, quoteTail(o))
}

// quoteTail is the last lines a failed command wrote, for the error.
func quoteTail(o Output) string {
	text := strings.TrimSpace(o.Err)
	if text == "" {
		text = strings.TrimSpace(o.Out)
	}
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	return ": " + strings.Join(lines[max(0, len(lines)-8):], "\n  ")
}

// tail keeps the end of what is written.
type tail struct{ buf bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	if t.buf.Len()+len(p) > maxOutput {
		keep := append([]byte{}, t.buf.Bytes()[max(0, t.buf.Len()-maxOutput/2):]...)
		t.buf.Reset()
		t.buf.Write(keep)
	}
	if len(p) > maxOutput {
		p = p[len(p)-maxOutput:]
	}
	n, _ := t.buf.Write(p) // a bytes.Buffer does not fail
	return n, nil
}

func (t *tail) String() string { return t.buf.String() }
