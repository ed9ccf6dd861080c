package deploy

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

// balance changes one load balancer after the other: one of them always serves.
func (d *Deployment) balance(ctx context.Context) error {
	for _, h := range d.Wanted.Intent.HAProxy.Hosts {
		name := site.At(h.Where()).Name()
		if !d.work().Changes(name, groupHAProxy) {
			continue
		}
		if err := d.work().Bring(ctx, "balance the API", name, groupHAProxy); err != nil {
			return err
		}
	}
	return nil
}

// balanced waits until every load balancer reaches a node's API server, and tells it so (see nudge): the next node's goes away only
// when clients find this one.
func (d *Deployment) balanced(ctx context.Context, n intent.Node) error {
	for _, h := range d.Wanted.Intent.HAProxy.Hosts {
		if err := d.Wait(ctx, rollStep, n.Name, time.Minute, func() (bool, string) { return d.introduce(ctx, h, n) }); err != nil {
			return err
		}
	}
	return nil
}

// nudge tells load balancers that a node's API server is up as soon as they can reach it. By themselves they would need
// rise x interval, 36 seconds with the role's defaults, in which every client of the virtual address waits.
func (d *Deployment) nudge(ctx context.Context, n intent.Node) func() {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		told := map[string]bool{}
		for ctx.Err() == nil && len(told) < len(d.Wanted.Intent.HAProxy.Hosts) {
			for _, h := range d.Wanted.Intent.HAProxy.Hosts {
				if told[h.Name] {
					continue
				}
				if ok, _ := d.introduce(ctx, h, n); ok {
					told[h.Name] = true
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(d.Poll):
			}
		}
	}()
	return func() { cancel(); <-done }
}

// introduce tells a load balancer that a node's API server is up, if it reaches it; otherwise it says why not.
func (d *Deployment) introduce(ctx context.Context, h intent.HAProxyHost, n intent.Node) (bool, string) {
	p := site.At(h.Where())
	url := "https://" + net.JoinHostPort(n.NodeIP, fmt.Sprint(d.Wanted.Intent.Kubernetes.BackendPort)) + "/healthz"
	code, err := site.Ask[int](ctx, d.Hosts, p, host.OpAnswers, url)
	if err != nil || code != 200 {
		return false, fmt.Sprintf("load balancer %s does not reach it (%d, %v)", h.Name, code, err)
	}
	d.setServer(ctx, h, n, "set server %s health up")
	return true, ""
}

// divert keeps clients of the virtual address away from a node that is about to change, and returns what lets them back. New
// connections go to other nodes, and those that are open end now: a client of an API server whose etcd is being replaced
// would wait on a connection that looks well. A run that is killed in between leaves the load balancer diverted, which the next
// plan shows and its apply mends.
func (d *Deployment) divert(ctx context.Context, n intent.Node) func() {
	var diverted []intent.HAProxyHost
	for _, h := range d.Wanted.Intent.HAProxy.Hosts {
		if !d.reachesOther(ctx, h, n) {
			continue // better this node now and then than none
		}
		d.Say(rollStep, n.Name, "clients of %s are sent to other nodes", h.Name)
		d.setServer(ctx, h, n, "set server %s state drain", "shutdown sessions server %s")
		diverted = append(diverted, h)
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		for _, h := range diverted {
			d.setServer(ctx, h, n, "set server %s state ready")
		}
	}
}

// reachesOther says whether a load balancer has another node to send clients to.
func (d *Deployment) reachesOther(ctx context.Context, h intent.HAProxyHost, n intent.Node) bool {
	return slices.ContainsFunc(d.members(), func(o intent.Node) bool {
		if o.Name == n.Name {
			return false
		}
		ok, _ := d.introduce(ctx, h, o)
		return ok
	})
}

// setServer gives commands for a node to a load balancer, as the server of each service it is in. They help; a load balancer
// that does not take them finds out by its checks, later.
func (d *Deployment) setServer(ctx context.Context, h intent.HAProxyHost, n intent.Node, commands ...string) {
	for _, s := range h.Services {
		for _, c := range commands {
			_, _ = site.Ask[string](ctx, d.Hosts, site.At(h.Where()), host.OpStats, fmt.Sprintf(c, backendOf(s.Name)+"/"+n.Name)) // see above
		}
	}
}

// backendOf is the backend of a service in haproxy's configuration.
func backendOf(service string) string { return service + "-back" }
