package deploy

import (
	"context"
	"maps"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

const spareStep = "give disk back"

// wantSpare adds what places of the cluster should not keep. A load balancer has nothing but agents.
func (w *Wanted) wantSpare() {
	for _, h := range w.Intent.HostsWith(intent.RoleNode) {
		w.Add(h.Name, node.GroupSpare, node.Spare(w.Bundle)...)
	}
	for _, n := range w.Intent.Nodes {
		w.Add(n.Name, node.GroupSpare, node.SpareInside(w.At(n.Name, node.GroupInside))...)
	}
	for _, h := range w.Intent.HAProxy.Hosts {
		w.AddOnce(site.At(h.Where()).Name(), node.GroupSpare, host.Item{Builds: &host.Builds{}})
	}
}

// wantSpare adds the same for places of Magnum that are none of the cluster's.
func (s *Services) wantSpare(w Wanted) {
	for _, h := range s.Intent.Magnum.Hosts {
		p := site.At(h.Where())
		if _, ours := s.List.Places[p.Name()]; !ours {
			continue
		}
		on := site.Place{Host: p.Host}
		for _, one := range []struct {
			place site.Place
			items []host.Item
		}{{on, node.Spare(w.Bundle)}, {p, []host.Item{{Builds: &host.Builds{}}}}} {
			_, clusters := w.Places[one.place.Name()]
			if _, reached := s.Facts[p.Host]; clusters || !reached {
				continue // the cluster's own list has it, or nothing can be seen there
			}
			s.List.Place(one.place)
			s.List.AddOnce(one.place.Name(), node.GroupSpare, one.items...)
		}
	}
}

// giveBack does it at all places at once. Nothing is lent for it, so that nothing lies there again.
func (d *Deployment) giveBack(ctx context.Context) error {
	for _, work := range []site.Work{d.work(), d.services()} {
		err := work.Each(slices.Sorted(maps.Keys(work.List.Places)), []string{node.GroupSpare}, func(place string) error {
			if work.List.OutOfReach(work.Seen, place) {
				return nil
			}
			return work.Ensure(ctx, spareStep, work.List.Places[place], work.List.At(place, node.GroupSpare)...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
