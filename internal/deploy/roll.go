package deploy

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

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

const rollStep = "change nodes of the cluster"

// rollNodes changes nodes that are part of the control plane: one at a time, never without all the others serving.
func (d *Deployment) rollNodes(ctx context.Context) error {
	for _, n := range d.living() {
		if !d.World.member(n) || !d.memberChanges(n) {
			continue
		}
		if err := d.quorum(ctx, rollStep, n.Name); err != nil {
			return err
		}
		began := d.Now()
		back := d.balancers().Divert(ctx, rollStep, n, d.members())
		err := d.rollOne(ctx, n)
		if err == nil {
			err = d.gate(ctx, rollStep, n)
		}
		if err == nil {
			err = d.settled(ctx, n)
		}
		back()
		if err != nil {
			return err
		}
		if err := d.balancers().Reach(ctx, rollStep, n); err != nil {
			return err
		}
		d.Ended(rollStep, n.Name, "changed", began)
	}
	return nil
}

// memberChanges says whether the plan has something for a member: in it, or of its container.
func (d *Deployment) memberChanges(n intent.Node) bool {
	return d.work().Changes(n.Name, node.GroupInside, node.GroupKubelet, groupRecord) || d.containerChange(n) != nil || d.planned(n.Name, kubeadmKind, "")
}

// containerChange is the change of a node's container, nil if there is none.
func (d *Deployment) containerChange(n intent.Node) *plan.Change {
	for i, c := range d.Plan.Changes {
		if c.Place == n.PhysicalHost && c.Group == node.GroupContainer && (c.Kind != "container" || c.Name == n.Name) {
			return &d.Plan.Changes[i]
		}
	}
	return nil
}

func (d *Deployment) rollOne(ctx context.Context, n intent.Node) error {
	upgrade, container := upgradeOf(d.Plan, n.Name), d.containerChange(n)
	running := d.Wanted.Facts[n.PhysicalHost].Containers[n.Name]
	if upgrade || container != nil && container.Kind == "container" && running && n.LXC.AllowRestarts {
		undo, err := d.drain(ctx, n)
		if err != nil {
			return err
		}
		defer undo()
	}
	if container != nil {
		if err := d.makeContainer(ctx, rollStep, n); err != nil {
			return err
		}
		if err := d.gate(ctx, rollStep, n); err != nil {
			return err
		}
	}
	if d.work().Changes(n.Name, node.GroupInside) || upgrade {
		if err := d.work().Bring(ctx, rollStep, n.Name, node.GroupInside); err != nil {
			return err
		}
	}
	if err := d.controlPlane(ctx, n); err != nil {
		return err
	}
	if err := d.work().Install(ctx, rollStep, n.Name, node.GroupKubelet); err != nil {
		return err
	}
	if kubeletOf(d.Plan, n.Name) {
		if err := d.startKubelet(ctx, n); err != nil {
			return err
		}
	}
	return d.work().Install(ctx, rollStep, n.Name, groupRecord)
}

// restartStaticPods stops the control plane's containers; kubelet starts them again. All have read certificates at start.
func (d *Deployment) restartStaticPods(ctx context.Context, n intent.Node) error {
	const script = `for name in etcd kube-apiserver kube-controller-manager kube-scheduler; do
  for id in $(crictl ps -q --name "^$name\$"); do crictl stop -t 30 "$id" >/dev/null; done
done`
	_, err := d.Command(ctx, d.place(n), 5*time.Minute, "sh", "-c", script)
	return err
}

// drain moves away what can run elsewhere. What does not go within the time stays: Cluster API's controllers run once, and
// the control plane's change may not depend on a pod that does not want to end.
func (d *Deployment) drain(ctx context.Context, n intent.Node) (func(), error) {
	other, ok := d.otherThan(ctx, n)
	if !ok {
		return func() {}, nil // the only node: there is nowhere to go
	}
	c, err := d.api(ctx, other)
	if err != nil {
		return nil, err
	}
	if err := d.cordon(ctx, c, n, true); err != nil {
		return nil, fmt.Errorf("cordon: %w", err)
	}
	undo := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if err := d.cordon(ctx, c, n, false); err != nil {
			d.Say(rollStep, n.Name, "still cordoned: %v: running again makes it schedulable", err)
		}
	}
	d.Say(rollStep, n.Name, "drain")
	err = d.Wait(ctx, rollStep, n.Name, 2*time.Minute, func() (bool, string) { return evict(ctx, c, n.NodeName) })
	if err != nil {
		d.Say(rollStep, n.Name, "%v: going on", err)
	}
	return undo, ctx.Err()
}

func (d *Deployment) otherThan(ctx context.Context, n intent.Node) (intent.Node, bool) {
	for _, o := range d.members() {
		if o.Name == n.Name {
			continue
		}
		if ok, _ := d.serves(ctx, o); ok {
			return o, true
		}
	}
	return intent.Node{}, false
}

func (d *Deployment) cordon(ctx context.Context, c client.Client, n intent.Node, on bool) error {
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
