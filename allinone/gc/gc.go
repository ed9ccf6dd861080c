// Package gc runs the two controllers of kube-controller-manager that Cluster API cannot do without: the garbage
// collector, which deletes what lost its owner, and the namespace controller, which empties a namespace that is being
// deleted.
package gc

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
)

const (
	workers      = 5
	resync       = 10 * time.Minute
	discoverEach = 30 * time.Second // how soon new custom resources are collected too
)

// Controllers is a component (see package lifecycle).
type Controllers struct {
	Client func() (*rest.Config, error) // asked for at start

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// Start starts both controllers; they catch up on their own.
func (c *Controllers) Start(ctx context.Context, _ func(error)) error {
	cfg, err := c.Client()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	meta, err := metadata.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("make a metadata client: %w", err)
	}
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	typed := informers.NewSharedInformerFactory(client, resync)
	partial := metadatainformer.NewSharedInformerFactory(meta, resync)
	started := make(chan struct{})
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	graph := garbagecollector.NewDependencyGraphBuilder(ctx, meta, mapper, garbagecollector.DefaultIgnoredResources(),
		informerfactory.NewInformerFactory(typed, partial), started)
	collector, err := garbagecollector.NewComposedGarbageCollector(ctx, client, meta, mapper, graph)
	if err != nil {
		return fmt.Errorf("make the garbage collector: %w", err)
	}
	namespaces := namespace.NewNamespaceController(ctx, client, meta, client.Discovery().ServerPreferredNamespacedResources,
		typed.Core().V1().Namespaces(), resync, corev1.FinalizerKubernetes)
	typed.Start(ctx.Done())
	partial.Start(ctx.Done())
	close(started)
	c.wg.Go(func() { collector.Run(ctx, workers, discoverEach) })
	c.wg.Go(func() { collector.Sync(ctx, client.Discovery(), discoverEach) })
	c.wg.Go(func() { namespaces.Run(ctx, workers) })
	return nil
}

// Stop waits for both.
func (c *Controllers) Stop(context.Context) error {
	if c.stop != nil {
		c.stop()
		c.wg.Wait()
	}
	return nil
}
