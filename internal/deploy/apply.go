package deploy

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// living are the nodes that the operator has not declared gone.
func (w Wanted) living() []intent.Node {
	var out []intent.Node
	for _, n := range w.Intent.Nodes {
		if !slices.Contains(w.Gone, n.Name) {
			out = append(out, n)
		}
	}
	return out
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

// strangers are nodes that are not part of the control plane yet: nobody minds what is done to them.
func (d *Deployment) strangers() []intent.Node {
	var out []intent.Node
	for _, n := range d.living() {
		if !d.World.member(n) {
			out = append(out, n)
		}
	}
	return out
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
	for _, n := range d.strangers() {
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
	for _, n := range d.strangers() {
		places = append(places, n.Name)
	}
	return d.work().Each(places, []string{node.GroupInside, node.GroupKubelet, groupRecord}, func(place string) error {
		return d.work().Install(ctx, "install nodes", place, node.GroupInside, node.GroupKubelet, groupRecord)
	})
}
