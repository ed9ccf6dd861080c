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

// KeepAlive finds peers that are gone without a word within three minutes, and lets a connection outlive a network that is
// away for two.
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

// Dial connects to an address inside a namespace. timeout is for the connection to be made.
func (d *Dialer) Dial(ctx context.Context, namespace string, to netip.AddrPort, timeout time.Duration) (*net.TCPConn, error) {
	if namespace == "" || strings.ContainsRune(namespace, os.PathSeparator) {
		return nil, fmt.Errorf("%w: %q", ErrNoNamespace, namespace)
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	nd := net.Dialer{Timeout: timeout, KeepAliveConfig: KeepAlive()}
	// The standard dialer makes its socket here, outside; before it connects, it is replaced by one made inside.
	nd.Control = func(_, _ string, c syscall.RawConn) error {
		fd, err := d.socket(namespace, to.Addr().Is6())
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }() // its duplicate lives on
		controlErr := c.Control(func(outside uintptr) { err = unix.Dup3(fd, int(outside), unix.O_CLOEXEC) })
		return errors.Join(controlErr, err)
	}
	c, err := nd.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", namespace, err)
	}
	return c.(*net.TCPConn), nil
}

// socket makes a socket inside. The goroutine has the thread for itself meanwhile, and no step of it waits for the network.
func (d *Dialer) socket(namespace string, six bool) (int, error) {
	family := unix.AF_INET
	if six {
		family = unix.AF_INET6
	}
	runtime.LockOSThread()
	fd, err := socketIn(filepath.Join(d.dir, namespace), family)
	if back := unix.Setns(d.home, unix.CLONE_NEWNET); back != nil && !errors.Is(back, unix.EPERM) {
		// Not seen to happen. The thread stays locked, so that it ends with this goroutine and nobody else runs outside; without the
		// capability it has never left.
		return -1, errors.Join(err, fmt.Errorf("come back from the namespace: %w", back))
	}
	runtime.UnlockOSThread()
	if errors.Is(err, os.ErrNotExist) {
		return -1, ErrNoNamespace
	}
	return fd, err
}

// socketIn leaves the thread inside the namespace.
func socketIn(path string, family int) (int, error) {
	ns, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer func() { _ = unix.Close(ns) }() // only read
	if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
		if errors.Is(err, unix.EPERM) {
			return -1, fmt.Errorf("enter the namespace: %w (it takes CAP_SYS_ADMIN)", err)
		}
		if errors.Is(err, unix.EINVAL) {
			return -1, ErrNoNamespace // a file that is not mounted over yet, or no longer
		}
		return -1, fmt.Errorf("enter the namespace: %w", err)
	}
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
}
