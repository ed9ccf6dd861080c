package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/components"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// removeGone ends the membership of nodes that the operator declared dead.
func (d *Deployment) removeGone(ctx context.Context) error {
	for _, n := range d.Wanted.Intent.Nodes {
		if !slices.Contains(d.Wanted.Gone, n.Name) {
			continue
		}
		d.Say("take out nodes that are gone", n.Name, "remove etcd's member and the Node")
		if err := d.forgetNode(ctx, d.firstServing(ctx), n); err != nil {
			return err
		}
	}
	return nil
}

// labelNodes puts labels on Nodes and takes taints away. A Node registers a moment after kubeadm has ended.
func (d *Deployment) labelNodes(ctx context.Context) error {
	const step = "label nodes"
	if !slices.ContainsFunc(d.Plan.Changes, func(c plan.Change) bool { return c.Group == groupControl }) {
		return nil
	}
	c, err := d.api(ctx, d.firstServing(ctx))
	if err != nil {
		return err
	}
	for _, n := range d.living() {
		err := d.Wait(ctx, step, n.Name, 2*time.Minute, func() (bool, string) {
			var node corev1.Node
			if err := c.Get(ctx, client.ObjectKey{Name: n.NodeName}, &node); err != nil {
				return false, err.Error()
			}
			if len(nodeDifferences(n, node)) == 0 {
				return true, ""
			}
			err := patchNode(ctx, c, n, node)
			return err == nil, fmt.Sprint(err)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func patchNode(ctx context.Context, c client.Client, n intent.Node, node corev1.Node) error {
	was := node.DeepCopy()
	if node.Labels == nil {
		node.Labels = map[string]string{}
	}
	maps.Copy(node.Labels, labelsOf(n))
	node.Spec.Taints = slices.DeleteFunc(node.Spec.Taints, func(t corev1.Taint) bool {
		return t.Key == controlPlaneLabel || t.Key == masterTaint
	})
	node.Spec.Unschedulable = false
	return c.Patch(ctx, &node, client.MergeFrom(was))
}

// applyComponents applies what differs.
func (d *Deployment) applyComponents(ctx context.Context) error {
	const step = "apply components"
	objects, err := components.Objects(d.Wanted.Intent, d.Wanted.Bundle)
	if err != nil || !slices.ContainsFunc(objects, d.applies) {
		return err
	}
	c, err := d.api(ctx, d.firstServing(ctx))
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
			o.Component == components.CoreDNS && upgradeOf(d.Plan, c.Place)
	})
}

// converge waits until nodes are Ready and everything the bundle brought is available.
func (d *Deployment) converge(ctx context.Context) error {
	const step = "wait until everything is available"
	if d.Plan.Empty() {
		return nil
	}
	c, err := d.api(ctx, d.firstServing(ctx))
	if err != nil {
		return err
	}
	objects, err := components.Objects(d.Wanted.Intent, d.Wanted.Bundle)
	if err != nil {
		return err
	}
	return d.Wait(ctx, step, site.Cluster, 10*time.Minute, func() (bool, string) {
		var late []string
		for _, n := range d.living() {
			if why := nodeReady(ctx, c, n.NodeName); why != "" {
				late = append(late, "node "+n.NodeName+": "+why)
			}
		}
		late = append(late, components.Late(ctx, c, d.Wanted.Intent.Kubernetes.RemoveKubeProxy, objects)...)
		return len(late) == 0, strings.Join(late, "; ")
	})
}

func nodeReady(ctx context.Context, c client.Client, name string) string {
	var node corev1.Node
	if err := c.Get(ctx, client.ObjectKey{Name: name}, &node); err != nil {
		return err.Error()
	}
	for _, cond := range node.Status.Conditions {
		if cond.Type == corev1.NodeReady {
			if cond.Status == corev1.ConditionTrue {
				return ""
			}
			return site.FirstLine(cond.Message)
		}
	}
	return "has no conditions yet"
}
