// Package native is the data plane that dials: for each connection it reads the server name, connects to that cluster's
// API server inside its network's namespace, and copies bytes both ways until both sides have ended.
//
// TLS is not terminated, there is nothing to configure and nothing to reload. An established stream has no time limit:
// watches, exec and logs -f live as long as their ends do; keepalive finds ends that are gone. A stream ends from our
// side only when its backend is gone: the cluster was deleted, its address changed, or the namespace it runs through
// was deleted.
package native

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jeroboam-cloud/jeroboam/internal/netns"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/backend"
)

// Options are a Plane's parts and limits.
type Options struct {
	Dial           backend.Dial
	Metrics        *backend.Metrics
	HelloTimeout   time.Duration // for the whole ClientHello to arrive
	ConnectTimeout time.Duration // for one namespace
	MaxConnections int           // in total
	MaxPending     int           // that have not said hello yet; see lobby
	MaxPerBackend  int
	Used           func(stack string) // a backend answered a client
	Doubt          func(stack string) // a backend failed a client
}

// Plane passes connections on.
type Plane struct {
	Options

	table    atomic.Pointer[map[string]*route] // by server name
	total    atomic.Int64
	draining atomic.Bool
	streams  sync.WaitGroup
	serving  sync.WaitGroup
	setting  sync.Mutex // one Set at a time
	lobby    *lobby
}

// route is a backend with its streams.
type route struct {
	backend  backend.Backend
	counters backend.Counters
	open     *atomic.Int64 // streams, and connections that are to become some

	mu       sync.Mutex
	closed   bool // for good
	renewing bool // another route has its place and its streams
	streams  map[*stream]struct{}
}

// New makes a plane without backends.
func New(o Options) *Plane {
	p := &Plane{Options: o, lobby: newLobby(o.MaxPending)}
	p.table.Store(&map[string]*route{})
	return p
}

// Set says which backends there are. Streams of those that stay go on.
func (p *Plane) Set(backends []backend.Backend) error {
	p.setting.Lock()
	defer p.setting.Unlock()
	old, next := *p.table.Load(), make(map[string]*route, len(backends))
	var changed []*route
	for _, b := range backends {
		r := old[b.Host()]
		switch {
		case r == nil:
			r = &route{backend: b, counters: p.Metrics.Of(b.Stack), open: &atomic.Int64{}, streams: map[*stream]struct{}{}}
		case !r.backend.Equal(b):
			r = r.renewed(b)
			changed = append(changed, r)
		}
		next[b.Host()] = r
	}
	p.table.Store(&next)
	for host, r := range old {
		if next[host] == nil {
			r.cut(func(*stream) bool { return true }, true)
			p.Metrics.Forget(r.backend.Stack)
		}
	}
	for _, r := range changed {
		r.cut(func(s *stream) bool {
			return s.to != r.backend.Address || !slices.Contains(r.backend.Namespaces, s.namespace)
		}, false)
	}
	return nil
}

// renewed is r with another backend and the same streams, which it takes over.
func (r *route) renewed(b backend.Backend) *route {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := &route{backend: b, counters: r.counters, open: r.open, streams: r.streams}
	for s := range r.streams {
		s.route.Store(n)
	}
	r.streams, r.renewing = nil, true
	return n
}

// cut ends streams from our side.
func (r *route) cut(which func(*stream) bool, forGood bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = r.closed || forGood
	for s := range r.streams {
		if which(s) {
			s.abort()
		}
	}
}

// Listen opens a socket that several processes can share: a new one takes connections from then on, while an old one
// ends.
func Listen(ctx context.Context, address string) (*net.TCPListener, error) {
	// Linux gives a listening socket's keepalive to all that it accepts, which saves four calls for each.
	lc := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = share(int(fd)) }), err)
	}}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	t := l.(*net.TCPListener)
	return t, preferNewest(t)
}

// share sets what a socket for listening has from the beginning.
func share(fd int) error {
	k := netns.KeepAlive()
	for _, o := range []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(k.Idle / time.Second)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(k.Interval / time.Second)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, k.Count},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("set up the socket: %w", err)
		}
	}
	return nil
}

// preferNewest makes the kernel give new connections to the second socket of a group whenever there is one: the one
// that was opened last. Without it they would be spread over old and new, and those in the old socket's queue lost when
// it closes. A group of one has no second socket; the kernel then takes the one there is.
func preferNewest(l *net.TCPListener) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	program := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 1}}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	controlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &filter)
	})
	return errors.Join(controlErr, err)
}

// fullWait is how long accepting rests when the process has no file descriptors left.
const fullWait = 5 * time.Millisecond

// Serve passes on what l accepts until it is closed.
func (p *Plane) Serve(l *net.TCPListener) error {
	p.serving.Add(1)
	defer p.serving.Done()
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || p.draining.Load() {
				return nil
			}
			if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) {
				time.Sleep(fullWait)
				continue
			}
			if errors.Is(err, unix.ECONNABORTED) {
				continue
			}
			return err
		}
		p.Metrics.Accepted()
		if p.total.Load() >= int64(p.MaxConnections) {
			p.Metrics.Refuse(backend.RefusedTotal)
			_ = c.Close() // it gets no more from us
			continue
		}
		p.total.Add(1)
		p.lobby.enter(c, sourceOf(c))
		p.streams.Go(func() {
			defer p.total.Add(-1)
			p.handle(c)
		})
	}
}

// linger is how long a closing socket still takes what the kernel had already given to it.
const linger = 300 * time.Millisecond

// Drain stops accepting, lets streams end until ctx does, and then cuts them. Another process that has the same port
// open gets every connection from the moment it opened it.
func (p *Plane) Drain(ctx context.Context, l *net.TCPListener) {
	p.draining.Store(true)
	if err := l.SetDeadline(time.Now().Add(linger)); err == nil {
		select {
		case <-time.After(linger):
		case <-ctx.Done():
		}
	}
	_ = l.Close() // it is not used again
	p.serving.Wait()
	done := make(chan struct{})
	go func() { p.streams.Wait(); close(done) }()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	for _, r := range *p.table.Load() {
		r.cut(func(*stream) bool { return true }, true)
	}
	p.lobby.close()
	<-done
}

// Streams is how many streams each cluster has now.
func (p *Plane) Streams() map[string]int64 {
	out := map[string]int64{}
	for _, r := range *p.table.Load() {
		out[r.backend.Stack] = r.open.Load()
	}
	return out
}

// triedFirst is how long a way is tried as long as there is another one.
const triedFirst = time.Second

// dial tries the namespaces in order.
func (p *Plane) dial(r *route) (*net.TCPConn, netns.Namespace, netip.AddrPort, error) {
	begin, b := time.Now(), r.backend
	var errs []error
	for i, n := range b.Namespaces {
		timeout := p.ConnectTimeout
		if i < len(b.Namespaces)-1 {
			timeout = min(timeout, triedFirst) // there is another way, and the client waits
		}
		c, err := p.Dial(context.Background(), n.Name, b.Address, timeout)
		if err == nil {
			r.counters.Dial.Observe(time.Since(begin).Seconds())
			if len(errs) > 0 {
				p.Doubt(b.Stack) // the health check finds out which way is the better one
			}
			return c, n, b.Address, nil
		}
		errs = append(errs, err)
	}
	return nil, netns.Namespace{}, b.Address, errors.Join(errs...)
}
