package deploy

import (
	"context"
	"maps"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

func (d *Deployment) bringServiceFiles(ctx context.Context) error {
	return d.services().BringFiles(ctx)
}

// register makes Magnum's account and endpoints: the servers log in with it.
func (d *Deployment) register(ctx context.Context) error {
	if len(d.Services.Keystone) == 0 {
		return nil
	}
	return d.Services.account.Apply(ctx, d.Run)
}

// makeServiceContainers makes the containers of Magnum that nobody has made.
func (d *Deployment) makeServiceContainers(ctx context.Context) error {
	s := d.services()
	return s.Each(slices.Sorted(maps.Keys(s.List.Places)), []string{node.GroupContainer}, func(place string) error {
		return s.Bring(ctx, "make Magnum's containers", place, node.GroupContainer)
	})
}

// changeMagnum changes Magnum's servers; load balancers send clients to others meanwhile.
func (d *Deployment) changeMagnum(ctx context.Context) error {
	in, work := d.Services.Intent, d.services()
	behind := balance.Magnum(work.Run, in)
	server := func(h intent.MagnumHost) balance.Server {
		return balance.Server{Name: h.Name, URL: magnum.Health(in, h)}
	}
	var all []balance.Server
	for _, h := range in.Magnum.Hosts {
		all = append(all, server(h))
	}
	return magnum.Run{
		Work: work, Intent: in, Found: d.Services.Magnum, API: d.control().ServingAPI,
		Divert: func(ctx context.Context, h intent.MagnumHost) func() {
			return behind.Divert(ctx, magnum.Step, server(h), all)
		},
	}.Apply(ctx)
}

func (d *Deployment) balanceMagnum(ctx context.Context) error {
	s := d.services()
	for _, b := range d.Services.Intent.HAProxy.Hosts {
		name := site.At(b.Where()).Name()
		if _, ours := s.List.Places[name]; !ours || !s.Changes(name, balance.Group) || s.Seen.Unseen[name] {
			continue
		}
		if err := s.Bring(ctx, "balance Magnum", name, balance.Group); err != nil {
			return err
		}
	}
	return nil
}

// proxies is the proxies' part of the run.
func (d *Deployment) proxies() proxy.Run {
	return proxy.Run{
		Work: d.services(), Intent: d.Services.Intent, Found: d.Services.Proxies, Left: d.Services.left, API: d.control().ServingAPI,
	}
}

func (d *Deployment) changeAccess(ctx context.Context) error {
	return d.proxies().ApplyAccess(ctx, d.control().Members())
}

func (d *Deployment) changeProxies(ctx context.Context) error { return d.proxies().Apply(ctx) }
