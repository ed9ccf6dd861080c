package deploy

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/components"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

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
