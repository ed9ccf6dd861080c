package host

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// child is the agent inside a container, spoken to through lxc-attach.
type child struct {
	stdin io.WriteCloser
	write sync.Mutex
	cmd   *exec.Cmd
	done  chan struct{}
	// stderr is what it said on the way out.
	stderr tail

	mu      sync.Mutex
	pending map[int64]bool
}

// Agents is where copies of the agent are, on hosts and in containers.
const Agents = "/usr/local/lib/jeroboam"

// Where Jeroboam's services have the program, and their credentials; the shipped units say so too.
const (
	Program = "/usr/local/bin/jeroboam"
	Etc     = "/etc/jeroboam"
)

// forward hands a request to the container's agent, and starts that first if need be.
func (a *agent) forward(ctx context.Context, r Request) error {
	c, err := a.child(ctx, r.Container)
	if err != nil {
		return fmt.Errorf("enter container %s: %w", r.Container, err)
	}
	r.Container = ""
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.pending[r.ID] = true
	c.mu.Unlock()
	c.write.Lock()
	_, err = c.stdin.Write(append(raw, '\n'))
	c.write.Unlock()
	if err != nil {
		c.mu.Lock()
		delete(c.pending, r.ID)
		c.mu.Unlock()
		return err
	}
	return nil
}

// child gives the agent inside, a living one.
func (a *agent) child(ctx context.Context, name string) (*child, error) {
	a.children.Lock()
	defer a.children.Unlock()
	if c := a.inside[name]; c != nil {
		select {
		case <-c.done:
		default:
			return c, nil
		}
	}
	pid, err := containerPID(ctx, a.m, name)
	if err != nil {
		return nil, err
	}
	if pid == 0 {
		return nil, fmt.Errorf("it does not run")
	}
	path, err := plantAgent(pid)
	if err != nil {
		return nil, err
	}
	c := &child{done: make(chan struct{}), pending: map[int64]bool{}}
	// Not bound to a context: it ends when its input does, after what it is doing.
	c.cmd = exec.Command("lxc-attach", "-n", name, "--clear-env", "-v", "PATH="+os.Getenv("PATH"), "--", path, "agent") //nolint:noctx // see above
	c.cmd.Stderr = &c.stderr
	ownGroup(c.cmd)
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	a.inside[name] = c
	go a.relay(name, c, out)
	return c, nil
}

// relay passes on what the container's agent answers. What it can no longer answer ends with an error.
func (a *agent) relay(name string, c *child, out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		var r Reply
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			continue // not ours: something printed by a program of the container
		}
		if r.Event == nil {
			c.mu.Lock()
			delete(c.pending, r.ID)
			c.mu.Unlock()
		}
		a.reply(r)
	}
	err := c.cmd.Wait()
	close(c.done)
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.pending {
		a.reply(Reply{ID: id, Error: fmt.Sprintf("the agent in container %s ended: %v %s", name, err, strings.TrimSpace(c.stderr.String()))})
	}
	c.pending = map[int64]bool{}
}

// plantAgent puts this very program into the container's file system, once for each digest.
func plantAgent(pid int) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	root, err := os.OpenRoot(fmt.Sprintf("/proc/%d/root", pid)) // a link inside leads nowhere outside
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }() // a directory handle
	rel := strings.TrimPrefix(Agents, "/") + "/" + filepath.Base(self)
	if _, err := root.Lstat(rel); err == nil {
		return "/" + rel, nil
	}
	if err := root.MkdirAll(filepath.Dir(rel), 0o755); err != nil {
		return "", err
	}
	in, err := os.Open(self)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }() // only read
	tmp := fmt.Sprintf("%s.new-%d", rel, os.Getpid())
	out, err := root.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	if e := out.Close(); err == nil {
		err = e
	}
	if err != nil {
		return "", err
	}
	return "/" + rel, root.Rename(tmp, rel)
}

func (a *agent) closeChildren() {
	a.children.Lock()
	defer a.children.Unlock()
	for _, c := range a.inside {
		_ = c.stdin.Close() // tells it to end
	}
	for _, c := range a.inside {
		<-c.done
	}
}
