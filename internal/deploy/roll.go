package deploy

import (
	"context"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// rollNodes changes nodes that are part of the control plane: one at a time, never without all the others serving.
func (d *Deployment) rollNodes(ctx context.Context) error {
	for _, n := range d.Wanted.Living() {
		if !d.World.Member(n) || !d.memberChanges(n) {
			continue
		}
		if err := d.control().Quorum(ctx, kubeadm.RollStep, n.Name); err != nil {
			return err
		}
		began := d.Now()
		var all []balance.Server
		for _, m := range d.control().Members() {
			all = append(all, d.serverOf(m))
		}
		back := d.api().Divert(ctx, kubeadm.RollStep, d.serverOf(n), all)
		err := d.rollOne(ctx, n)
		if err == nil {
			err = d.control().Gate(ctx, kubeadm.RollStep, n)
		}
		if err == nil {
			err = d.control().Settled(ctx, n, d.work().Changes(n.Name, node.GroupKubelet))
		}
		back()
		if err != nil {
			return err
		}
		if err := d.api().Reach(ctx, kubeadm.RollStep, d.serverOf(n)); err != nil {
			return err
		}
		d.Ended(kubeadm.RollStep, n.Name, "changed", began)
	}
	return nil
}

// memberChanges says whether the plan has something for a member: in it, or of its container.
func (d *Deployment) memberChanges(n intent.Node) bool {
	return d.work().Changes(n.Name, node.GroupInside, node.GroupKubelet, kubeadm.GroupRecord) || d.containerChanges(n) || d.Plan.Touches(n.Name, kubeadm.Kind, "")
}

// containerChanges says whether the plan has something for a node's container or for what its config names on the host.
// Other nodes' containers, and those of Magnum, may be on the same host.
func (d *Deployment) containerChanges(n intent.Node) bool {
	return slices.ContainsFunc(d.containerOf(n), func(i host.Item) bool {
		t := i.Thing(nil)
		return d.Plan.Touches(n.PhysicalHost, t.Kind, t.Name)
	})
}

// drains says whether a member's pods have to go elsewhere before it changes: it is upgraded, or its container is
// restarted.
func (d *Deployment) drains(n intent.Node) bool {
	restarts := d.Wanted.Facts[n.PhysicalHost].Containers[n.Name] && n.LXC.AllowRestarts && d.Plan.Touches(n.PhysicalHost, "container", n.Name)
	return restarts || kubeadm.UpgradeOf(d.Plan, n.Name)
}

func (d *Deployment) rollOne(ctx context.Context, n intent.Node) error {
	if d.drains(n) {
		undo, err := d.control().Drain(ctx, n)
		if err != nil {
			return err
		}
		defer undo()
	}
	if d.containerChanges(n) {
		if err := d.makeContainer(ctx, kubeadm.RollStep, n); err != nil {
			return err
		}
		if err := d.control().Gate(ctx, kubeadm.RollStep, n); err != nil {
			return err
		}
	}
	if d.work().Changes(n.Name, node.GroupInside) || kubeadm.UpgradeOf(d.Plan, n.Name) {
		if err := d.work().Bring(ctx, kubeadm.RollStep, n.Name, node.GroupInside); err != nil {
			return err
		}
	}
	if err := d.control().ControlPlane(ctx, n); err != nil {
		return err
	}
	if err := d.work().Install(ctx, kubeadm.RollStep, n.Name, node.GroupKubelet); err != nil {
		return err
	}
	if kubeadm.KubeletOf(d.Plan, n.Name) {
		if err := d.control().StartKubelet(ctx, n); err != nil {
			return err
		}
	}
	return d.work().Install(ctx, kubeadm.RollStep, n.Name, kubeadm.GroupRecord)
}

// snapshot takes the one before an upgrade. Its programs come first.
func (d *Deployment) snapshot(ctx context.Context) error {
	for _, s := range plan.Of[kubeadm.Snapshot](d.Plan) {
		programs := slices.DeleteFunc(d.Wanted.At(s.Node, node.GroupInside), func(i host.Item) bool { return !kubeadm.TakesSnapshots(i) })
		if err := d.work().BringItems(ctx, kubeadm.SnapshotStep, s.Node, programs); err != nil {
			return err
		}
		if err := d.control().TakeSnapshot(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
