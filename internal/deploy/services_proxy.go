package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

const (
	groupProxy     = "proxy"
	groupAccess    = "proxy access"
	proxyComponent = "proxy" // what the fleet may do in the management cluster
	proxyStep      = "change proxies"
)

// ProxyFound is which proxy runs, and what is on its hosts.
type ProxyFound struct {
	Runs  string
	Hosts map[string]proxy.Found
	Why   plan.Finding
}

// FindProxies asks the hosts of the proxy which one is there. What nobody reaches has none, and a host that is logged
// in to and does not answer counts as lost from then on: one of two hundred keeps no run from the others.
func FindProxies(ctx context.Context, o site.Outside, in intent.Intent, serves string) ProxyFound {
	f := ProxyFound{Hosts: map[string]proxy.Found{}}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(site.AtOnce)
	for _, h := range in.Proxy.Hosts {
		p := site.At(h.Where())
		mu.Lock()
		lost := o.Lost[p.Host]
		mu.Unlock()
		if lost != nil || o.Hosts[p.Host] == nil || p.Container != "" && !o.Facts[p.Host].Containers[p.Container] {
			continue
		}
		g.Go(func() error {
			seen, err := site.Observe(ctx, o.Hosts, p, proxy.Witnesses())
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				o.Lost[p.Host] = err
				return nil
			}
			f.Hosts[h.Name] = proxy.FoundBy(seen)
			return nil
		})
	}
	_ = g.Wait() // what failed is among the lost
	f.Runs, f.Why = proxy.Runs(in, serves, f.Hosts)
	return f
}

// OnlyProxy says of a physical host that nothing is there but a proxy: it is logged in to, and looked at without an
// agent.
func OnlyProxy(in intent.Intent, name string) bool {
	other := slices.ContainsFunc(in.Magnum.Hosts, func(h intent.MagnumHost) bool { return h.PhysicalHost == name }) ||
		slices.ContainsFunc(in.Nodes, func(n intent.Node) bool { return n.PhysicalHost == name }) ||
		slices.ContainsFunc(in.HAProxy.Hosts, func(h intent.HAProxyHost) bool { return h.PhysicalHost == name })
	return !other && !slices.ContainsFunc(in.Proxy.Hosts, func(h intent.ProxyHost) bool { return h.PhysicalHost == name && !h.IsMetal })
}

// grants are the Secrets that tokens of the fleet, and of "proxy access" on the nodes, are bound to.
type grants struct{ fleet, nodes map[string]string }

// lookAtGrants asks the cluster, if there is one.
func lookAtGrants(ctx context.Context, h site.Hosts, w Wanted, world World, dial site.Dialer) (grants, error) {
	var g grants
	api := apiOf(h, w, world, dial)
	if api == nil {
		return g, nil
	}
	c, err := api(ctx)
	if err != nil {
		return g, err
	}
	if g.fleet, err = proxy.Fleet(ctx, c); err == nil {
		g.nodes, err = proxy.Nodes(ctx, c)
	}
	return g, err
}

// wantProxies adds what the proxies' hosts and the cluster's nodes should have.
func (s *Services) wantProxies(w Wanted, world World, o site.Outside, found ProxyFound, g grants, program string) {
	in := w.Intent
	wish := proxy.Wish{
		Program: program, Server: "https://" + in.Endpoint(), Authority: authorityOf(world), Bound: g.fleet, Renew: kubeadm.RenewBefore, OldHosts: stillOld(in, o, found),
	}
	for _, h := range in.Proxy.Hosts {
		p := site.At(h.Where())
		switch {
		case found.Runs == intent.ImplementationJeroboam:
			s.List.Place(p)
			s.List.AddOnce(p.Name(), groupProxy, proxy.Want(wish, h)...)
		case found.Hosts[h.Name].Ours:
			s.List.Place(p)
			s.List.Add(p.Name(), groupProxy, proxy.Leave()...)
		}
	}
	wish.Bound = g.nodes
	for _, n := range w.Living() {
		p := site.Place{Host: n.PhysicalHost, Container: n.Name}
		switch {
		case found.Runs == intent.ImplementationJeroboam:
			s.List.Place(p)
			s.List.Add(n.Name, groupAccess, proxy.Access(wish, n.Name, proxy.Always(in.Proxy.Hosts))...)
		case g.nodes[n.Name] != "": // for a fleet that is none any more
			s.List.Place(p)
			s.List.Add(n.Name, groupAccess, proxy.AccessGone()...)
		}
	}
}

// stillOld says whether there may be hosts with the old proxy when a run has ended: those that nobody reaches, as long
// as anything is known of old ones.
func stillOld(in intent.Intent, o site.Outside, found ProxyFound) bool {
	known := slices.ContainsFunc(slices.Collect(maps.Values(found.Hosts)), func(f proxy.Found) bool { return f.Theirs || f.OldHosts })
	return known && slices.ContainsFunc(in.Proxy.Hosts, func(h intent.ProxyHost) bool { return o.Lost[h.PhysicalHost] != nil })
}

