package balance

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Balancers are the load balancers of the API, in a run.
type Balancers struct {
	site.Run
	Balancers []intent.HAProxyHost
	// Port is where nodes' API servers listen.
	Port int
}

// Reach waits until every load balancer reaches a node's API server, and tells it so (see Nudge): the next node's goes
// away only when clients find this one.
func (b Balancers) Reach(ctx context.Context, step string, n intent.Node) error {
	for _, h := range b.Balancers {
		if err := b.Wait(ctx, step, n.Name, time.Minute, func() (bool, string) { return b.introduce(ctx, h, n) }); err != nil {
			return err
		}
	}
	return nil
}

// Nudge tells load balancers that a node's API server is up as soon as they can reach it. By themselves they would need
// rise x interval, 36 seconds with the role's defaults, in which every client of the virtual address waits.
func (b Balancers) Nudge(ctx context.Context, n intent.Node) func() {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		told := map[string]bool{}
		for ctx.Err() == nil && len(told) < len(b.Balancers) {
			for _, h := range b.Balancers {
				if told[h.Name] {
					continue
				}
				if ok, _ := b.introduce(ctx, h, n); ok {
					told[h.Name] = true
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(b.Poll):
			}
		}
	}()
	return func() { cancel(); <-done }
}

// introduce tells a load balancer that a node's API server is up, if it reaches it; otherwise it says why not.
func (b Balancers) introduce(ctx context.Context, h intent.HAProxyHost, n intent.Node) (bool, string) {
	p := site.At(h.Where())
	url := "https://" + net.JoinHostPort(n.NodeIP, fmt.Sprint(b.Port)) + "/healthz"
	code, err := site.Ask[int](ctx, b.Hosts, p, host.OpAnswers, url)
	if err != nil || code != 200 {
		return false, fmt.Sprintf("load balancer %s does not reach it (%d, %v)", h.Name, code, err)
	}
	b.setServer(ctx, h, n, "set server %s health up")
	return true, ""
}

// Divert keeps clients of the virtual address away from a node that is about to change, and returns what lets them
// back. New connections go to other nodes, and those that are open end now: a client of an API server whose etcd is
// being replaced would wait on a connection that looks well. A run that is killed in between leaves the load balancer
// diverted, which the next plan shows and its apply mends.
func (b Balancers) Divert(ctx context.Context, step string, n intent.Node, others []intent.Node) func() {
	var diverted []intent.HAProxyHost
	for _, h := range b.Balancers {
		if !b.reachesOther(ctx, h, n, others) {
			continue // better this node now and then than none
		}
		b.Say(step, n.Name, "clients of %s are sent to other nodes", h.Name)
		b.setServer(ctx, h, n, "set server %s state drain", "shutdown sessions server %s")
		diverted = append(diverted, h)
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		for _, h := range diverted {
			b.setServer(ctx, h, n, "set server %s state ready")
		}
	}
}

// reachesOther says whether a load balancer has another node to send clients to.
func (b Balancers) reachesOther(ctx context.Context, h intent.HAProxyHost, n intent.Node, others []intent.Node) bool {
	return slices.ContainsFunc(others, func(o intent.Node) bool {
		if o.Name == n.Name {
			return false
		}
		ok, _ := b.introduce(ctx, h, o)
		return ok
	})
}

// setServer gives commands for a node to a load balancer, as the server of each service it is in. They help; a load
// balancer that does not take them finds out by its checks, later.
func (b Balancers) setServer(ctx context.Context, h intent.HAProxyHost, n intent.Node, commands ...string) {
	for _, s := range h.Services {
		for _, c := range commands {
			_, _ = site.Ask[string](ctx, b.Hosts, site.At(h.Where()), host.OpStats, fmt.Sprintf(c, BackendOf(s.Name)+"/"+n.Name)) // see above
		}
	}
}

// BackendOf is the backend of a service in haproxy's configuration.
func BackendOf(service string) string { return service + "-back" }
