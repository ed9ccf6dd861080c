package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/manifests"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
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

const (
	groupMagnum      = "magnum"
	magnumComponent  = "magnum" // the records' definitions, and what the server may do
	judgeUnreachable = "unreachable"
)

// MagnumFound is who serves Magnum's API, and what is at its places.
type MagnumFound struct {
	Serves string
	Places map[string]magnum.Found
	Why    plan.Finding
}

// FindMagnum asks the places of magnum_all who serves there. Places that are not there, or that nobody reaches, are
// nobody's; a host that does not answer any more is among those that are lost from now on.
func FindMagnum(ctx context.Context, o site.Outside, in intent.Intent) (MagnumFound, error) {
	f := MagnumFound{Places: map[string]magnum.Found{}}
	gone := map[string]error{}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	for _, h := range in.Magnum.Hosts {
		p := site.At(h.Where())
		if o.Facts[p.Host].Containers[p.Container] || p.Container == "" && o.Lost[p.Host] == nil && o.Hosts[p.Host] != nil {
			g.Go(func() error {
				seen, err := site.Ask[host.Observed](gctx, o.Hosts, p, host.OpObserve, magnum.Witnesses())
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, remote.ErrGone) && ctx.Err() == nil:
					f.Places[p.Name()], gone[p.Host] = magnum.Found{}, err
					return nil
				case err != nil:
					return err
				}
				f.Places[p.Name()] = magnum.FoundBy(seen)
				return nil
			})
			continue
		}
		mu.Lock()
		f.Places[p.Name()] = magnum.Found{}
		mu.Unlock()
	}
	if err := g.Wait(); err != nil {
		return f, fmt.Errorf("find out who serves Magnum: %w", err)
	}
	maps.Copy(o.Lost, gone)
	f.Serves, f.Why = magnum.Serves(in, f.Places)
	return f, nil
}

// serviceComponents are what the management cluster must hold for the services beside it.
func serviceComponents(serves, proxies string) ([]site.Component, error) {
	var out []site.Component
	if serves == intent.ImplementationJeroboam {
		records, err := recordComponent()
		if err != nil {
			return nil, err
		}
		out = append(out, records)
	}
	if proxies == intent.ImplementationJeroboam {
		out = append(out, site.Component{Name: proxyComponent, Manifest: proxy.Manifest(serves != intent.ImplementationJeroboam)})
	}
	return out, nil
}

// recordComponent are Magnum's records as the cluster's objects, and what the server may do.
func recordComponent() (site.Component, error) {
	names, err := manifests.FS.ReadDir(".")
	if err != nil {
		return site.Component{}, err
	}
	text := "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + v1alpha1.Namespace + "\n"
	for _, n := range names {
		b, err := manifests.FS.ReadFile(n.Name())
		if err != nil {
			return site.Component{}, err
		}
		text += "---\n" + string(b)
	}
	return site.Component{Name: magnumComponent, Manifest: []byte(text)}, nil
}

// Services are what stands beside the management cluster and uses it, as it should be and as it is. The cluster's own
// items are another matter.
type Services struct {
	List   site.List
	Seen   site.Seen
	Intent intent.Intent
	Facts  map[string]host.Facts // of all hosts that were reached
	Magnum MagnumFound
	// Proxies are the proxies' hosts; those that are none any more lose their tokens.
	Proxies ProxyFound
	revoked []holder
	// boxes are containers of Magnum that go as a whole when a deployment is removed.
	boxes []site.Place
	// Keystone is what has to change there. Register makes it so.
	Keystone []plan.Change
	Register func(ctx context.Context, say func(plan.Change)) error
	Notes    []plan.Finding
}

// ServiceOptions are what looking at services needs beside the world.
type ServiceOptions struct {
	// Program is the digest of the program that agents are.
	Program string
	// Proxies are what is on the proxies' hosts; Dial asks the cluster for their tokens.
	Proxies ProxyFound
	Dial    site.Dialer
	// Skip says that places which are not reached are left out; otherwise they block the plan.
	Skip bool
	// Login connects to Keystone; nil is the real one.
	Login func(ctx context.Context, want intent.MagnumService, through http.RoundTripper) (Directory, error)
}

// Directory is Keystone, as far as a deployment needs it.
type Directory interface {
	Look(ctx context.Context) (magnum.State, error)
	Register(ctx context.Context, say func(plan.Change)) error
}