// holder is a host or node that has a token of an account.
type holder struct {
	account     proxy.Account
	group, name string
	// reason is what the plan says.
	reason string
}

// revoked are hosts that have a token and are no hosts of the proxy any more, and nodes that are none of the cluster's:
// what is not in the inventory is not logged in to, so its proxy cannot be stopped from here. Where runs says that
// there is no fleet of ours, no node needs one.
func revoked(in intent.Intent, g grants, runs string) []holder {
	var out []holder
	for _, name := range slices.Sorted(maps.Keys(g.fleet)) {
		if !slices.ContainsFunc(in.Proxy.Hosts, func(h intent.ProxyHost) bool { return h.Name == name }) {
			out = append(out, holder{
				proxy.AccountOf(proxy.Kubeconfig), groupProxy, name, "the host is not among mcapi_vexxhost_proxy_hosts any more. Its proxy still runs, without rights, " +
					"until somebody stops it there: systemctl disable --now jeroboam-proxy@a jeroboam-proxy@b",
			})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.nodes)) {
		reason := ""
		switch {
		case !slices.ContainsFunc(in.Nodes, func(n intent.Node) bool { return n.Name == name }):
			reason = "it is no node of the cluster any more"
		case runs != intent.ImplementationJeroboam:
			reason = "no host has Jeroboam's proxy any more: jeroboam proxy access stops"
		default:
			continue
		}
		out = append(out, holder{proxy.AccountOf(proxy.AccessKubeconfig), groupAccess, name, reason})
	}
	return out
}

const tokenKind = "token"

// revocations are their changes in a plan.
func (s *Services) revocations() []plan.Change {
	var out []plan.Change
	for _, h := range s.revoked {
		out = append(out, plan.Change{Place: site.Cluster, Group: h.group, Kind: tokenKind, Name: h.name, Action: plan.Delete, Summary: h.reason})
	}
	return out
}

// changeAccess changes "jeroboam proxy access" on the nodes.
func (d *Deployment) changeAccess(ctx context.Context) error {
	s := d.services()
	for _, n := range d.control().Members() {
		if _, ours := s.List.Places[n.Name]; !ours || !s.Changes(n.Name, groupAccess) {
			continue
		}
		items, err := d.withCredentials(ctx, n.Name, groupAccess)
		if err == nil {
			err = s.BringItems(ctx, "let proxies at kubeconfigs", n.Name, items)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// changeProxies changes the proxies' hosts: those with the old proxy one after the other, so that clusters are always
// reached through the others; then all others at once, because a new process takes over from the older one. All that
// fails is told.
func (d *Deployment) changeProxies(ctx context.Context) error {
	s := d.services()
	if err := d.revoke(ctx); err != nil {
		return err
	}
	for _, h := range s.Intent.Proxy.Hosts {
		if d.Services.Proxies.Hosts[h.Name].Theirs && d.Services.Proxies.Runs == intent.ImplementationJeroboam {
			if err := d.changeProxy(ctx, s, h, true); err != nil {
				return err
			}
		}
	}
	var mu sync.Mutex
	var errs []error
	var g errgroup.Group
	g.SetLimit(site.AtOnce)
	for _, h := range s.Intent.Proxy.Hosts {
		g.Go(func() error {
			err := d.changeProxy(ctx, s, h, false)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			return nil
		})
	}
	_ = g.Wait() // each has told its error
	return errors.Join(errs...)
}

// changeProxy changes one host. among says that there are still hosts with the old proxy, which withdraw what is not
// refreshed.
func (d *Deployment) changeProxy(ctx context.Context, s serviceRun, h intent.ProxyHost, among bool) error {
	name := site.At(h.Where()).Name()
	if _, ours := s.List.Places[name]; !ours || s.Seen.Unseen[name] || !s.Changes(name, groupProxy) {
		return nil
	}
	began := d.Now()
	items, err := d.withCredentials(ctx, name, groupProxy)
	if err != nil {
		return err
	}
	if among {
		items = proxy.AmongOldHosts(items, h)
	}
	items = append(items, host.Item{Builds: &host.Builds{}}) // not looked for before: that would take an agent to every host
	if err := s.BringItems(ctx, proxyStep, name, items); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	d.Ended(proxyStep, name, "changed", began)
	return nil
}

// revoke ends the tokens that the plan says.
func (d *Deployment) revoke(ctx context.Context) error {
	var c client.Client
	for _, h := range d.Services.revoked {
		if !d.Plan.Touches(site.Cluster, tokenKind, h.name) {
			continue
		}
		if c == nil {
			var err error
			if c, err = d.control().ServingAPI(ctx); err != nil {
				return err
			}
		}
		d.Say(proxyStep, h.name, "its token ends")
		if err := proxy.Revoke(ctx, c, h.account, h.name); err != nil {
			return err
		}
	}
	return nil
}
