package deploy

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/components"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

func (d *Deployment) bringFiles(ctx context.Context) error { return d.work().BringFiles(ctx) }

func (d *Deployment) initialise(ctx context.Context) error {
	return d.control().Init(ctx, d.Restore != nil)
}

func (d *Deployment) prepareHosts(ctx context.Context) error {
	var places []string
	for _, h := range d.Wanted.Intent.HostsWith(intent.RoleNode) {
		places = append(places, h.Name)
	}
	return d.work().Each(places, []string{node.GroupHost}, func(place string) error {
		return d.work().Bring(ctx, "prepare hosts", place, node.GroupHost)
	})
}

// containerOf are the items of a node's container on its host.
func (d *Deployment) containerOf(n intent.Node) []host.Item {
	var out []host.Item
	for _, i := range d.Wanted.At(n.PhysicalHost, node.GroupContainer) {
		if i.Container == nil || i.Container.Name == n.Name {
			out = append(out, i)
		}
	}
	return out
}

func (d *Deployment) makeContainers(ctx context.Context) error {
	return site.AtOnce(d.Wanted.Strangers(d.World.World), func(n intent.Node) error {
		if !d.work().Changes(n.PhysicalHost, node.GroupContainer) {
			return nil
		}
		return d.makeContainer(ctx, "make containers", n)
	})
}

func (d *Deployment) makeContainer(ctx context.Context, step string, n intent.Node) error {
	return d.Ensure(ctx, step, site.Place{Host: n.PhysicalHost}, d.containerOf(n)...)
}

// installNodes does everything inside new containers, up to kubeadm.
func (d *Deployment) installNodes(ctx context.Context) error {
	var places []string
	for _, n := range d.Wanted.Strangers(d.World.World) {
		places = append(places, n.Name)
	}
	return d.work().Each(places, []string{node.GroupInside, node.GroupKubelet, kubeadm.GroupRecord}, func(place string) error {
		return d.work().Install(ctx, "install nodes", place, node.GroupInside, node.GroupKubelet, kubeadm.GroupRecord)
	})
}

// giveImages brings new images to all members before anything of the old version stops: a pod of the new version may be
// placed on any of them, and kubeadm itself tries one before it begins.
func (d *Deployment) giveImages(ctx context.Context) error {
	const step = "give members new images"
	if !kubeadm.Upgrading(d.Plan) && !kubeadm.Shares(d.Plan, kubeadm.SharedAddons) {
		return nil
	}
	for _, n := range d.control().Members() {
		for _, i := range d.Wanted.At(n.Name, node.GroupInside) {
			if i.Images == nil || !d.Plan.Touches(n.Name, "images", "") {
				continue
			}
			if err := d.work().Lend(ctx, d.place(n)); err != nil {
				return err
			}
			d.Say(step, n.Name, "import images")
			if _, err := site.Ask[struct{}](ctx, d.Hosts, d.place(n), host.OpEnsure, []host.Item{i}); err != nil {
				return err
			}
		}
	}
	return nil
}

// balance changes one load balancer after the other: one of them always serves.
func (d *Deployment) balance(ctx context.Context) error {
	for _, h := range d.Wanted.Intent.HAProxy.Hosts {
		name := site.At(h.Where()).Name()
		if !d.work().Changes(name, balance.Group) {
			continue
		}
		if err := d.work().Bring(ctx, "balance the API", name, balance.Group); err != nil {
			return err
		}
	}
	return nil
}

// applyComponents applies what differs.
func (d *Deployment) applyComponents(ctx context.Context) error {
	const step = "apply components"
	objects, err := components.Objects(d.Wanted.Intent, d.Wanted.Bundle)
	if err != nil || !slices.ContainsFunc(objects, d.applies) {
		return err
	}
	c, err := d.control().ServingAPI(ctx)
	if err != nil {
		return err
	}
	return components.Apply(ctx, d.Run, step, c, objects, d.applies)
}

// applies says whether an object is to be applied: the plan has it, or something in the plan undoes it.
func (d *Deployment) applies(o components.Object) bool {
	change := o.Change("")
	return slices.ContainsFunc(d.Plan.Changes, func(c plan.Change) bool {
		return c.Place == site.Cluster && c.Kind == change.Kind && c.Name == change.Name ||
			o.Component == components.CoreDNS && kubeadm.UpgradeOf(d.Plan, c.Place)
	})
}

// converge waits until nodes are Ready and everything the bundle brought is available.
func (d *Deployment) converge(ctx context.Context) error {
	const step = "wait until everything is available"
	if d.Plan.Empty() {
		return nil
	}
	c, err := d.control().ServingAPI(ctx)
	if err != nil {
		return err
	}
	objects, err := components.Objects(d.Wanted.Intent, d.Wanted.Bundle)
	if err != nil {
		return err
	}
	return d.Wait(ctx, step, site.Cluster, 10*time.Minute, func() (bool, string) {
		var late []string
		for _, n := range d.Wanted.Living() {
			if why := kubeadm.NodeReady(ctx, c, n.NodeName); why != "" {
				late = append(late, "node "+n.NodeName+": "+why)
			}
		}
		late = append(late, components.Late(ctx, c, d.Wanted.Intent.Kubernetes.RemoveKubeProxy, objects)...)
		return len(late) == 0, strings.Join(late, "; ")
	})
}
