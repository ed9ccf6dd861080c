package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
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

// applyComponents applies what differs, a component after the other: the later ones call webhooks of the earlier ones.
func (d *Deployment) applyComponents(ctx context.Context) error {
	const step = "apply components"
	objects, err := objectsOf(d.Wanted)
	if err != nil || !slices.ContainsFunc(objects, d.applies) {
		return err
	}
	c, err := d.api(ctx, d.firstServing(ctx))
	if err != nil {
		return err
	}
	for _, batch := range batches(objects) {
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(appliers)
		count := 0
		for _, o := range batch {
			if d.applies(o) {
				count++
				g.Go(func() error { return d.applyObject(gctx, step, c, o) })
			}
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if count > 0 {
			d.Say(step, batch[0].component, "%d of %s", count, batch[0].u.GetKind())
		}
	}
	return nil
}

// appliers is how many objects of a batch are applied at once: a definition costs the API server up to a second.
const appliers = 4

// batches are objects that do not need each other: of one component and one kind.
func batches(objects []object) [][]object {
	var out [][]object
	for i, o := range objects {
		if i == 0 || objects[i-1].component != o.component || objects[i-1].u.GetKind() != o.u.GetKind() {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], o)
	}
	return out
}

// applies says whether an object is to be applied: the plan has it, or something in the plan undoes it.
func (d *Deployment) applies(o object) bool {
	change := o.change("")
	return slices.ContainsFunc(d.Plan.Changes, func(c plan.Change) bool {
		return c.Place == clusterPlace && c.Kind == change.Kind && c.Name == change.Name ||
			o.component == corednsComponent && c.Kind == "kubeadm" && c.Name == "upgrade"
	})
}

// applyObject applies, again for as long as what it needs is still starting: a webhook's pod, a definition being established.
func (d *Deployment) applyObject(ctx context.Context, step string, c client.Client, o object) error {
	return d.Wait(ctx, step, o.component, 5*time.Minute, func() (bool, string) {
		u := o.u.DeepCopy()
		err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), kube.FieldOwner, client.ForceOwnership)
		if err == nil {
			return true, ""
		}
		if meta.IsNoMatchError(err) {
			c.RESTMapper() // asks again by itself
		}
		return false, fmt.Sprintf("%s %s: %s", o.u.GetKind(), o.name(), site.FirstLine(err.Error()))
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
	objects, err := objectsOf(d.Wanted)
	if err != nil {
		return err
	}
	return d.Wait(ctx, step, clusterPlace, 10*time.Minute, func() (bool, string) {
		var late []string
		for _, n := range d.living() {
			if why := nodeReady(ctx, c, n.NodeName); why != "" {
				late = append(late, "node "+n.NodeName+": "+why)
			}
		}
		late = append(late, unavailable(ctx, c, d.Wanted.Intent.Kubernetes.RemoveKubeProxy, objects)...)
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

// unavailable lists workloads of the components, and kubeadm's own, that are not complete.
func unavailable(ctx context.Context, c client.Client, noProxy bool, objects []object) []string {
	var out []string
	check := func(kind, namespace, name string) {
		ok, err := available(ctx, c, kind, client.ObjectKey{Namespace: namespace, Name: name})
		switch {
		case err != nil && !apierrors.IsNotFound(err):
			out = append(out, name+": "+site.FirstLine(err.Error()))
		case err != nil:
			out = append(out, name+" is not there")
		case !ok:
			out = append(out, name)
		}
	}
	check("Deployment", "kube-system", "coredns")
	if !noProxy {
		check("DaemonSet", "kube-system", "kube-proxy")
	}
	for _, o := range objects {
		if kind := o.u.GetKind(); (kind == "Deployment" || kind == "DaemonSet") && o.component != corednsComponent {
			check(kind, o.u.GetNamespace(), o.u.GetName())
		}
	}
	return out
}

func available(ctx context.Context, c client.Client, kind string, key client.ObjectKey) (bool, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(kind))
	if err := c.Get(ctx, key, u); err != nil {
		return false, err
	}
	get := func(fields ...string) int64 {
		n, _, err := unstructured.NestedInt64(u.Object, fields...)
		return errOr(n, err)
	}
	if get("status", "observedGeneration") < u.GetGeneration() {
		return false, nil
	}
	if kind == "DaemonSet" {
		want := get("status", "desiredNumberScheduled")
		return get("status", "updatedNumberScheduled") == want && get("status", "numberReady") == want, nil
	}
	want := get("spec", "replicas")
	return get("status", "updatedReplicas") >= want && get("status", "availableReplicas") >= want, nil
}

// errOr makes a field of the wrong type a number that is never enough.
func errOr(n int64, err error) int64 {
	if err != nil {
		return -1
	}
	return n
}
