package proxy

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy/backend"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/haproxy"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/native"
)

// nativePlane joins a native plane and its socket.
type nativePlane struct {
	*native.Plane

	p        *proxy
	listener *net.TCPListener
	drained  sync.Once
}

// Start implements dataPlane.
func (n *nativePlane) Start(ctx context.Context, host string, port int) (uint16, error) {
	l, err := native.Listen(ctx, net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return 0, fmt.Errorf("%w (--bind and --port, PROXY_BIND and PROXY_PORT, choose another address)", err)
	}
	n.listener = l
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && limit.Max/2 < uint64(n.p.MaxConnections) {
		n.p.Log.WarnContext(ctx, "the limit of file descriptors does not allow as many connections as --max-connections", "descriptors", limit.Max)
	}
	n.p.work.Go(func() {
		if err := n.Serve(l); err != nil {
			n.p.failed <- fmt.Errorf("accept connections: %w", err)
		}
	})
	return uint16(l.Addr().(*net.TCPAddr).Port), nil
}

// Drain implements dataPlane.
func (n *nativePlane) Drain(ctx context.Context) {
	if n.listener != nil {
		n.drained.Do(func() { n.Plane.Drain(ctx, n.listener) })
	}
}

// haproxyPlane makes haproxy when the port is known.
type haproxyPlane struct {
	p       *proxy
	running context.Context //nolint:containedctx // what Run of the plane lives by
	stop    context.CancelFunc
	drain   context.Context //nolint:containedctx // ends when streams must
	cut     context.CancelFunc
	done    chan struct{}
	plane   *haproxy.Plane
	first   []backend.Backend
}

func newHAProxy(_, running context.Context, p *proxy) (dataPlane, error) {
	h := &haproxyPlane{p: p, done: make(chan struct{})}
	h.drain, h.cut = context.WithCancel(running)
	h.running, h.stop = context.WithCancel(running)
	return h, nil
}

// Set implements dataPlane.
func (h *haproxyPlane) Set(backends []backend.Backend) error {
	h.p.mu.Lock()
	plane := h.plane
	h.first = backends
	h.p.mu.Unlock()
	if plane == nil {
		return nil
	}
	return plane.Set(backends)
}

// Start implements dataPlane.
func (h *haproxyPlane) Start(ctx context.Context, host string, port int) (uint16, error) {
	if port == 0 {
		l, err := native.Listen(ctx, net.JoinHostPort(host, "0"))
		if err != nil {
			return 0, err
		}
		port = l.Addr().(*net.TCPAddr).Port
		_ = l.Close() // it only told a number
	}
	plane, err := haproxy.New(ctx, haproxy.Options{
		Program: h.p.HAProxy, Dir: filepath.Clean(h.p.RunDir), Bind: host, Port: port, MaxConnections: h.p.MaxConnections,
		MaxPerBackend: h.p.MaxPerBackend, ConnectTimeout: h.p.ConnectTimeout, HelloTimeout: h.p.HelloTimeout, Metrics: h.p.metrics, Log: h.p.Log,
	})
	if err != nil {
		return 0, err
	}
	if err := h.p.registry.Register(plane); err != nil {
		return 0, fmt.Errorf("count what haproxy does: %w", err)
	}
	h.p.mu.Lock()
	first := h.first
	h.plane = plane
	h.p.mu.Unlock()
	h.p.work.Go(func() {
		defer close(h.done)
		if err := plane.Run(h.running, h.drain); err != nil {
			h.p.failed <- err
		}
	})
	if err := plane.Set(first); err != nil {
		h.p.Log.WarnContext(ctx, "haproxy is slow to start", "error", err)
		h.p.change()
	}
	return uint16(port), nil
}

// Drain implements dataPlane.
func (h *haproxyPlane) Drain(ctx context.Context) {
	h.stop()
	h.p.mu.Lock()
	started := h.plane != nil
	h.p.mu.Unlock()
	if !started {
		return
	}
	select {
	case <-h.done:
	case <-ctx.Done():
		h.cut()
		<-h.done
	}
	h.cut()
}

// Streams implements dataPlane.
func (h *haproxyPlane) Streams() map[string]int64 {
	h.p.mu.Lock()
	plane := h.plane
	h.p.mu.Unlock()
	if plane == nil {
		return nil
	}
	return plane.Streams()
}
