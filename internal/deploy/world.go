package deploy

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/backups"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/components"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// World is how everything is.
type World struct {
	kubeadm.World
	// Running are versions of components.
	Running []components.Running
	// Objects are what server-side apply of the components would change.
	Objects []plan.Change
	// Alive is what is seen of nodes that are declared gone.
	Alive kubeadm.Alive
}

// Inspect looks at everything that Wanted names. It changes nothing.
func Inspect(ctx context.Context, h site.Hosts, w Wanted, d site.Dialer) (World, error) {
	world := World{World: kubeadm.World{Seen: site.NotLooked(len(w.Items))}}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	for name, p := range w.Places {
		if slices.Contains(w.Gone, name) {
			continue
		}
		running, there := w.Facts[p.Host].Containers[p.Container]
		switch {
		case h[p.Host] == nil:
			world.Unseen[name] = true
			continue
		case p.Container != "" && there && !running:
			world.Sleeping[name] = true
			continue
		case p.Container != "" && !there:
			world.Closed[name] = true
			continue
		}
		at, items := w.All(name)
		g.Go(func() error {
			have, err := site.Ask[host.Observed](gctx, h, p, host.OpObserve, items)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for n, i := range at {
				world.Items[i] = have[n]
			}
			return nil
		})
	}
	g.Go(func() (err error) {
		world.Nodes, err = kubeadm.Look(gctx, h, w.Wanted, world.Seen, func(n intent.Node) string { return backups.On(w.Intent, n) })
		return err
	})
	g.Go(func() error {
		world.Alive = kubeadm.LookForLife(gctx, h, w.Wanted)
		return nil
	})
	if err := g.Wait(); err != nil {
		return world, err
	}
	return world, world.lookAtCluster(ctx, h, w, d)
}

// lookAtCluster asks the API server, and compares the components' objects with those it has.
func (w *World) lookAtCluster(ctx context.Context, h site.Hosts, wanted Wanted, dial site.Dialer) error {
	c, api, err := kubeadm.LookAtCluster(ctx, h, wanted.Wanted, w.World, dial)
	w.Cluster = c
	if err != nil {
		return err
	}
	if api == nil {
		there := !c.Reachable && slices.ContainsFunc(wanted.Intent.Nodes, w.Member)
		w.Objects, err = components.NotCompared(wanted.Intent, wanted.Bundle, there, c.Why)
		return err
	}
	w.Objects, w.Running, err = components.Compare(ctx, api, wanted.Intent, wanted.Bundle)
	return err
}

// apiOf is the way to the API server of a cluster that was looked at, nil if none answered.
func apiOf(h site.Hosts, w Wanted, world World, dial site.Dialer) func(context.Context) (client.Client, error) {
	if !world.Cluster.Reachable || dial == nil {
		return nil
	}
	n := world.Bootstrap(w.Living())
	return func(ctx context.Context) (client.Client, error) { return dial(ctx, h, w.Places[n.Name], w.Server(n)) }
}
