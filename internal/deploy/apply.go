package deploy

import (
	"context"
	"errors"
	"sync"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

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
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, n := range d.Wanted.Strangers(d.World.World) {
		if !d.work().Changes(n.PhysicalHost, node.GroupContainer) {
			continue
		}
		all.Go(func() {
			err := d.makeContainer(ctx, "make containers", n)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	all.Wait()
	return errors.Join(errs...)
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
