// Package proxy makes the API servers of private workload clusters reachable for the management cluster, from a host
// where Neutron keeps a namespace of their network: clients connect to https://<stack>.magnum-system:6443, the
// management cluster's Service of that name leads to this host, and a data plane passes the connection on inside the
// namespace.
//
// What is done follows from three things that are watched: OpenStackClusters, the namespaces of this host, and whether
// API servers answer. Each change leads to one round of decide, which is a pure function, and its result is handed to
// the data plane, the health checks and the control plane. An idle host does nothing but check and renew its lease.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"k8s.io/client-go/rest"

	"github.com/jeroboam-cloud/jeroboam/internal/netns"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/backend"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/control"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/native"
)

// Options are what a proxy is made from.
type Options struct {
	Config    *rest.Config // of the management cluster
	Identity  control.Identity
	Bind      string // "", "*" or an address
	Port      int    // 0: any free one
	Advertise string // where clients reach this host; empty: see advertise
	Always    bool   // proxy clusters with a floating IP too
	OldHosts  bool   // keep hosts with the old proxy from deleting our slices
	NetnsDir  string

	Plane          string // "native" or "haproxy"
	HAProxy        string // program
	RunDir         string // haproxy's files
	Check          backend.Check
	CheckInterval  time.Duration
	CheckTimeout   time.Duration
	HelloTimeout   time.Duration
	ConnectTimeout time.Duration
	MaxConnections int
	MaxPending     int
	MaxPerBackend  int
	Drain          time.Duration // how long streams may go on after the end was asked for

	AdminListen string // host:port of /metrics, /healthz, /readyz and /status
	Ready       func() // called once, when an older process of this host may end; may be nil
	Log         *slog.Logger
	Now         func() time.Time // the clock; nil is the system's
}

// dataPlane passes connections on.
type dataPlane interface {
	// Set says which backends there are; streams of those that stay go on.
	Set(backends []backend.Backend) error
	// Start listens. It is called after the first Set, so that nobody is refused for want of backends.
	Start(ctx context.Context, bind string, port int) (listening uint16, err error)
	// Drain stops listening, lets streams end until ctx does, and cuts them then.
	Drain(ctx context.Context)
	// Streams is how many streams each cluster has.
	Streams() map[string]int64
}

// proxy is what the steps hand to each other.
type proxy struct {
	Options

	registry   *prometheus.Registry
	metrics    *backend.Metrics
	directory  *netns.Directory
	dialer     *netns.Dialer
	prober     *backend.Prober
	plane      dataPlane
	control    *control.Control
	advertised atomic.Pointer[control.Advertised]

	dirty    chan struct{}
	draining atomic.Bool
	failed   chan error // what must not end has ended
	told     sync.Once  // Ready
	work     sync.WaitGroup

	mu        sync.Mutex
	decisions []decision
	lastErr   error
}

