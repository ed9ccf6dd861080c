// Package remote speaks to agents on other machines: it logs in with SSH, brings the agent there (once for each build), starts
// it, and sends requests over its standard input and output. One connection carries everything a deployment needs of a host:
// requests, big files, and connections to addresses that only the host reaches.
//
// Host keys are checked against known_hosts, always. Keys come from files or from the running ssh-agent.
package remote

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// Conn is a connection to one host's agent.
type Conn struct {
	name   string
	stdin  io.WriteCloser
	write  sync.Mutex
	nextID atomic.Int64
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	upload func(ctx context.Context, digest string, r io.Reader) error
	close  func() error

	mu      sync.Mutex
	waiting map[int64]chan reply
	gone    error
}

// ErrGone is a host that no longer answers: its connection broke. What it was doing it finishes; running again goes on.
var ErrGone = errors.New("the connection to the host is gone")

// reply is a line from an agent. The fields are host.Reply's; what an event says is not known here.
type reply struct {
	ID    int64           `json:"id"`
	Event json.RawMessage `json:"event,omitempty"`
	Out   json.RawMessage `json:"out,omitempty"`
	Error string          `json:"error,omitempty"`
}

type request struct {
	ID        int64  `json:"id"`
	Container string `json:"container,omitempty"`
	Op        string `json:"op"`
	In        any    `json:"in"`
}

// Pipe is a connection to an agent that somebody else started: in is written to, out is read.
func Pipe(name string, in io.WriteCloser, out io.Reader) *Conn {
	c := &Conn{name: name, stdin: in, waiting: map[int64]chan reply{}, close: in.Close}
	c.dial = (&net.Dialer{}).DialContext
	go c.listen(out)
	return c
}

// Name is the host's.
func (c *Conn) Name() string { return c.name }

// Dial connects from the host.
func (c *Conn) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return c.dial(ctx, network, address)
}

// Upload brings a blob into the host's store.
func (c *Conn) Upload(ctx context.Context, digest string, r io.Reader) error {
	if c.upload == nil {
		return fmt.Errorf("host %s takes no files", c.name)
	}
	return c.upload(ctx, digest, r)
}

// Close ends the agent, after what it is doing.
func (c *Conn) Close() error { return c.close() }

const maxLine = 64 << 20

func (c *Conn) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		var r reply
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			continue // a host that greets those who log in
		}
		c.mu.Lock()
		ch := c.waiting[r.ID]
		if r.Event == nil {
			delete(c.waiting, r.ID)
		}
		c.mu.Unlock()
		if ch != nil {
			ch <- r
		}
	}
	c.broken(lines.Err())
}

func (c *Conn) broken(err error) {
	if err == nil {
		err = io.EOF
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone == nil {
		c.gone = fmt.Errorf("host %s: %w (%w)", c.name, ErrGone, err)
	}
	for id, ch := range c.waiting {
		close(ch)
		delete(c.waiting, id)
	}
}

// Call asks for an operation, on the host or in one of its containers, and decodes the answer into out (nil: not wanted).
// Events go to event as they come (nil: not wanted). A cancelled context stops waiting; the agent goes on.
func (c *Conn) Call(ctx context.Context, container, op string, in, out any, event func(json.RawMessage)) error {
	id := c.nextID.Add(1)
	line, err := json.Marshal(request{ID: id, Container: container, Op: op, In: in})
	if err != nil {
		return err
	}
	ch := make(chan reply, 64)
	c.mu.Lock()
	if c.gone != nil {
		defer c.mu.Unlock()
		return c.gone
	}
	c.waiting[id] = ch
	c.mu.Unlock()
	c.write.Lock()
	_, err = c.stdin.Write(append(line, '\n'))
	c.write.Unlock()
	if err != nil {
		c.broken(err)
		return fmt.Errorf("host %s: %w (%w)", c.name, ErrGone, err)
	}
	return c.await(ctx, ch, container, out, event)
}

func (c *Conn) await(ctx context.Context, ch chan reply, container string, out any, event func(json.RawMessage)) error {
	for {
		select {
		case <-ctx.Done():
			go drain(ch)
			return ctx.Err()
		case r, ok := <-ch:
			switch {
			case !ok:
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.gone
			case r.Event != nil:
				if event != nil {
					event(r.Event)
				}
			case r.Error != "":
				where := c.name
				if container != "" {
					where = container
				}
				return fmt.Errorf("%s: %s", where, r.Error)
			case out == nil:
				return nil
			default:
				return json.Unmarshal(r.Out, out)
			}
		}
	}
}

// drain takes what nobody waits for, until the last word.
func drain(ch chan reply) {
	for r := range ch {
		if r.Event == nil {
			return
		}
	}
}

// Program is the agent to bring to hosts.
type Program struct {
	Path   string
	Digest string // hexadecimal SHA-256
	Size   int64
}

// open opens the program's file.
func (p Program) open() (*os.File, error) { return os.Open(p.Path) }
