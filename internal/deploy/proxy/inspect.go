package proxy

import (
	"context"
	"slices"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// World is which proxy runs, and what is on its hosts.
type World struct {
	Runs  string
	Hosts map[string]Found
	Why   plan.Finding
}

// Inspect asks the hosts of the proxy which one is there. What nobody reaches has none, and a host that is logged in to
// and does not answer counts as lost from then on: one of two hundred keeps no run from the others.
func Inspect(ctx context.Context, o site.Outside, in intent.Intent, serves string) World {
	w := World{Hosts: map[string]Found{}}
	var mu sync.Mutex
	_ = site.AtOnce(in.Proxy.Hosts, func(h intent.ProxyHost) error { // what failed is among the lost
		p := site.At(h.Where())
		mu.Lock()
		lost := o.Lost[p.Host]
		mu.Unlock()
		if lost != nil || o.Hosts[p.Host] == nil || p.Container != "" && !o.Facts[p.Host].Containers[p.Container] {
			return nil
		}
		seen, err := site.Observe(ctx, o.Hosts, p, witnesses())
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			o.Lost[p.Host] = err
			return nil
		}
		w.Hosts[h.Name] = foundBy(seen)
		return nil
	})
	w.Runs, w.Why = runs(in, serves, w.Hosts)
	return w
}

// Alone says of a physical host that nothing is there but a proxy: it is logged in to, and looked at without an agent.
func Alone(in intent.Intent, name string) bool {
	other := slices.ContainsFunc(in.Magnum.Hosts, func(h intent.MagnumHost) bool { return h.PhysicalHost == name }) ||
		slices.ContainsFunc(in.Nodes, func(n intent.Node) bool { return n.PhysicalHost == name }) ||
		slices.ContainsFunc(in.HAProxy.Hosts, func(h intent.HAProxyHost) bool { return h.PhysicalHost == name })
	return !other && !slices.ContainsFunc(in.Proxy.Hosts, func(h intent.ProxyHost) bool { return h.PhysicalHost == name && !h.IsMetal })
}

// Grants are the UIDs of the Secrets that tokens are bound to: those of the fleet by host, and of "proxy access" by
// node.
type Grants struct{ Fleet, Nodes map[string]string }

// LookAtGrants asks the cluster, if there is one: api is nil where none answers.
func LookAtGrants(ctx context.Context, api func(context.Context) (client.Client, error)) (Grants, error) {
	var g Grants
	if api == nil {
		return g, nil
	}
	c, err := api(ctx)
	if err != nil {
		return g, err
	}
	if g.Fleet, err = granted(ctx, c, fleet()); err == nil {
		g.Nodes, err = granted(ctx, c, access())
	}
	return g, err
}
