package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// nothing is Want for a deployment that should not be: what we made is to be gone, what others made is not looked at.
// Containers that OpenStack-Ansible made stay, with everything in them; so do haproxy's fragments that it wrote.
func nothing(in intent.Intent, facts map[string]host.Facts) Wanted {
	w := Wanted{Wanted: kubeadm.Wanted{Intent: in, Facts: facts, List: site.List{Places: map[string]site.Place{}}}}
	for _, h := range in.HAProxy.Hosts {
		p := site.At(h.Where())
		w.Place(p)
		w.Add(p.Name(), balance.Group, balance.Gone(balance.Ours(h.Services, facts[p.Name()])...)...)
	}
	for _, h := range in.HostsWith(intent.RoleNode) {
		w.Place(site.Place{Host: h.Name})
		for _, path := range append(node.HostFiles(), host.Directory) {
			w.Add(h.Name, node.GroupHost, host.Item{File: &host.File{Path: path, Gone: true}})
		}
	}
	return w
}

// made are the containers of the deployment that we made, by host.
func (w Wanted) made() map[string][]string {
	out := map[string][]string{}
	for _, n := range w.Intent.Nodes {
		if w.Facts[n.PhysicalHost].Made[n.Name] {
			out[n.PhysicalHost] = append(out[n.PhysicalHost], n.Name)
		}
	}
	return out
}

// destroyPlan is what Destroy removes.
func destroyPlan(w Wanted, world World, s Services, l kubeconfigs.Leftovers) plan.Plan {
	p := s.Plan(plan.Plan{})
	p.Changes, p.Findings = append(p.Changes, l.Changes()...), append(p.Findings, l.Notes...)
	for i, item := range w.Items {
		if item.Group != balance.Group {
			continue
		}
		if c := item.Diff(world.Items[i]); c != nil {
			p.Changes = append(p.Changes, *c)
		}
	}
	for _, b := range s.boxes {
		p.Changes = append(p.Changes, plan.Change{Place: b.Host, Group: node.GroupContainer, Kind: "container", Name: b.Container, Action: plan.Delete, Summary: "with Magnum's server in it"})
	}
	made := w.made()
	for _, name := range slices.Sorted(maps.Keys(made)) {
		for _, c := range made[name] {
			p.Changes = append(p.Changes, plan.Change{
				Place: name, Group: node.GroupContainer, Kind: "container", Name: c, Action: plan.Delete, Summary: "with everything in it: etcd's data among it",
			})
		}
	}
	for i, item := range w.Items {
		if c := item.Diff(world.Items[i]); c != nil && item.Group == node.GroupHost {
			p.Changes = append(p.Changes, *c)
		}
	}
	return plan.Judged(p, deletions(), balance.Others(w.List, world.Seen), balance.Others(s.List, s.Seen))
}

// Destroy removes what the plan says, one host after the other: what leads there first, so that nobody is sent to what
// goes.
func (d *Deployment) Destroy(ctx context.Context) error {
	if err := d.removeServices(ctx); err != nil {
		return err
	}
	if err := d.Leftovers.Remove(ctx, d.Run); err != nil {
		return err
	}
	if err := d.balance(ctx); err != nil {
		return err
	}
	if err := d.removeBoxes(ctx); err != nil {
		return err
	}
	made := d.Wanted.made()
	for _, name := range slices.Sorted(maps.Keys(made)) {
		for _, c := range made[name] {
			d.Say("remove containers", name, "remove container %s", c)
			if _, err := site.Ask[struct{}](ctx, d.Hosts, site.Place{Host: name}, host.OpRemove, c); err != nil {
				return fmt.Errorf("remove container %s: %w", c, err)
			}
		}
	}
	return d.prepareHosts(ctx)
}
