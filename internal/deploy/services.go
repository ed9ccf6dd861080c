package deploy

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

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
	"github.com/jeroboam-cloud/jeroboam/internal/remote"
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

const judgeUnreachable = "unreachable"

// reachable sorts out the places that cannot be looked at.
func (s *Services) reachable(o site.Outside, skip bool) {
	for _, name := range slices.Sorted(maps.Keys(s.List.Places)) {
		p := s.List.Places[name]
		running := o.Facts[p.Host].Containers[p.Container]
		why := ""
		switch {
		case o.Lost[p.Host] != nil:
			why = o.Lost[p.Host].Error()
		case o.Hosts[p.Host] == nil:
			why = "there is no connection to its host"
		case p.Container != "" && node.Unfinished(o.Facts[p.Host], p.Container):
			s.Seen.Closed[name] = true
		case p.Container != "" && !running:
			why = "the container does not run: start it"
		}
		if why != "" && s.clusterNode(name) {
			s.Seen.Unseen[name] = true // the cluster's own part of the plan tells of it
		} else if why != "" {
			s.Seen.Unseen[name] = true
			s.Notes = append(s.Notes, unreachable(name, why, skip))
		}
	}
}

// unreachable is what the plan says of a place that cannot be looked at.
func unreachable(name, why string, skip bool) plan.Finding {
	return plan.Finding{Judge: judgeUnreachable, Where: name, Blocks: !skip, Text: site.FirstLine(why) + " (--skip-unreachable continues without it)"}
}

// clusterNode says of a place that it is a node of the cluster.
func (s *Services) clusterNode(name string) bool {
	return slices.ContainsFunc(s.Intent.Nodes, func(n intent.Node) bool { return n.Name == name })
}

// observe looks at the items of all places that are there. A host that does not answer any more, or one that has only a
// proxy and cannot be looked at, is noted with what lost says of it, and keeps no run from the others.
func (s *Services) observe(ctx context.Context, h site.Hosts, lost func(name string, err error) plan.Finding) error {
	s.Seen.Items = make([]plan.Facts, len(s.List.Items))
	silent := map[string]error{}
	var mu sync.Mutex
	err := site.AtOnce(slices.Sorted(maps.Keys(s.List.Places)), func(name string) error {
		if s.Seen.Unseen[name] || s.Seen.Closed[name] {
			return nil
		}
		p := s.List.Places[name]
		at, items := s.List.All(name)
		have, err := site.Observe(ctx, h, p, items)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil && ctx.Err() == nil && (proxy.Alone(s.Intent, p.Host) || errors.Is(err, remote.ErrGone)):
			silent[name] = err
			return nil
		case err != nil:
			return err
		}
		for n, i := range at {
			s.Seen.Items[i] = have[n]
		}
		return nil
	})
	if ctx.Err() != nil {
		err = ctx.Err() // once, and not of every place
	}
	for _, name := range slices.Sorted(maps.Keys(silent)) {
		s.Seen.Unseen[name], s.Notes = true, append(s.Notes, lost(name, silent[name]))
	}
	return err
}
