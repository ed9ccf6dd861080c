package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Visit is a host that is logged in to, and nothing more: no program is brought there before something is asked that
// only an agent can do. Hosts that there are many of, and on which there is mostly nothing to be done, are looked at
// with Script.
type Visit struct {
	target  Target
	program Program
	client  *ssh.Client

	mu   sync.Mutex
	conn *Conn // the agent, once there is one
}

// Reach logs in.
func Reach(ctx context.Context, t Target, a Auth, p Program) (*Visit, error) {
	client, err := login(ctx, t, a)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", t.Name, err)
	}
	return &Visit{target: t, program: p, client: client}, nil
}

// scriptTimeout bounds a look: a host that hangs is one that does not answer.
const scriptTimeout = time.Minute

// Script runs a shell script as root and gives what it wrote.
func (v *Visit) Script(ctx context.Context, script string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, scriptTimeout)
	defer cancel()
	type answer struct {
		text string
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		text, err := output(v.client, strings.NewReader(script), sudo(v.target.User)+"sh -s")
		done <- answer{text, err}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return "", fmt.Errorf("host %s: %w", v.target.Name, a.err)
		}
		return a.text, nil
	case <-ctx.Done():
		return "", fmt.Errorf("host %s: no answer: %w", v.target.Name, ctx.Err())
	}
}

// agent brings the program and starts it, once.
func (v *Visit) agent(ctx context.Context) (*Conn, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.conn != nil {
		return v.conn, nil
	}
	conn, err := bring(ctx, v.client, v.target, v.program)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", v.target.Name, err)
	}
	v.conn = conn
	return conn, nil
}

// Call asks the agent.
func (v *Visit) Call(ctx context.Context, container, op string, in, out any, event func(json.RawMessage)) error {
	c, err := v.agent(ctx)
	if err != nil {
		return err
	}
	return c.Call(ctx, container, op, in, out, event)
}

// Upload brings a file to the agent's store.
func (v *Visit) Upload(ctx context.Context, digest string, r io.Reader) error {
	c, err := v.agent(ctx)
	if err != nil {
		return err
	}
	return c.Upload(ctx, digest, r)
}

// Dial connects from the host.
func (v *Visit) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return v.client.DialContext(ctx, network, address)
}

// Close ends the connection.
func (v *Visit) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.conn != nil {
		return errors.Join(v.conn.Close())
	}
	return v.client.Close()
}