// LookAtServices says how services should be, and looks how they are. It changes nothing.
func LookAtServices(ctx context.Context, o site.Outside, w Wanted, world World, found MagnumFound, opts ServiceOptions) (Services, error) {
	s := Services{
		Magnum: found, Proxies: opts.Proxies, Intent: w.Intent, Facts: o.Facts,
		List: site.List{Places: map[string]site.Place{}}, Seen: site.NotLooked(0),
	}
	for _, why := range []plan.Finding{found.Why, opts.Proxies.Why} {
		if why.Text != "" {
			s.Notes = append(s.Notes, why)
		}
	}
	if found.Serves == intent.ImplementationJeroboam {
		now := func(h intent.MagnumHost) time.Time { return o.Facts[h.PhysicalHost].Now }
		s.Notes = append(s.Notes, magnum.Ends(w.Intent, now, kubeadm.RenewBefore)...)
	}
	s.wantMagnum(w, world, found, opts.Program)
	granted, err := lookAtGrants(ctx, o.Hosts, w, world, opts.Dial)
	if err != nil {
		return s, err
	}
	s.wantProxies(w, world, o, opts.Proxies, granted, opts.Program)
	s.wantSpare(w)
	s.revoked = revoked(w.Intent, granted, opts.Proxies.Runs)
	s.reachable(o, opts.Skip)
	err = s.observe(ctx, o.Hosts, func(name string, err error) plan.Finding { return unreachable(name, err.Error(), opts.Skip) })
	if err != nil {
		return s, err
	}
	if found.Serves == intent.ImplementationJeroboam {
		s.lookAtKeystone(ctx, o, opts)
	}
	return s, nil
}

// wantMagnum adds what Magnum's places and the load balancers in front of them should have.
func (s *Services) wantMagnum(w Wanted, world World, found MagnumFound, program string) {
	in := w.Intent
	wish := magnum.Wish{
		Intent: in, Program: program, Catalogue: w.Bundle.Catalogue, Server: "https://" + in.Endpoint(), Authority: authorityOf(world), Renew: kubeadm.RenewBefore,
	}
	for _, h := range in.Magnum.Hosts {
		p := site.At(h.Where())
		switch {
		case found.Serves == intent.ImplementationJeroboam:
			s.List.Place(p)
			if !h.IsMetal && node.Unfinished(s.Facts[h.PhysicalHost], h.Name) {
				s.List.Place(site.Place{Host: h.PhysicalHost})
				n := intent.Node{Container: h.Container, Networks: h.Networks, LXC: h.LXC}
				s.List.Add(h.PhysicalHost, node.GroupContainer, node.Container(n, w.Bundle, s.Facts[h.PhysicalHost])...)
			}
			s.List.Add(p.Name(), groupMagnum, magnum.Want(wish, h)...)
		case found.Places[p.Name()].Ours:
			s.List.Place(p)
			s.List.Add(p.Name(), groupMagnum, magnum.Leave(found.Places[p.Name()])...)
		}
	}
	if found.Serves != intent.ImplementationJeroboam {
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

// lookAtKeystone finds out what has to change there. A Keystone that does not answer is told of, and tried again by
// apply.
func (s *Services) lookAtKeystone(ctx context.Context, o site.Outside, opts ServiceOptions) {
	want := s.Intent.Magnum.Service
	through := s.through(o)
	login := opts.Login
	if login == nil {
		login = func(ctx context.Context, want intent.MagnumService, through http.RoundTripper) (Directory, error) {
			return magnum.Login(ctx, want, through)
		}
	}
	var state magnum.State
	k, err := login(ctx, want, through)
	if err == nil {
		state, err = k.Look(ctx)
	}
	if err != nil {
		s.Keystone = []plan.Change{{Place: magnum.Place, Group: magnum.Place, Kind: "account", Name: want.User, Action: plan.Check, Summary: site.FirstLine(err.Error())}}
	} else {
		s.Keystone = magnum.Changes(want, state)
	}
	s.Register = func(ctx context.Context, say func(plan.Change)) error {
		k, err := login(ctx, want, through)
		if err != nil {
			return err
		}
		return k.Register(ctx, say)
	}
}

// through connects from a host of the cloud: the deployer needs no way to Keystone.
func (s *Services) through(o site.Outside) http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // that is what it is
	t.Proxy = nil
	t.TLSClientConfig = Trust(s.Intent.Magnum.Service)
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		for _, h := range s.Intent.Magnum.Hosts {
			if a, ok := o.Hosts[h.PhysicalHost]; ok && o.Lost[h.PhysicalHost] == nil {
				return a.Dial(ctx, network, address)
			}
		}
		return nil, errors.New("none of Magnum's hosts is reached")
	}
	return t
}

// Plan adds the services to a plan.
func (s Services) Plan(p plan.Plan) plan.Plan {
	p.Changes = append(p.Changes, s.Keystone...)
	p.Changes = itemChanges(s.List, s.Seen, p, inWords, node.GroupContainer, groupMagnum, balance.Group, groupAccess, groupProxy, groupSpare)
	p.Changes = append(p.Changes, s.revocations()...)
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
