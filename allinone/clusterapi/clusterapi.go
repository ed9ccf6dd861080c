// Package clusterapi runs Cluster API in this process: the controllers and webhooks of core, of the kubeadm bootstrap
// and control plane providers, and of the in-memory infrastructure, in one controller-runtime manager with one cache.
// Where machines are real, the infrastructure provider is another process, and nothing here is in memory.
//
// The order of a start matters after a restart: first the simulated machines come back, then the controllers that would
// replace a machine they do not find (see gate.go).
package clusterapi

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jeroboam-cloud/jeroboam/allinone/inmemory"
	"github.com/jeroboam-cloud/jeroboam/allinone/manifests"
	"github.com/jeroboam-cloud/jeroboam/allinone/pki"
	"github.com/jeroboam-cloud/jeroboam/allinone/simmachines"
)

// Options say how Cluster API runs.
type Options struct {
	Client        func() (*rest.Config, error) // asked for at start
	Authority     *pki.Authority               // signs the webhooks' serving certificate
	Etcd          func() string                // address of etcd, asked for at start
	WorkloadPorts inmemory.PortRange
	Scheduler     simmachines.Scheduler // says what becomes of each machine; nil lets all come at once
	External      bool                  // the infrastructure provider is another process: nothing is in memory

	// NodesNeedAddons keeps nodes not Ready until a network and a cloud controller manager were applied to their cluster.
	NodesNeedAddons bool

	Concurrency int       // reconciles at a time of each controller; 0 is 20
	Log         io.Writer // what goes wrong on connections

	// RestoreTimeout bounds the wait for the machines of an earlier run; 0 is 30 s.
	RestoreTimeout time.Duration
}

// Controllers are two components (see package lifecycle): Manifests, then the controllers themselves.
type Controllers struct {
	opts     Options
	listener net.Listener // of the webhooks

	stop    context.CancelFunc
	done    chan struct{}
	infra   *inmemory.Infrastructure
	manager ctrl.Manager
}

// New prepares Cluster API.
func New(o Options) *Controllers {
	if o.Concurrency == 0 {
		o.Concurrency = 20
	}
	if o.RestoreTimeout == 0 {
		o.RestoreTimeout = 30 * time.Second
	}
	return &Controllers{opts: o}
}

// Manifests opens the webhooks' port and returns the manifests that point there. It is called once, before Start.
func (c *Controllers) Manifests() (set *manifests.Set, err error) {
	var lc net.ListenConfig
	if c.listener, err = lc.Listen(context.Background(), "tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("listen for webhooks: %w", err)
	}
	base, ca := "https://"+c.listener.Addr().String(), c.opts.Authority.CertPEM()
	set = &manifests.Set{}
	if err := set.AddClusterAPI(base, ca); err != nil || c.opts.External {
		return set, err
	}
	if err := set.AddInMemory(base, ca); err != nil {
		return nil, err
	}
	set.Mutating = append(set.Mutating, inmemory.WebhookConfiguration(base, ca))
	if c.opts.Scheduler != nil {
		set.Mutating = append(set.Mutating, simmachines.WebhookConfiguration(base, ca))
	}
	return set, nil
}

// Start returns when the webhooks are served, the machines of an earlier run are back and all controllers run.
func (c *Controllers) Start(ctx context.Context, died func(error)) error {
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop, c.done = stop, make(chan struct{})
	cfg, err := c.opts.Client()
	if err != nil {
		return err
	}
	open, err := c.setup(runCtx, cfg)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		defer close(c.done)
		err := c.manager.Start(runCtx)
		if runCtx.Err() == nil {
			ended <- err
			died(err)
		}
	}()
	if err := c.waitRestored(ctx, ended); err != nil {
		return err
	}
	close(open)
	return c.waitServing(ctx, ended)
}

// setup makes the manager with everything in it. Closing open lets the controllers begin that act on workload clusters.
func (c *Controllers) setup(ctx context.Context, cfg *rest.Config) (open chan struct{}, err error) {
	if err := enableFeatures(); err != nil {
		return nil, err
	}
	hooks, err := newWebhookServer(c.listener, c.opts.Authority, c.opts.Log)
	if err != nil {
		return nil, err
	}
	if c.manager, err = newManager(cfg, hooks); err != nil {
		return nil, err
	}
	open = make(chan struct{})
	always := make(chan struct{})
	close(always)
	r, err := newReconcilers(ctx, gated{c.manager, always}, gated{c.manager, open}, c.opts)
	if err != nil {
		return nil, err
	}
	hooksOf := coreWebhooks(c.manager, r.clusters)
	steps := r.steps()
	if !c.opts.External {
		if err := c.simulate(ctx, r); err != nil {
			return nil, err
		}
		steps = append(r.inMemorySteps(c.infra, c.opts.Scheduler), steps...)
		hooksOf = append(hooksOf, inMemoryWebhooks()...)
	}
	for _, s := range steps {
		if err := s.setup(ctx); err != nil {
			return nil, fmt.Errorf("set up %s: %w", s.name, err)
		}
	}
	return open, setupWebhooks(c.manager, hooksOf)
}

// simulate makes the in-memory infrastructure, and brings back what an earlier run had.
func (c *Controllers) simulate(ctx context.Context, r *reconcilers) (err error) {
	c.infra, err = inmemory.New(ctx, inmemory.Options{
		Secrets: r.secrets, Ports: c.opts.WorkloadPorts, Etcd: c.opts.Etcd(), Log: c.opts.Log, NodesNeedAddons: c.opts.NodesNeedAddons,
	})
	if err != nil {
		return err
	}
	if err := c.infra.Restore(ctx, c.manager.GetAPIReader()); err != nil {
		return err
	}
	c.infra.Act(ctx)
	return nil
}

func (c *Controllers) waitRestored(ctx context.Context, ended <-chan error) error {
	if c.infra == nil {
		return nil
	}
	deadline := time.Now().Add(c.opts.RestoreTimeout)
	return poll(ctx, ended, func() bool {
		missing := c.infra.Restored(ctx)
		if missing > 0 && time.Now().After(deadline) {
			ctrl.Log.WithName("allinone").Error(nil, "Some machines of the earlier run did not come back in time and may be replaced", "machines", missing)
			return true
		}
		return missing == 0
	})
}

func (c *Controllers) waitServing(ctx context.Context, ended <-chan error) error {
	if !c.manager.GetCache().WaitForCacheSync(ctx) {
		return ctx.Err()
	}
	return poll(ctx, ended, func() bool { return c.manager.GetWebhookServer().StartedChecker()(nil) == nil })
}

// poll asks until the answer is yes.
func poll(ctx context.Context, ended <-chan error, ready func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case err := <-ended:
			return fmt.Errorf("the controllers ended: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// Stop ends the controllers, then the workload API servers.
func (c *Controllers) Stop(ctx context.Context) error {
	if c.stop == nil {
		return nil
	}
	c.stop()
	if c.infra != nil {
		if err := c.infra.Close(); err != nil {
			return fmt.Errorf("close the workload API servers: %w", err)
		}
	}
	if c.manager == nil {
		return nil
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
