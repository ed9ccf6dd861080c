package kubeadm

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Alive is what load balancers say of nodes that the operator has declared gone. That we do not reach a host proves
// nothing: it may go on serving clients, and a cluster made beside it is a second one under the same address.
type Alive struct {
	// Answers are what answered by node, such as "its API server, to infra1".
	Answers map[string][]string
	// Asked are the load balancers that could be asked.
	Asked []string
}

// LookForLife asks every load balancer for the API server and the etcd of nodes that are gone.
func LookForLife(ctx context.Context, h site.Hosts, w Wanted) Alive {
	a := Alive{Answers: map[string][]string{}}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, n := range w.Intent.Nodes {
		if !slices.Contains(w.Gone, n.Name) {
			continue
		}
		for _, b := range w.Intent.HAProxy.Hosts {
			p := site.At(b.Where())
			if h[p.Host] == nil || p.Host == n.PhysicalHost {
				continue // its own host tells it to itself
			}
			all.Go(func() {
				reached, what := lifeOf(ctx, h, p, n, w.Intent.Kubernetes.BackendPort)
				mu.Lock()
				defer mu.Unlock()
				if reached && !slices.Contains(a.Asked, b.Name) {
					a.Asked = append(a.Asked, b.Name)
				}
				for _, x := range what {
					a.Answers[n.Name] = append(a.Answers[n.Name], x+", to "+b.Name)
				}
			})
		}
	}
	all.Wait()
	slices.Sort(a.Asked)
	for _, what := range a.Answers {
		slices.Sort(what)
	}
	return a
}

// lifeOf asks from a place whether something of a node answers. reached is false if the place itself could not be
// asked.
func lifeOf(ctx context.Context, h site.Hosts, from site.Place, n intent.Node, port int) (reached bool, what []string) {
	for _, one := range []struct{ name, address string }{
		{"its API server", net.JoinHostPort(n.NodeIP, fmt.Sprint(port))}, {"its etcd", net.JoinHostPort(n.NodeIP, "2379")},
	} {
		life, err := site.Ask[host.Life](ctx, h, from, host.OpAlive, one.address)
		if err != nil {
			continue
		}
		reached = true
		if life.Answers {
			what = append(what, one.name)
		}
	}
	return reached, what
}

// StillAlive finds nodes that are declared gone and are not. All are the nodes that may have been taken out before.
func StillAlive(w Wanted, world World, alive Alive, all []intent.Node) plan.Judge {
	return func(plan.Plan) []plan.Finding {
		var out []plan.Finding
		for _, name := range w.Gone {
			if i := slices.IndexFunc(all, func(n intent.Node) bool { return n.Name == name }); i >= 0 && !world.known(all[i]) {
				continue // it has been taken out
			}
			switch what := alive.Answers[name]; {
			case len(what) > 0:
				out = append(out, plan.Finding{
					Judge: "alive", Where: name, Blocks: true,
					Text: "it is declared gone and answers (" + strings.Join(what, "; ") + "): power it off, or stop its container and keep it from starting, before another takes its place",
				})
			case len(alive.Asked) == 0 && len(w.Intent.HAProxy.Hosts) > 0:
				out = append(out, plan.Finding{
					Judge: "alive", Where: name, Blocks: true, Text: "it is declared gone, and no load balancer on another host could be asked whether it still answers: make sure that it is off",
				})
			}
		}
		return out
	}
}
