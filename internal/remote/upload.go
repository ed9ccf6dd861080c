package remote

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// uploads is one agent that takes files, one after the other: a deployment brings about eighty, and starting an agent
// for each cost more than most of them. A file is a line with its digest, then chunks with their length before them
// (four bytes, the highest first), then a length of zero; the answer is a line, "ok" or what went wrong.
type uploads struct {
	client  *ssh.Client
	command string

	mu      sync.Mutex
	session *ssh.Session // nil before the first, and after one that failed
	in      io.WriteCloser
	out     *bufio.Reader
}

const chunk = 256 << 10

func (u *uploads) put(ctx context.Context, digest string, r io.Reader) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.session == nil {
		if err := u.start(); err != nil {
			return err
		}
	}
	err := u.send(ctx, digest, r)
	if err != nil {
		_ = u.session.Close() // a file that did not come whole is none
		u.session = nil
	}
	return err
}

func (u *uploads) start() error {
	s, err := u.client.NewSession()
	if err != nil {
		return err
	}
	out, err := s.StdoutPipe()
	if err == nil {
		u.in, err = s.StdinPipe()
	}
	if err == nil {
		err = s.Start(u.command)
	}
	if err != nil {
		return errors.Join(err, s.Close())
	}
	u.session, u.out = s, bufio.NewReader(out)
	return nil
}

func (u *uploads) send(ctx context.Context, digest string, r io.Reader) error {
	if err := u.write(ctx, digest, r); err != nil {
		if ctx.Err() == nil {
			if said, readErr := u.out.ReadString('\n'); readErr == nil {
				return errors.New(strings.TrimSpace(said)) // why it stopped taking
			}
		}
		return err
	}
	said, err := u.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	if said = strings.TrimSpace(said); said != "ok" {
		return errors.New(said)
	}
	return nil
}

func (u *uploads) write(ctx context.Context, digest string, r io.Reader) error {
	if _, err := io.WriteString(u.in, digest+"\n"); err != nil {
		return err
	}
	buf := make([]byte, 4+chunk)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(r, buf[4:])
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		binary.BigEndian.PutUint32(buf, uint32(n))
		if _, err := u.in.Write(buf[:4+n]); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
}
