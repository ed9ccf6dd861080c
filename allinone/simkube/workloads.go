package simkube

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// hashLabel tells pods of the template that is wanted from those of an earlier one.
const hashLabel = "controller-revision-hash"

// owner is a workload whose pods are made.
type owner struct {
	object   metav1.Object
	kind     schema.GroupVersionKind
	template corev1.PodTemplateSpec
	hash     string
}

func newOwner(o metav1.Object, kind string, t corev1.PodTemplateSpec) owner {
	h := fnv.New32a()
	_, _ = fmt.Fprint(h, t.String()) // a hash takes everything
	return owner{o, appsv1.SchemeGroupVersion.WithKind(kind), t, fmt.Sprintf("%08x", h.Sum32())}
}

func (p *pass) workloads(ctx context.Context) error {
	for i := range p.daemonSets {
		if err := p.daemonSet(ctx, &p.daemonSets[i]); err != nil {
			return fmt.Errorf("DaemonSet %s: %w", p.daemonSets[i].Name, err)
		}
	}
	for i := range p.deployments {
		d := &p.deployments[i]
		if err := p.replicas(ctx, newOwner(d, "Deployment", d.Spec.Template), int(*d.Spec.Replicas), nil); err != nil {
			return fmt.Errorf("deployment %s: %w", d.Name, err)
		}
	}
	for i := range p.stateful {
		s := &p.stateful[i]
		names := make([]string, *s.Spec.Replicas)
		for n := range names {
			names[n] = fmt.Sprintf("%s-%d", s.Name, n)
		}
		if err := p.replicas(ctx, newOwner(s, "StatefulSet", s.Spec.Template), len(names), names); err != nil {
			return fmt.Errorf("StatefulSet %s: %w", s.Name, err)
		}
	}
	return nil
}

// daemonSet has one pod on each node that its template allows.
func (p *pass) daemonSet(ctx context.Context, d *appsv1.DaemonSet) error {
	if !d.DeletionTimestamp.IsZero() {
		return nil
	}
	o := newOwner(d, "DaemonSet", d.Spec.Template)
	o.template.Spec.Tolerations = append(slices.Clone(o.template.Spec.Tolerations), daemonTolerations(o.template.Spec.HostNetwork)...)
	has := map[string]bool{}
	for _, pod := range p.owned(d.UID) {
		node := p.node(pod.Spec.NodeName)
		if node == nil || pod.Labels[hashLabel] != o.hash || has[node.Name] || !p.mayStay(&o.template, node) {
			if err := p.deletePod(ctx, pod); err != nil {
				return err
			}
			continue
		}
		has[node.Name] = true
	}
	for i := range p.nodes {
		node := &p.nodes[i]
		if has[node.Name] || whyNot(&o.template, node) != "" {
			continue
		}
		if err := p.createPod(ctx, o, "", node.Name); err != nil {
			return err
		}
	}
	return nil
}

// mayStay: a daemon's pod is not taken from a node because of a taint that only keeps others from coming.
func (p *pass) mayStay(t *corev1.PodTemplateSpec, node *corev1.Node) bool {
	without := node.DeepCopy()
	without.Spec.Unschedulable = false
	without.Spec.Taints = slices.DeleteFunc(without.Spec.Taints, func(t corev1.Taint) bool { return t.Effect != corev1.TaintEffectNoExecute })
	return whyNot(t, without) == ""
}

// daemonTolerations are what the DaemonSet controller adds to every pod.
func daemonTolerations(hostNetwork bool) []corev1.Toleration {
	all := []corev1.Toleration{
		{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
		{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
		{Key: corev1.TaintNodeDiskPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
		{Key: corev1.TaintNodeMemoryPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
		{Key: corev1.TaintNodePIDPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
		{Key: corev1.TaintNodeUnschedulable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
	}
	if hostNetwork {
		all = append(all, corev1.Toleration{Key: corev1.TaintNodeNetworkUnavailable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule})
	}
	return all
}

// replicas keeps a number of pods, of these names if there are any.
func (p *pass) replicas(ctx context.Context, o owner, want int, names []string) error {
	if !o.object.GetDeletionTimestamp().IsZero() {
		return nil
	}
	var have []*corev1.Pod
	for _, pod := range p.owned(o.object.GetUID()) {
		if pod.DeletionTimestamp.IsZero() && pod.Labels[hashLabel] == o.hash && (names == nil || slices.Contains(names, pod.Name)) {
			have = append(have, pod)
			continue
		}
		if err := p.deletePod(ctx, pod); err != nil {
			return err
		}
	}
	// Those that do not run go first.
	slices.SortStableFunc(have, func(a, b *corev1.Pod) int {
		switch {
		case podReady(a) == podReady(b):
			return strings.Compare(a.Name, b.Name)
		case podReady(a):
			return -1
		default:
			return 1
		}
	})
	for len(have) > want {
		if err := p.deletePod(ctx, have[len(have)-1]); err != nil {
			return err
		}
		have = have[:len(have)-1]
	}
	if names == nil {
		for range want - len(have) {
			if err := p.createPod(ctx, o, "", ""); err != nil {
				return err
			}
		}
		return nil
	}
	for _, name := range names {
		if slices.ContainsFunc(have, func(pod *corev1.Pod) bool { return pod.Name == name }) {
			continue
		}
		if err := p.createPod(ctx, o, name, ""); err != nil {
			return err
		}
	}
	return nil
}

// createPod makes a pod unless its service account is not there: an API server's admission refuses it then.
func (p *pass) createPod(ctx context.Context, o owner, name, node string) error {
	pod := &corev1.Pod{ObjectMeta: *o.template.ObjectMeta.DeepCopy(), Spec: *o.template.Spec.DeepCopy()}
	pod.Namespace, pod.Name = o.object.GetNamespace(), name
	if name == "" {
		pod.GenerateName = o.object.GetName() + "-"
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[hashLabel] = o.hash
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(o.object, o.kind)}
	pod.Spec.NodeName = node
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = "default"
	}
	_, err := p.CoreV1().ServiceAccounts(pod.Namespace).Get(ctx, pod.Spec.ServiceAccountName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		return err
	}
	made, err := p.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{FieldManager: manager})
	if apierrors.IsForbidden(err) {
		return nil // the namespace is ending
	} else if err != nil {
		return fmt.Errorf("create a pod: %w", err)
	}
	p.pods = append(p.pods, made)
	return nil
}

// deletePod lets a pod end at once: nothing runs that would need time.
func (p *pass) deletePod(ctx context.Context, pod *corev1.Pod) error {
	now := int64(0)
	err := p.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete pod %s: %w", pod.Name, err)
	}
	p.removed(pod)
	return nil
}
