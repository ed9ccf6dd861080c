package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoNamespace says that a namespace is not, or no longer, on this host.
var ErrNoNamespace = errors.New("no such network namespace")

// KeepAlive finds peers that are gone without a word within three minutes, and lets a connection outlive a network that
// is away for two.
func KeepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 8}
}

// Dialer opens TCP connections inside namespaces. It needs CAP_SYS_ADMIN, for setns(2), and no other capability.
type Dialer struct {
	dir  string
	home int // the namespace we live in
}

// NewDialer makes sockets inside the namespaces of dir. Close it in the end.
func NewDialer(dir string) (*Dialer, error) {
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open our own network namespace: %w", err)
	}
	return &Dialer{dir, home}, nil
}

// Close ends it. No Dial may be under way or come later.
func (d *Dialer) Close() { _ = unix.Close(d.home) } // only read

// Dial connects to an address inside a namespace. timeout is for the connection to be made. Keepalive is
// left to the caller.
func (d *Dialer) Dial(ctx context.Context, namespace string, to netip.AddrPort, timeout time.Duration) (*net.TCPConn, error) {
	if namespace == "" || strings.ContainsRune(namespace, os.PathSeparator) {
		return nil, fmt.Errorf("%w: %q", ErrNoNamespace, namespace)
	}
	c, err := d.dial(ctx, filepath.Join(d.dir, namespace), netip.AddrPortFrom(to.Addr().Unmap(), to.Port()).String(), timeout)
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", namespace, err)
	}
	return c.(*net.TCPConn), nil
}

// dial goes inside and leaves the rest to the standard dialer, which makes its socket first and asks Control before it
// does anything else: that is when the thread goes home. What takes long, connecting, happens at home.
func (d *Dialer) dial(ctx context.Context, path, to string, timeout time.Duration) (net.Conn, error) {
	visit, err := d.enter(path)
	if err != nil {
		return nil, err
	}
	nd := net.Dialer{Timeout: timeout, KeepAlive: -1, Control: func(_, _ string, _ syscall.RawConn) error { return visit.socketMade() }}
	c, err := nd.DialContext(ctx, "tcp", to)
	return c, errors.Join(err, visit.leave()) // it may never have come to a socket
}

// visit is one goroutine's stay inside a namespace. It has its thread for itself meanwhile.
type visit struct {
	home int
	over bool
}

func (d *Dialer) enter(path string) (*visit, error) {
	ns, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, ErrNoNamespace
	case err != nil:
		return nil, err
	}
	defer func() { _ = unix.Close(ns) }() // only read
	runtime.LockOSThread()
	err = unix.Setns(ns, unix.CLONE_NEWNET)
	if err == nil {
		return &visit{home: d.home}, nil
	}
	runtime.UnlockOSThread() // it has never left
	switch {
	case errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("enter the namespace: %w (it takes CAP_SYS_ADMIN)", err)
	case errors.Is(err, unix.EINVAL):
		return nil, ErrNoNamespace // a file that is not mounted over yet, or no longer
	}
	return nil, fmt.Errorf("enter the namespace: %w", err)
}

// errOutside keeps the standard dialer from a second socket, which it would try for when the first one connected to
// itself: that one would be made at home.
var errOutside = errors.New("the address cannot be connected to from there")

func (v *visit) socketMade() error {
	if v.over {
		return errOutside
	}
	return v.leave()
}

// leave may be called again.
func (v *visit) leave() error {
	if v.over {
		return nil
	}
	v.over = true
	if err := unix.Setns(v.home, unix.CLONE_NEWNET); err != nil {
		// Not seen to happen. The thread stays locked, so that it ends with this goroutine and nobody else runs inside.
		return fmt.Errorf("leave the namespace: %w", err)
	}
	runtime.UnlockOSThread()
	return nil
}
