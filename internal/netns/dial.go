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
	"sync"
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
	dir      string
	requests chan request
	done     sync.WaitGroup
}

type request struct {
	path   string
	family int
	answer chan<- answer
}

type answer struct {
	fd  int
	err error
}

// NewDialer starts threads that make sockets inside the namespaces of dir. Close ends them.
func NewDialer(dir string, threads int) *Dialer {
	d := &Dialer{dir: dir, requests: make(chan request)}
	for range max(1, threads) {
		d.done.Go(d.work)
	}
	return d
}

// Close ends the threads. No Dial may be under way or come later.
func (d *Dialer) Close() {
	close(d.requests)
	d.done.Wait()
}

// Dial connects to an address inside a namespace. timeout is for the connection to be made.
func (d *Dialer) Dial(ctx context.Context, namespace string, to netip.AddrPort, timeout time.Duration) (*net.TCPConn, error) {
	if namespace == "" || strings.ContainsRune(namespace, os.PathSeparator) {
		return nil, fmt.Errorf("%w: %q", ErrNoNamespace, namespace)
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	nd := net.Dialer{Timeout: timeout, KeepAliveConfig: KeepAlive()}
	// The standard dialer makes its socket here, outside; before it connects, it is replaced by one made inside.
	nd.ControlContext = func(ctx context.Context, _, _ string, c syscall.RawConn) error {
		fd, err := d.socket(ctx, namespace, to.Addr().Is6())
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

func (d *Dialer) socket(ctx context.Context, namespace string, six bool) (int, error) {
	family := unix.AF_INET
	if six {
		family = unix.AF_INET6
	}
	reply := make(chan answer, 1)
	select {
	case d.requests <- request{filepath.Join(d.dir, namespace), family, reply}:
	case <-ctx.Done():
		return -1, ctx.Err()
	}
	a := <-reply // soon: no step of it waits for the network
	if errors.Is(a.err, os.ErrNotExist) {
		return -1, ErrNoNamespace
	}
	return a.fd, a.err
}

// work keeps a thread of its own. The thread is never given back to the runtime: it ends with this function.
func (d *Dialer) work() {
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	for r := range d.requests {
		if err != nil {
			r.answer <- answer{-1, fmt.Errorf("open our own network namespace: %w", err)}
			continue
		}
		fd, failed := socketIn(r.path, r.family)
		r.answer <- answer{fd, failed}
		if e := unix.Setns(home, unix.CLONE_NEWNET); e != nil {
			err = e // not seen to happen; a thread that is lost outside must not make sockets
		}
	}
	if home >= 0 {
		_ = unix.Close(home) // only read
	}
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
