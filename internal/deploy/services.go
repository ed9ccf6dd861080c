package deploy

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/keystone"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// serviceComponents are what the management cluster must hold for the services beside it.
func serviceComponents(serves, proxies string) ([]site.Component, error) {
	var out []site.Component
	if serves == intent.ImplementationJeroboam {
		records, err := magnum.Component()
		if err != nil {
			return nil, err
		}
		out = append(out, records)
	}
	if proxies == intent.ImplementationJeroboam {
		out = append(out, proxy.Component(serves != intent.ImplementationJeroboam))
	}
	return out, nil
}

// Services are what stands beside the management cluster and uses it, as it should be and as it is: what the rooms of
// Magnum, its account in Keystone, its load balancers and the proxies say, in one list, because a place may have things
// of several. The cluster's own items are another matter.
type Services struct {
	List   site.List
	Seen   site.Seen
	Intent intent.Intent
	Facts  map[string]host.Facts // of all hosts that were reached
	Magnum magnum.World
	// Proxies are the proxies' hosts; those that are none any more lose their tokens.
	Proxies proxy.World
	left    []proxy.Holder
	// boxes are containers of Magnum that go as a whole when a deployment is removed.
	boxes []site.Place
	// Keystone is what has to change there, and account what makes it so.
	Keystone []plan.Change
	account  keystone.Account
	Notes    []plan.Finding
}

// ServiceOptions are what looking at services needs beside the world.
type ServiceOptions struct {
	// Program is the digest of the program that agents are.
	Program string
	// Proxies are what is on the proxies' hosts; Dial asks the cluster for their tokens.
	Proxies proxy.World
	Dial    site.Dialer
	// Skip says that places which are not reached are left out; otherwise they block the plan.
	Skip bool
	// Login connects to Keystone; nil is the real one.
	Login func(ctx context.Context, want intent.MagnumService, through http.RoundTripper) (keystone.Directory, error)
}

// LookAtServices says how services should be, and looks how they are. It changes nothing.
func LookAtServices(ctx context.Context, o site.Outside, w Wanted, world World, found magnum.World, opts ServiceOptions) (Services, error) {
	s := newServices(o, w, found, opts.Proxies)
	for _, why := range []plan.Finding{found.Why, opts.Proxies.Why} {
		if why.Text != "" {
			s.Notes = append(s.Notes, why)
		}
	}
	if found.Serves == intent.ImplementationJeroboam {
		now := func(h intent.MagnumHost) time.Time { return o.Facts[h.PhysicalHost].Now }
		s.Notes = append(s.Notes, magnum.Ends(w.Intent, now, kubeadm.RenewBefore)...)
	}
	s.wantMagnum(w, world, opts.Program)
	granted, err := proxy.LookAtGrants(ctx, apiOf(o.Hosts, w, world, opts.Dial))
	if err != nil {
		return s, err
	}
	wish := proxy.Wish{Program: opts.Program, Server: "https://" + w.Intent.Endpoint(), Authority: authorityOf(world), Renew: kubeadm.RenewBefore}
	wish.AddTo(&s.List, w.Intent, w.Living(), opts.Proxies, granted, o.Lost)
	s.wantSpare(w)
	s.left = proxy.Left(w.Intent, granted, opts.Proxies.Runs)
	s.reachable(o, opts.Skip)
	err = s.observe(ctx, o.Hosts, func(name string, err error) plan.Finding { return unreachable(name, err.Error(), opts.Skip) })
	if err != nil {
		return s, err
	}
	if found.Serves == intent.ImplementationJeroboam {
		s.account = keystone.Account{Want: w.Intent.Magnum.Service, Through: keystone.Through(o, w.Intent), Login: opts.Login}
		s.Keystone = s.account.Inspect(ctx)
	}
	return s, nil
}

// newServices have nothing that should be there yet.
func newServices(o site.Outside, w Wanted, found magnum.World, proxies proxy.World) Services {
	return Services{
		Magnum: found, Proxies: proxies, Intent: w.Intent, Facts: o.Facts,
		List: site.List{Places: map[string]site.Place{}}, Seen: site.NotLooked(0),
	}
}

// wantMagnum adds what Magnum's places and the load balancers in front of them should have.
func (s *Services) wantMagnum(w Wanted, world World, program string) {
	in := w.Intent
	wish := magnum.Wish{
		Intent: in, Program: program, Catalogue: w.Bundle.Catalogue, Server: "https://" + in.Endpoint(), Authority: authorityOf(world), Renew: kubeadm.RenewBefore,
	}
	ours := s.Magnum.Serves == intent.ImplementationJeroboam
	for _, h := range in.Magnum.Hosts {
		items := magnum.At(wish, s.Magnum, h)
		if items == nil {
			continue
		}
		p := site.At(h.Where())
		s.List.Place(p)
		if ours && !h.IsMetal && node.Unfinished(s.Facts[h.PhysicalHost], h.Name) {
			s.List.Place(site.Place{Host: h.PhysicalHost})
			n := intent.Node{Container: h.Container, Networks: h.Networks, LXC: h.LXC}
			s.List.Add(h.PhysicalHost, node.GroupContainer, node.Container(n, w.Bundle, s.Facts[h.PhysicalHost])...)
		}
		s.List.Add(p.Name(), magnum.Group, items...)
	}
	if !ours {
		return
	}
	for _, h := range in.HAProxy.Hosts {
		p := site.At(h.Where())
		s.List.Place(p)
		s.List.Add(p.Name(), balance.Group, balance.Fragments(h.Magnum, h.Settings, s.Facts[p.Name()])...)
	}
}

// authorityOf is the hash of the cluster's authority, "" before there is a cluster.
func authorityOf(world World) string {
	for _, name := range slices.Sorted(maps.Keys(world.Nodes)) {
		if ca := world.Nodes[name].CA; ca != "" {
			return ca
		}
	}
	return ""
}

// Plan adds the services to a plan.
func (s Services) Plan(p plan.Plan) plan.Plan {
	p.Changes = append(p.Changes, s.Keystone...)
	p.Changes = itemChanges(s.List, s.Seen, p, inWords, node.GroupContainer, magnum.Group, balance.Group, proxy.GroupAccess, proxy.Group, node.GroupSpare)
	p.Changes = append(p.Changes, proxy.Revocations(s.left)...)
	p.Findings = append(p.Findings, s.Notes...)
	return p
}

// inWords says of a service that goes what happens to it: it stops, and nothing of it is removed.
func inWords(item host.Item, c plan.Change) plan.Change {
	switch {
	case item.Unit != nil && item.Unit.Gone:
		c.Action, c.Summary = plan.Update, "stops, and does not start at boot; its configuration and data stay"
	case item.Unit != nil && c.Action == plan.Create:
		c.Summary = "starts"
	case item.Aside != nil && item.Aside.Back:
		c.Summary = "what OpenStack-Ansible wrote is in its place again"
	case item.Aside != nil:
		c.Summary = "what OpenStack-Ansible wrote is kept as " + item.Aside.To
	}
	return c
}
