package proxy

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace with a thread that lives in it.
type namespace struct {
	path string
	work chan func()
}

// newNamespace makes one as "ip netns add" does: a file, and then a mount on it.
func newNamespace(path string) (*namespace, error) {
	n := &namespace{path: path, work: make(chan func())}
	made := make(chan error)
	go n.live(made, loopbackUp)
	if err := <-made; err != nil {
		return nil, fmt.Errorf("make namespace %s: %w", path, err)
	}
	return n, nil
}

// live is the thread inside: it ends with the goroutine.
func (n *namespace) live(made chan<- error, first func() error) {
	runtime.LockOSThread()
	err := os.WriteFile(n.path, nil, 0o444)
	if err == nil {
		err = unix.Unshare(unix.CLONE_NEWNET)
	}
	if err == nil {
		err = unix.Mount("/proc/thread-self/ns/net", n.path, "", unix.MS_BIND, "")
	}
	if err == nil {
		err = first()
	}
	made <- err
	if err == nil {
		for f := range n.work {
			f()
		}
	}
}

// loopbackUp is "ip link set lo up", without a program.
func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(s) }()
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r)
}

// do runs f on a thread inside.
func (n *namespace) do(f func() error) error {
	done := make(chan error, 1)
	n.work <- func() { done <- f() }
	return <-done
}

// ip runs iproute2 inside, one command a line.
func (n *namespace) ip(commands ...string) error {
	return n.do(func() error {
		for _, c := range commands {
			if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
				return fmt.Errorf("ip %s: %w: %s", c, err, out)
			}
		}
		return nil
	})
}

// remove is "ip netns del".
func (n *namespace) remove() {
	_ = unix.Unmount(n.path, unix.MNT_DETACH)
	_ = os.Remove(n.path)
	close(n.work)
}

func (n *namespace) listen(address string) (l net.Listener, err error) {
	return l, n.do(func() error {
		l, err = net.Listen("tcp", address)
		return err
	})
}

// start runs a program inside a namespace. It ends with this process.
func (n *namespace) start(log string, change func(*exec.Cmd), program string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if change != nil {
		change(cmd)
	}
	if err := n.do(cmd.Start); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(p.done) }()
	return p, nil
}
