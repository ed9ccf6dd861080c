package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/keystone"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

const removeStep = "remove services"

// noServices is LookAtServices for a deployment that should not be: what we put on Magnum's and the proxies' hosts is
// to be gone, and Magnum's fragments at load balancers that we wrote. own is where the deployer's own program is:
// there, it stays.
func noServices(ctx context.Context, o site.Outside, w Wanted, found magnum.World, proxies proxy.World, own string) (Services, error) {
	s := newServices(o, w, found, proxies)
	programToo := own != host.Program
	s.boxes = magnum.AddGone(&s.List, o, w.Intent, found, programToo)
	proxy.AddGone(&s.List, o, w.Intent, w.Living(), proxies, programToo)
	for _, h := range w.Intent.Proxy.Hosts {
		if err := o.Lost[h.PhysicalHost]; err != nil {
			s.Notes = append(s.Notes, stays(h.Name, err))
		}
	}
	for _, h := range w.Intent.HAProxy.Hosts {
		p := site.At(h.Where())
		if ours := balance.Ours(h.Magnum, o.Facts[p.Name()]); len(ours) > 0 {
			s.List.Place(p)
			s.List.Add(p.Name(), balance.Group, balance.Gone(ours...)...)
		}
	}
	if found.Ours() {
		s.Notes = append(s.Notes, keystone.Stays(w.Intent.Magnum.Service))
	}
	return s, s.observe(ctx, o.Hosts, stays)
}

// stays is what the plan of a removal says of a place that cannot be looked at.
func stays(name string, err error) plan.Finding {
	return plan.Finding{Judge: judgeUnreachable, Where: name, Text: "what is left there stays: " + site.FirstLine(err.Error()) + ": run destroy again when it answers"}
}

// removeServices takes them away: first what leads to them. All that fails is told.
func (d *Deployment) removeServices(ctx context.Context) error {
	s := d.services()
	for _, groups := range [][]string{{balance.Group}, {magnum.Group, proxy.Group, proxy.GroupAccess}} {
		err := s.Each(slices.Sorted(maps.Keys(s.List.Places)), groups, func(name string) error {
			if s.Seen.Unseen[name] {
				return nil
			}
			return s.Bring(ctx, removeStep, name, groups...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// removeBoxes removes the containers of Magnum that we made.
func (d *Deployment) removeBoxes(ctx context.Context) error {
	for _, b := range d.Services.boxes {
		d.Say(removeStep, b.Host, "remove container %s", b.Container)
		if _, err := site.Ask[struct{}](ctx, d.Outside, site.Place{Host: b.Host}, host.OpRemove, b.Container); err != nil {
			return fmt.Errorf("remove container %s: %w", b.Container, err)
		}
	}
	return nil
}

// except leaves out what goes with a container of the services, and adds the containers that services were looked at
// in.
func (s Services) except(l kubeconfigs.Leftovers) kubeconfigs.Leftovers {
	var entered []site.Place
	for _, name := range slices.Sorted(maps.Keys(s.List.Places)) { // nodes that stay, load balancers in containers: agents were there, too
		if p := s.List.Places[name]; p.Container != "" && !s.Seen.Unseen[name] && !s.Seen.Closed[name] {
			entered = append(entered, p)
		}
	}
	return l.Except(s.boxes, entered)
}
