package kubeadm

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Drain moves away what can run elsewhere. What does not go within the time stays: Cluster API's controllers run once,
// and the control plane's change may not depend on a pod that does not want to end.
func (r *Run) Drain(ctx context.Context, n intent.Node) (func(), error) {
	other, ok := r.otherThan(ctx, n)
	if !ok {
		return func() {}, nil // the only node: there is nowhere to go
	}
	c, err := r.api(ctx, other)
	if err != nil {
		return nil, err
	}
	if err := r.cordon(ctx, c, n, true); err != nil {
		return nil, fmt.Errorf("cordon: %w", err)
	}
	undo := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if err := r.cordon(ctx, c, n, false); err != nil {
			r.Say(RollStep, n.Name, "still cordoned: %v: running again makes it schedulable", err)
		}
	}
	r.Say(RollStep, n.Name, "drain")
	err = r.Wait(ctx, RollStep, n.Name, 2*time.Minute, func() (bool, string) { return evict(ctx, c, n.NodeName) })
	if err != nil {
		r.Say(RollStep, n.Name, "%v: going on", err)
	}
	return undo, ctx.Err()
}

func (r *Run) otherThan(ctx context.Context, n intent.Node) (intent.Node, bool) {
	for _, o := range r.Members() {
		if o.Name == n.Name {
			continue
		}
		if ok, _ := r.serves(ctx, o); ok {
			return o, true
		}
	}
	return intent.Node{}, false
}

func (r *Run) cordon(ctx context.Context, c client.Client, n intent.Node, on bool) error {
	var node corev1.Node
	if err := c.Get(ctx, client.ObjectKey{Name: n.NodeName}, &node); err != nil {
		return err
	}
	if node.Spec.Unschedulable == on {
		return nil
	}
	was := node.DeepCopy()
	node.Spec.Unschedulable = on
	return c.Patch(ctx, &node, client.MergeFrom(was))
}

// evict asks for everything to go that is not the node's own; true when nothing is left.
func evict(ctx context.Context, c client.Client, node string) (bool, string) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.MatchingFields{"spec.nodeName": node}); err != nil {
		return false, err.Error()
	}
	var left []string
	for _, p := range pods.Items {
		if !movable(p) {
			continue
		}
		left = append(left, p.Name)
		err := c.SubResource("eviction").Create(ctx, &p, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace}})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsTooManyRequests(err) {
			return false, err.Error()
		}
	}
	return len(left) == 0, "pods are still there: " + strings.Join(left, ", ")
}

// movable says whether a pod runs somewhere else when it is evicted here.
func movable(p corev1.Pod) bool {
	if _, static := p.Annotations[corev1.MirrorPodAnnotationKey]; static || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return false
	}
	for _, o := range p.OwnerReferences {
		if o.Kind == "DaemonSet" {
			return false
		}
	}
	return true
}
