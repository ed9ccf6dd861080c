package cli

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/controller"
	"github.com/jeroboam-cloud/jeroboam/internal/controller/cluster"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

// candidateAgain is how long a server waits before it stands for leader again.
const candidateAgain = 2 * time.Second

// lead runs the controllers whenever this server may. A manager that loses its lease, because another server has it or
// the management cluster was away for longer than the lease lasts, ends for good. The API must not end with it, for it
// reads from memory; so the controllers have a manager of their own, a new one for each term.
func (s *serving) lead(ctx context.Context) error {
	term := s.firstTerm
	for {
		var err error
		if term == nil {
			term, err = s.newTerm()
		}
		var asked bool
		if err == nil {
			asked, err = s.serveTerm(ctx, term)
		}
		if asked && err == nil {
			term = nil
			continue
		}
		if ctx.Err() != nil || !s.LeaderElection {
			return err
		}
		s.Log.WarnContext(ctx, "the controllers stopped; they start again when this server leads again", "error", err)
		term = nil
		select {
		case <-time.After(candidateAgain):
		case <-ctx.Done():
			return nil
		}
	}
}

// serveTerm leads until the term ends, by itself or because a new one is asked for.
func (s *serving) serveTerm(ctx context.Context, term *term) (asked bool, err error) {
	within, end := context.WithCancel(ctx)
	defer end()
	over := make(chan bool)
	go func() {
		select {
		case <-s.newTerms:
			end()
			over <- true
		case <-within.Done():
			over <- false
		}
	}()
	err = term.manager.Start(within)
	term.cache.giveBack()
	end()
	return <-over && ctx.Err() == nil, err
}

// term is one time of leading.
type term struct {
	manager manager.Manager
	cache   *sharedCache
}

// newTerm sets the controllers up, on the cache that the API reads from too.
func (s *serving) newTerm() (*term, error) {
	lent := &sharedCache{Cache: s.manager.GetCache()}
	mgr, err := ctrl.NewManager(s.Management, ctrl.Options{
		Scheme:                        s.manager.GetScheme(),
		Logger:                        logr.FromSlogHandler(s.Log.Handler()),
		LeaderElection:                s.LeaderElection,
		LeaderElectionID:              "jeroboam",
		LeaderElectionNamespace:       v1alpha1.Namespace,
		LeaderElectionReleaseOnCancel: true,
		Metrics:                       metricsserver.Options{BindAddress: "0"}, // served with ours
		HealthProbeBindAddress:        "0",
		GracefulShutdownTimeout:       new(10 * time.Second),
		NewCache:                      func(*rest.Config, cache.Options) (cache.Cache, error) { return lent, nil },
		Client:                        client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Controller:                    config.Controller{SkipNameValidation: new(true)}, // the next term's have the same names
	})
	if err != nil {
		return nil, fmt.Errorf("make a manager for the controllers: %w", err)
	}
	var told cluster.Notifier // an interface that holds nothing is nil
	if s.notifier != nil {
		told = s.notifier
	}
	err = controller.Setup(mgr, controller.Options{
		Notify: told,
		Class:  capi.ClusterClass(s.Infrastructure), BootVolumeSize: s.Config.BootVolumeSize, BootVolumeType: s.Config.BootVolumeType,
		ManagementCIDRs: s.Config.ManagementCIDRs,
		Keystone:        s.cloud.Admin(), CloudFor: s.cloudFor, Log: s.Log, Now: time.Now, Concurrency: s.Concurrency,
		Addons: controller.Addons{
			Catalogue: s.catalogue.Load(), CloudFor: s.addonCloudFor, CA: s.Config.NodeCA, Insecure: s.Config.NodeInsecure,
			Policy: s.Config.KeystonePolicy, Scalers: s.Config.Autoscalers, Dial: kube.ThroughProxies(s.direct, workload.Direct),
		},
	})
	return &term{mgr, lent}, err
}

// controllers prepares the first term, so that what is wrong is said at the start.
func (s *serving) controllers(ctx context.Context) (err error) {
	if s.APIOnly {
		return nil // and does not stand for leader: who holds the lease must work
	}
	if err := kube.AddIndexes(ctx, s.manager.GetFieldIndexer()); err != nil {
		return err
	}
	if s.firstTerm, err = s.newTerm(); err != nil {
		return err
	}
	return s.manager.Add(always(s.lead))
}

// sharedCache is the server's cache in the hands of one term: it runs already, and loses the term's handlers when that
// ends.
type sharedCache struct {
	cache.Cache

	mu       sync.Mutex
	handlers []func()
}

// Start implements cache.Cache.
func (c *sharedCache) Start(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// GetInformer implements cache.Cache.
func (c *sharedCache) GetInformer(ctx context.Context, o client.Object, opts ...cache.InformerGetOption) (cache.Informer, error) {
	i, err := c.Cache.GetInformer(ctx, o, opts...)
	if err != nil {
		return nil, err
	}
	return lentInformer{i, c}, nil
}

func (c *sharedCache) giveBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, remove := range c.handlers {
		remove()
	}
	c.handlers = nil
}

type lentInformer struct {
	cache.Informer

	cache *sharedCache
}

// AddEventHandlerWithOptions implements cache.Informer: it is the one that controllers call.
func (i lentInformer) AddEventHandlerWithOptions(h toolscache.ResourceEventHandler, o toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	r, err := i.Informer.AddEventHandlerWithOptions(h, o)
	if err == nil {
		i.cache.mu.Lock()
		defer i.cache.mu.Unlock()
		i.cache.handlers = append(i.cache.handlers, func() { _ = i.RemoveEventHandler(r) }) // an informer that has ended has no handlers
	}
	return r, err
}
