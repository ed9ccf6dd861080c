package native

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/jeroboam-cloud/jeroboam/internal/netns"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/backend"
	"github.com/jeroboam-cloud/jeroboam/internal/sni"
)

// stream is one connection that is passed on.
type stream struct {
	client, server *net.TCPConn
	namespace      netns.Namespace
	to             netip.AddrPort
	route          atomic.Pointer[route]
	ended          atomic.Int32 // directions
}

// buffers hold what is read and not written yet. A stream that waits has none. Two kilobytes take any usual
// ClientHello.
type buffers struct{ hello, data sync.Pool }

const (
	helloSize = 2 << 10
	dataSize  = 16 << 10
)

//nolint:gochecknoglobals // a pool is nobody's state
var pool = buffers{
	hello: sync.Pool{New: func() any { return new([helloSize]byte) }},
	data:  sync.Pool{New: func() any { return new([dataSize]byte) }},
}

// unrecognizedName is the TLS alert for a server name that is not served (RFC 6066, section 3): it tells a person who
// made a mistake what it was.
func unrecognizedName() []byte { return []byte{21, 3, 1, 0, 2, 2, 112} }

// handle is the life of one connection.
func (p *Plane) handle(client *net.TCPConn) {
	buf := pool.hello.Get().(*[helloSize]byte)
	defer pool.hello.Put(buf)
	hello, r, why := p.greet(client, buf[:])
	if !p.lobby.leave(client) {
		why = backend.RefusedPending
	}
	if why != "" {
		p.Metrics.Refuse(why)
		_ = client.Close() // it gets no more from us
		return
	}
	open := r.open // of all routes that come after r
	defer open.Add(-1)
	if open.Add(1) > int64(p.MaxPerBackend) {
		p.Metrics.Refuse(backend.RefusedBackend)
		_ = client.Close() // as above
		return
	}
	server, namespace, to, err := p.dial(r)
	if err != nil {
		p.Metrics.Refuse(backend.RefusedNoAnswer)
		p.Doubt(r.backend.Stack)
		reset(client)
		return
	}
	s := &stream{client: client, server: server, namespace: namespace, to: to}
	if r = p.join(s, hello.Name); r == nil {
		s.abort()
		return
	}
	defer s.leave()
	defer time.AfterFunc(keepAfter, s.keepAlive).Stop()
	if _, err := server.Write(hello.Raw); err != nil {
		s.abort()
		return
	}
	r.counters.Connections.Inc()
	r.counters.Requests.Add(float64(len(hello.Raw)))
	s.both(r, func() { p.Used(r.backend.Stack) })
}

// greet reads the ClientHello and finds its backend.
func (p *Plane) greet(client *net.TCPConn, buf []byte) (sni.Hello, *route, backend.Refused) {
	if err := client.SetReadDeadline(time.Now().Add(p.HelloTimeout)); err != nil {
		return sni.Hello{}, nil, backend.RefusedGone
	}
	hello, err := sni.Read(client, buf)
	switch {
	case errors.Is(err, sni.ErrNotTLS):
		return hello, nil, backend.RefusedNotTLS
	case errors.Is(err, sni.ErrNoName):
		return hello, nil, backend.RefusedNoName
	case errors.Is(err, sni.ErrTooLong):
		return hello, nil, backend.RefusedTooLong
	case errors.Is(err, os.ErrDeadlineExceeded):
		return hello, nil, backend.RefusedTooSlow
	case err != nil:
		return hello, nil, backend.RefusedGone
	}
	r := (*p.table.Load())[hello.Name]
	if r == nil {
		_, _ = client.Write(unrecognizedName()) // a courtesy
		return hello, nil, backend.RefusedUnknown
	}
	if err := client.SetReadDeadline(time.Time{}); err != nil {
		return hello, nil, backend.RefusedGone
	}
	return hello, r, ""
}

