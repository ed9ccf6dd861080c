package deploy

import (
	"slices"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Diff is what would change, in the order of the work. Pure.
func Diff(w Wanted, world World, now time.Time) plan.Plan {
	var p plan.Plan
	p.Changes = itemChanges(w.List, world.Seen, p, asItIs, node.GroupHost, node.GroupContainer, node.GroupInside, node.GroupKubelet, kubeadm.GroupRecord, balance.Group)
	for _, n := range w.Intent.Nodes {
		if world.Sleeping[n.Name] {
			p.Changes = append(p.Changes, plan.Change{Place: n.Name, Group: kubeadm.Group, Kind: "node", Name: n.NodeName, Action: plan.Check, Summary: "its container does not run: looked at when it has been started"})
		}
	}
	if len(world.Sleeping) > 0 {
		return p // whatever is in them may be what the rest depends on
	}
	p.Changes = append(p.Changes, kubeadm.SharedChanges(w.Wanted, world.World)...)
	control := kubeadm.Changes(w.Wanted, world.World, now)
	p.Changes = append(p.Changes, kubeadm.SnapshotChanges(w.Wanted, world.World, control)...)
	p.Changes = append(p.Changes, control...)
	p.Changes = append(p.Changes, world.Objects...)
	p.Changes = itemChanges(w.List, world.Seen, p, asItIs, node.GroupSpare)
	return p
}

// asItIs says of a change what is in the item itself.
func asItIs(_ host.Item, c plan.Change) plan.Change { return c }

// itemChanges are the plan's changes, and after them those of items of the groups, one group after the other, as words
// says them.
func itemChanges(l site.List, seen site.Seen, p plan.Plan, words func(host.Item, plan.Change) plan.Change, groups ...string) []plan.Change {
	for _, group := range groups {
		for i, item := range l.Items {
			switch {
			case item.Group != group, l.OutOfReach(seen, item.Place):
				continue
			case item.Container != nil && slices.Contains(l.Gone, item.Container.Name):
				continue
			case item.Aside != nil && seen.Closed[item.Place]:
				continue // in a container that is made nobody has written anything
			}
			c := item.Diff(seen.Items[i])
			if c == nil {
				c = follow(item, p)
			}
			if c != nil {
				p.Changes = append(p.Changes, words(item, *c))
			}
		}
	}
	return p.Changes
}

// follow is the restart of something that reads a file which changes, nil if none does.
func follow(item host.Item, p plan.Plan) *plan.Change {
	t := item.Thing(nil)
	for _, path := range item.Follows() {
		for _, c := range p.Changes {
			if c.Place == item.Place && (c.Kind == "file" || c.Kind == "credential" || c.Kind == host.KindServerCertificate) && (c.Name == path || strings.HasSuffix(path, "/") && strings.HasPrefix(c.Name, path)) {
				return &plan.Change{Place: t.Place, Group: t.Group, Kind: t.Kind, Name: t.Name, Action: plan.Restart, Summary: "reads " + c.Name}
			}
		}
	}
	return nil
}
