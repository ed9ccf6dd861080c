package simkube

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// statuses says of each workload how many of its pods there are and run.
func (p *pass) statuses(ctx context.Context) error {
	for i := range p.daemonSets {
		if err := p.daemonSetStatus(ctx, &p.daemonSets[i]); err != nil {
			return fmt.Errorf("DaemonSet %s: %w", p.daemonSets[i].Name, err)
		}
	}
	for i := range p.deployments {
		if err := p.deploymentStatus(ctx, &p.deployments[i]); err != nil {
			return fmt.Errorf("deployment %s: %w", p.deployments[i].Name, err)
		}
	}
	for i := range p.stateful {
		if err := p.statefulSetStatus(ctx, &p.stateful[i]); err != nil {
			return fmt.Errorf("StatefulSet %s: %w", p.stateful[i].Name, err)
		}
	}
	return nil
}

func countReady(pods []*corev1.Pod) (n int32) {
	for _, pod := range pods {
		if podReady(pod) {
			n++
		}
	}
	return n
}

func (p *pass) daemonSetStatus(ctx context.Context, d *appsv1.DaemonSet) error {
	pods := p.owned(d.UID)
	count, ready := int32(len(pods)), countReady(pods) //nolint:gosec // a simulated cluster has few
	status := d.Status.DeepCopy()
	status.ObservedGeneration = d.Generation
	status.DesiredNumberScheduled, status.CurrentNumberScheduled, status.UpdatedNumberScheduled = p.desired(d), count, count
	status.NumberReady, status.NumberAvailable, status.NumberUnavailable = ready, ready, status.DesiredNumberScheduled-ready
	if equality.Semantic.DeepEqual(status, &d.Status) {
		return nil
	}
	changed := d.DeepCopy()
	changed.Status = *status
	written, err := p.AppsV1().DaemonSets(d.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{FieldManager: manager})
	if err == nil {
		*d = *written
	}
	return err
}

// desired is on how many nodes a DaemonSet wants to be.
func (p *pass) desired(d *appsv1.DaemonSet) (n int32) {
	t := d.Spec.Template.DeepCopy()
	t.Spec.Tolerations = append(t.Spec.Tolerations, daemonTolerations(t.Spec.HostNetwork)...)
	for i := range p.nodes {
		node := &p.nodes[i]
		here := func(pod *corev1.Pod) bool { return pod.Spec.NodeName == node.Name }
		if whyNot(t, node) == "" || slices.ContainsFunc(p.owned(d.UID), here) {
			n++
		}
	}
	return n
}

func (p *pass) deploymentStatus(ctx context.Context, d *appsv1.Deployment) error {
	pods := p.owned(d.UID)
	count, ready := int32(len(pods)), countReady(pods) //nolint:gosec // a simulated cluster has few
	status := d.Status.DeepCopy()
	status.ObservedGeneration = d.Generation
	status.Replicas, status.UpdatedReplicas, status.ReadyReplicas, status.AvailableReplicas = count, count, ready, ready
	status.UnavailableReplicas = max(0, *d.Spec.Replicas-ready)
	available := appsv1.DeploymentCondition{
		Type: appsv1.DeploymentAvailable, Status: corev1.ConditionFalse,
		Reason: "MinimumReplicasUnavailable", Message: "Deployment does not have minimum availability.",
	}
	if ready >= *d.Spec.Replicas-maxUnavailable(d) {
		available.Status, available.Reason, available.Message = corev1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability."
	}
	progressing := appsv1.DeploymentCondition{
		Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue,
		Reason: "ReplicaSetUpdated", Message: fmt.Sprintf("Deployment %q is progressing.", d.Name),
	}
	if ready >= *d.Spec.Replicas {
		progressing.Reason, progressing.Message = "NewReplicaSetAvailable", fmt.Sprintf("Deployment %q has successfully progressed.", d.Name)
	}
	for _, c := range []appsv1.DeploymentCondition{available, progressing} {
		p.setDeploymentCondition(status, c)
	}
	if equality.Semantic.DeepEqual(status, &d.Status) {
		return nil
	}
	changed := d.DeepCopy()
	changed.Status = *status
	written, err := p.AppsV1().Deployments(d.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{FieldManager: manager})
	if err == nil {
		*d = *written
	}
	return err
}

func (p *pass) setDeploymentCondition(status *appsv1.DeploymentStatus, c appsv1.DeploymentCondition) {
	now := metav1.NewTime(p.now)
	c.LastUpdateTime, c.LastTransitionTime = now, now
	for i := range status.Conditions {
		old := &status.Conditions[i]
		if old.Type != c.Type {
			continue
		}
		if old.Status != c.Status || old.Reason != c.Reason || old.Message != c.Message {
			if old.Status == c.Status {
				c.LastTransitionTime = old.LastTransitionTime
			}
			*old = c
		}
		return
	}
	status.Conditions = append(status.Conditions, c)
}

// maxUnavailable is how many of a Deployment's pods may be missing while it counts as available.
func maxUnavailable(d *appsv1.Deployment) int32 {
	rolling := d.Spec.Strategy.RollingUpdate
	if rolling == nil || rolling.MaxUnavailable == nil {
		return 0
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(rolling.MaxUnavailable, int(*d.Spec.Replicas), false)
	if err != nil {
		return 0
	}
	return int32(n) //nolint:gosec // at most the number of replicas
}

func (p *pass) statefulSetStatus(ctx context.Context, s *appsv1.StatefulSet) error {
	pods := p.owned(s.UID)
	count, ready := int32(len(pods)), countReady(pods) //nolint:gosec // a simulated cluster has few
	status := s.Status.DeepCopy()
	status.ObservedGeneration = s.Generation
	status.Replicas, status.CurrentReplicas, status.UpdatedReplicas = count, count, count
	status.ReadyReplicas, status.AvailableReplicas = ready, ready
	revision := s.Name + "-" + newOwner(s, "StatefulSet", s.Spec.Template).hash
	status.CurrentRevision, status.UpdateRevision = revision, revision
	if equality.Semantic.DeepEqual(status, &s.Status) {
		return nil
	}
	changed := s.DeepCopy()
	changed.Status = *status
	written, err := p.AppsV1().StatefulSets(s.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{FieldManager: manager})
	if err == nil {
		*s = *written
	}
	return err
}
