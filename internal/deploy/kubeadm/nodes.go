package kubeadm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// RemoveGone ends the membership of nodes that the operator declared dead.
func (r *Run) RemoveGone(ctx context.Context) error {
	for _, n := range r.Wanted.Intent.Nodes {
		if !slices.Contains(r.Wanted.Gone, n.Name) {
			continue
		}
		r.Say("take out nodes that are gone", n.Name, "remove etcd's member and the Node")
		if err := r.forgetNode(ctx, r.FirstServing(ctx), n); err != nil {
			return err
		}
	}
	return nil
}

// Label puts labels on Nodes and takes taints away. A Node registers a moment after kubeadm has ended.
func (r *Run) Label(ctx context.Context) error {
	const step = "label nodes"
	if !slices.ContainsFunc(r.Plan.Changes, func(c plan.Change) bool { return c.Group == Group }) {
		return nil
	}
	c, err := r.ServingAPI(ctx)
	if err != nil {
		return err
	}
	for _, n := range r.Wanted.Living() {
		err := r.Wait(ctx, step, n.Name, 2*time.Minute, func() (bool, string) {
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

// NodeReady says why a node is not Ready, "" if it is.
func NodeReady(ctx context.Context, c client.Client, name string) string {
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
