// Package remote speaks to agents on other machines: it logs in with SSH, brings the agent there (once for each build),
// starts it, and sends requests over its standard input and output. One connection carries everything a deployment
// needs of a host: requests, big files, and connections to addresses that only the host reaches.
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
	waiting map[int64]call
	gone    error         // why, once lost is closed
	lost    chan struct{} // closed when the host no longer answers
}

// call is somebody who waits. Its channel of replies is never closed: whoever reads lines from the host may be about to
// send when the host is given up elsewhere, by a heartbeat.
type call struct {
	replies chan reply
	left    chan struct{} // closed when nobody waits any more
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
	c := &Conn{name: name, stdin: in, waiting: map[int64]call{}, lost: make(chan struct{}), close: in.Close}
	c.dial = (&net.Dialer{}).DialContext
	go c.listen(out)
	return c
}

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
		one, ok := c.waiting[r.ID]
		c.mu.Unlock()
		if !ok {
			continue // nobody waits for it any more
		}
		select {
		case one.replies <- r:
		case <-one.left:
		case <-c.lost:
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
		close(c.lost)
	}
}

// Call asks for an operation, on the host or in one of its containers, and decodes the answer into out (nil: not
// wanted). Events go to event as they come (nil: not wanted). A cancelled context stops waiting; the agent goes on.
func (c *Conn) Call(ctx context.Context, container, op string, in, out any, event func(json.RawMessage)) error {
	id := c.nextID.Add(1)
	line, err := json.Marshal(request{ID: id, Container: container, Op: op, In: in})
	if err != nil {
		return err
	}
	one := call{replies: make(chan reply, 64), left: make(chan struct{})}
	c.mu.Lock()
	if c.gone != nil {
		defer c.mu.Unlock()
		return c.gone
	}
	c.waiting[id] = one
	c.mu.Unlock()
	defer c.leave(id, one)
	c.write.Lock()
	_, err = c.stdin.Write(append(line, '\n'))
	c.write.Unlock()
	if err != nil {
		c.broken(err)
		return fmt.Errorf("host %s: %w (%w)", c.name, ErrGone, err)
	}
	return c.await(ctx, one, container, out, event)
}

// leave stops waiting: what still comes is passed over.
func (c *Conn) leave(id int64, one call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
	close(one.left)
}

func (c *Conn) await(ctx context.Context, one call, container string, out any, event func(json.RawMessage)) error {
	for {
		var r reply
		select {
		case <-ctx.Done():
			return ctx.Err()
		case r = <-one.replies:
		case <-c.lost:
			select { // what was told before it was lost counts
			case r = <-one.replies:
			default:
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.gone
			}
		}
		if r.Event != nil {
			if event != nil {
				event(r.Event)
			}
			continue
		}
		switch {
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

// Program is the agent to bring to hosts.
type Program struct {
	Path   string
	Digest string // hexadecimal SHA-256
	Size   int64
}

// open opens the program's file.
func (p Program) open() (*os.File, error) { return os.Open(p.Path) }
