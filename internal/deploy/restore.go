package deploy

import (
	"context"
	"slices"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/backups"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/components"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// WithoutGone is what a restore makes: nodes that were declared gone are not part of it, for nothing that is restored
// counts on them.
func (w Wanted) WithoutGone() Wanted {
	w.Intent.Nodes = w.Living()
	return w
}

// restorePlan is what restoring changes. The cluster that the plan ends with is made anew, so it is planned as if
// nothing of a cluster were there; what is there is cleared before, or is an earlier run's of the same restore. Fresh
// is the world as Apply finds it then.
func restorePlan(w Wanted, world World, r backups.Restore, now time.Time) (p plan.Plan, fresh World) {
	if len(world.Sleeping) > 0 {
		return Diff(w, world, now), world // whatever is in them has to be seen first
	}
	fresh = world
	fresh.Nodes, fresh.Cluster = map[string]host.Node{}, kubeadm.Cluster{Why: "it is restored"}
	fresh.Running, fresh.Objects = nil, nil
	if objects, err := components.NotCompared(w.Intent, w.Bundle, false, fresh.Cluster.Why); err == nil { // Inspect has read the same manifests
		fresh.Objects = objects
	}
	first := w.Intent.Nodes[0]
	for _, n := range w.Intent.Nodes {
		if world.Nodes[n.Name].Touched() && !r.Begun(world.Nodes[n.Name]) {
			p.Changes = append(p.Changes, kubeadm.Reset{Node: n.Name}.Change())
		}
	}
	for _, c := range Diff(w, fresh, now).Changes {
		_, makes := c.What.(kubeadm.Init)
		switch {
		case makes && c.Place == first.Name:
			p.Changes = append(p.Changes, plan.Change{
				Place: first.Name, Group: kubeadm.Group, Kind: "backup", Name: r.Name, Action: plan.Run,
				Summary: "restore authorities and etcd's data, " + r.Manifest.String(),
			}, plan.Change{
				Place: site.Cluster, Group: kubeadm.Group, Kind: "Node", Name: "others than " + first.NodeName, Action: plan.Delete, Summary: "what the backup has of nodes that join again, and of pods that no longer run",
			})
		case c.Place == site.Cluster:
			c.Action, c.Summary = plan.Check, "the backup has one"
		}
		p.Changes = append(p.Changes, c)
	}
	return p, fresh
}

// RestoreJudges say what is dangerous in a restore.
func RestoreJudges(w Wanted, world World, r backups.Restore) []plan.Judge {
	return []plan.Judge{
		kubeadm.Overwrites(w.Wanted, world.World, r.Digest), r.Versions(w.Intent), r.Cluster(w.Intent), deletionsBeside(),
		kubeadm.Overlaps(w.Wanted, world.World), kubeadm.StillAlive(w.Wanted, world.World, world.Alive, nil),
	}
}

// deletionsBeside are those that are no part of restoring.
func deletionsBeside() plan.Judge {
	return func(p plan.Plan) []plan.Finding {
		p.Changes = slices.DeleteFunc(slices.Clone(p.Changes), func(c plan.Change) bool { return c.Group == kubeadm.Group })
		return deletions()(p)
	}
}

// restore brings the archive to the first node, as it is, and the key that opens it.
func (d *Deployment) restore(ctx context.Context) error {
	n := d.Wanted.Living()[0]
	return d.Restore.PutAt(ctx, d.Run, kubeadm.RestoreStep, n, d.place(n), d.Wanted.Facts[n.PhysicalHost])
}

// revived waits until pods run again.
func (d *Deployment) revived(ctx context.Context) error {
	c, err := d.control().ServingAPI(ctx)
	if err != nil {
		return err
	}
	objects, err := components.Objects(d.Wanted.Intent, d.Wanted.Bundle)
	if err != nil {
		return err
	}
	return components.Revived(ctx, d.Run, kubeadm.RestoreStep, c, objects)
}