// join makes the stream one of its route's, as that is now. It fails when the backend has gone, or its ways have
// changed, since the connection was made.
func (p *Plane) join(s *stream, host string) *route {
	for ; ; time.Sleep(time.Millisecond) {
		r := (*p.table.Load())[host]
		if r == nil {
			return nil
		}
		r.mu.Lock()
		if r.renewing { // the next table is about to be there
			r.mu.Unlock()
			continue
		}
		defer r.mu.Unlock()
		if r.closed || s.to != r.backend.Address || !slices.Contains(r.backend.Namespaces, s.namespace) {
			return nil
		}
		s.route.Store(r)
		r.streams[s] = struct{}{}
		r.counters.Open.Inc()
		return r
	}
}

func (s *stream) leave() {
	for {
		r := s.route.Load()
		r.mu.Lock()
		if s.route.Load() != r { // renewed meanwhile
			r.mu.Unlock()
			continue
		}
		delete(r.streams, s)
		r.counters.Open.Dec()
		r.mu.Unlock()
		return
	}
}

// keepAfter is how old a stream is when keepalive is set up for its backend: most are over by then, and it takes four
// calls.
const keepAfter = 10 * time.Second

func (s *stream) keepAlive() { _ = s.server.SetKeepAliveConfig(netns.KeepAlive()) } // it may have ended just now

// abort ends both connections at once, with a reset: neither peer may take it for an orderly end.
func (s *stream) abort() {
	reset(s.client)
	reset(s.server)
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0) // the connection may be closed already: that is what is wanted
	_ = c.Close()      // likewise
}

// both copies until both directions have ended.
func (s *stream) both(r *route, answered func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.oneWay(s.server, s.client, r.counters.Requests, nil)
	}()
	s.oneWay(s.client, s.server, r.counters.Responses, answered)
	<-done
	_ = s.client.Close() // both directions have ended
	_ = s.server.Close() // likewise
}

// oneWay copies one direction and passes its end on: an end as an end of that direction, an error as the end of
// everything.
func (s *stream) oneWay(to, from *net.TCPConn, count prometheus.Counter, first func()) {
	err := pump(to, from, func(n int64) {
		count.Add(float64(n))
		if first != nil {
			first()
			first = nil
		}
	})
	if err == nil && s.ended.Add(1) == 1 {
		err = to.CloseWrite() // the other direction goes on; when that ends too, both connections are closed
	}
	if err != nil && !errors.Is(err, unix.ENOTCONN) {
		s.abort()
	}
}

// A direction that has filled this many buffers in a row is a bulk transfer; from then on the kernel moves the bytes
// from socket to socket. That takes a pipe, two file descriptors and a little memory, so that streams that mostly wait
// do better without: the turn is taken again after each spliceSize bytes.
const (
	bulkAfter  = 8
	spliceSize = 32 << 20
)

// pump copies until from ends.
func pump(to, from *net.TCPConn, count func(int64)) error {
	raw, err := from.SyscallConn()
	if err != nil {
		return err
	}
	for full := 0; ; {
		n, err := once(to, raw)
		if err != nil || n == 0 {
			return err
		}
		count(int64(n))
		if n < dataSize {
			full = 0
			continue
		}
		if full++; full < bulkAfter {
			continue
		}
		full = 0
		moved, err := to.ReadFrom(&io.LimitedReader{R: from, N: spliceSize})
		count(moved)
		if err != nil {
			return err
		}
		if moved < spliceSize {
			return nil
		}
	}
}

// waiting is satisfied by a connection's raw form.
type waiting interface {
	Read(f func(fd uintptr) (done bool)) error
}

// once waits until there is something to read, takes a buffer only then, and writes what it got. 0 is the end.
func once(to *net.TCPConn, from waiting) (int, error) {
	var buf *[dataSize]byte
	n, failed := 0, error(nil)
	err := from.Read(func(fd uintptr) bool {
		buf = pool.data.Get().(*[dataSize]byte)
		for {
			n, failed = unix.Read(int(fd), buf[:])
			if !errors.Is(failed, unix.EINTR) {
				break
			}
		}
		if errors.Is(failed, unix.EAGAIN) {
			pool.data.Put(buf)
			buf, failed = nil, nil
			return false
		}
		return true
	})
	if buf != nil {
		defer pool.data.Put(buf)
	}
	if err = errors.Join(err, failed); err != nil || n <= 0 {
		return 0, err
	}
	return to.Write(buf[:n])
}