// Run is a proxy until ctx ends.
func Run(ctx context.Context, o Options) (err error) {
	p := &proxy{Options: o, dirty: make(chan struct{}, 1), failed: make(chan error, 8), registry: prometheus.NewRegistry()}
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p.metrics = backend.NewMetrics(p.registry)
	if p.Now == nil {
		p.Now = time.Now
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx)) // everything but publishing outlives ctx, to drain
	defer func() {
		stop()
		if p.plane != nil {
			p.plane.Drain(running) // has been drained, unless something failed; then nothing is waited for
		}
		p.work.Wait()
		if p.prober != nil {
			p.prober.Close()
		}
		if p.dialer != nil {
			p.dialer.Close()
		}
	}()
	for _, step := range []struct {
		name string
		run  func(ctx, running context.Context) error
	}{
		{"choose an address", p.address},            // what is wrong is said at once
		{"serve metrics and health", p.admin},       // from the start, to say how far it is
		{"follow the namespaces", p.namespaces},     // of this host
		{"set up health checks", p.checks},          //
		{"set up the data plane", p.dataPlane},      // not listening yet
		{"follow the clusters", p.clusters},         // returns when all are known
		{"listen", p.listen},                        // with all backends known
		{"publish", p.publish},                      // this host's slices and lease
		{"wait for the end", p.wait},                //
		{"leave the fleet and drain", p.leaveFleet}, // slices first, streams last
	} {
		if err := step.run(ctx, running); err != nil {
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return nil
			}
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

func (p *proxy) address(ctx, _ context.Context) error {
	a, err := advertise(ctx, p.Advertise, p.Bind, net.InterfaceAddrs)
	if err != nil {
		return err
	}
	p.advertised.Store(&control.Advertised{Address: a})
	return nil
}

// change asks for a round.
func (p *proxy) change() {
	select {
	case p.dirty <- struct{}{}:
	default: // one is coming
	}
}

func (p *proxy) namespaces(_, running context.Context) (err error) {
	if p.directory, err = netns.NewDirectory(p.NetnsDir, p.Log, p.change); err != nil {
		return err
	}
	p.work.Go(func() {
		if err := p.directory.Run(running); err != nil {
			p.failed <- err
		}
	})
	return nil
}

// parallelChecks is how many API servers are asked at once.
const parallelChecks = 64

func (p *proxy) checks(_, _ context.Context) (err error) {
	if p.dialer, err = netns.NewDialer(p.NetnsDir); err != nil {
		return err
	}
	p.prober = backend.NewProber(backend.ProberOptions{
		Dial: p.dialer.Dial, Check: p.Check, Interval: p.CheckInterval, Timeout: p.CheckTimeout, Parallel: parallelChecks,
		Metrics: p.metrics, Changed: func(string) { p.change() },
	})
	return nil
}

func (p *proxy) dataPlane(ctx, running context.Context) (err error) {
	if p.Plane == "haproxy" {
		p.plane, err = newHAProxy(ctx, running, p)
		return err
	}
	p.plane = &nativePlane{p: p, Plane: native.New(native.Options{
		Dial: p.dialer.Dial, Metrics: p.metrics, HelloTimeout: p.HelloTimeout, ConnectTimeout: p.ConnectTimeout,
		MaxConnections: p.MaxConnections, MaxPending: p.MaxPending, MaxPerBackend: p.MaxPerBackend,
		Used: p.prober.Used, Doubt: p.prober.Doubt,
	})}
	return nil
}

func (p *proxy) clusters(ctx, running context.Context) (err error) {
	p.control, err = control.New(control.Options{
		Config: p.Config, Identity: p.Identity, Always: p.Always, OldHosts: p.OldHosts, Now: p.Now, Log: p.Log, Changed: p.change,
	})
	if err != nil {
		return err
	}
	p.work.Go(func() { p.control.Follow(running) })
	if err := p.control.Synced(ctx); err != nil {
		return err
	}
	p.round()
	p.work.Go(func() { p.rounds(running) })
	return nil
}

// rounds decides again after each change.
func (p *proxy) rounds(ctx context.Context) {
	for {
		select {
		case <-p.dirty:
			p.round()
			if p.Ready != nil && p.ready() == nil { // each step towards it is a change
				p.told.Do(p.Ready)
			}
		case <-ctx.Done():
			return
		}
	}
}

// round hands what follows from what is known to all parts.
func (p *proxy) round() {
	decisions := decide(p.control.Clusters(), p.Always, p.directory.Find, p.prober.Health)
	var backends []backend.Backend
	wishes := make(map[string]control.Wish, len(decisions))
	for _, d := range decisions {
		if d.serve {
			backends = append(backends, d.backend)
		}
		if d.cluster.Stack != "" {
			wishes[d.cluster.Stack] = d.wish
		}
	}
	err := p.plane.Set(backends)
	if err != nil {
		p.Log.Error("the data plane did not take its backends", "error", err)
	}
	p.prober.Set(backends)
	p.control.Wish(wishes)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decisions, p.lastErr = decisions, err
}

func (p *proxy) listen(ctx, _ context.Context) error {
	bound, any, err := parseBind(p.Bind)
	if err != nil {
		return err
	}
	host := ""
	if !any {
		host = bound.String()
	}
	port, err := p.plane.Start(ctx, host, p.Port)
	if err != nil {
		return err
	}
	a := control.Advertised{Address: p.advertised.Load().Address, Port: port}
	p.advertised.Store(&a)
	p.Log.InfoContext(ctx, "proxying", "listen", net.JoinHostPort(p.Bind, fmt.Sprint(port)),
		"advertised", a.String(), "host", p.Identity.Host, "plane", p.Plane)
	return nil
}

func (p *proxy) publish(ctx, _ context.Context) error {
	p.work.Go(func() {
		if err := p.control.Publish(ctx, *p.advertised.Load()); err != nil {
			p.failed <- err
		}
	})
	return nil
}

func (p *proxy) wait(ctx, _ context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-p.failed:
		return err
	}
}

// Times of leaving: for the management cluster to be told, and for kube-proxies to hear of it.
const (
	withdrawIn = 10 * time.Second
	hearOfIt   = time.Second
)

func (p *proxy) leaveFleet(_, running context.Context) error {
	p.draining.Store(true)
	drain, cancel := context.WithTimeout(running, p.Drain)
	defer cancel()
	bound, stop := context.WithTimeout(running, withdrawIn)
	defer stop()
	withdrawn, err := p.control.Withdraw(bound)
	if err != nil {
		p.Log.Warn("this host's slices are still there; the fleet's owner withdraws them when the lease has run out", "error", err)
	}
	if withdrawn {
		select {
		case <-time.After(min(hearOfIt, p.Drain)):
		case <-drain.Done():
		}
	}
	p.plane.Drain(drain)
	return nil
}
