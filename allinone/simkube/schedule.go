package simkube

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// schedule puts pods without a node onto one, or says in their status why there is none.
func (p *pass) schedule(ctx context.Context) error {
	for _, pod := range p.pods {
		if pod.Spec.NodeName != "" || !pod.DeletionTimestamp.IsZero() || pod.Status.Phase != corev1.PodPending {
			continue
		}
		node, why := p.choose(pod)
		if node == "" {
			if err := p.unschedulable(ctx, pod, why); err != nil {
				return err
			}
			continue
		}
		bind := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}, Target: corev1.ObjectReference{Kind: "Node", Name: node}}
		if err := p.CoreV1().Pods(pod.Namespace).Bind(ctx, bind, metav1.CreateOptions{FieldManager: scheduler}); err != nil {
			return fmt.Errorf("bind pod %s: %w", pod.Name, err)
		}
		bound, err := p.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("read pod %s: %w", pod.Name, err)
		}
		*pod = *bound
	}
	return nil
}

// choose is the node with the fewest pods of those that fit, or the scheduler's words about why none does.
func (p *pass) choose(pod *corev1.Pod) (node, why string) {
	t := &corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}
	best, reasons := -1, map[string]int{}
	for i := range p.nodes {
		n := &p.nodes[i]
		reason := whyNot(t, n)
		if reason == "" && p.repelled(pod, n) {
			reason = "node(s) didn't match pod anti-affinity rules"
		}
		if reason != "" {
			reasons[reason]++
			continue
		}
		if c := p.podsOn(n.Name); best < 0 || c < best {
			best, node = c, n.Name
		}
	}
	if node != "" {
		return node, ""
	}
	var all []string
	for reason, count := range reasons {
		all = append(all, fmt.Sprintf("%d %s", count, reason))
	}
	slices.Sort(all)
	if len(all) == 0 {
		return "", "no nodes available to schedule pods"
	}
	return "", fmt.Sprintf("0/%d nodes are available: %s.", len(p.nodes), strings.Join(all, ", "))
}

func (p *pass) podsOn(node string) (count int) {
	for _, pod := range p.pods {
		if pod.Spec.NodeName == node {
			count++
		}
	}
	return count
}

// whyNot says what keeps a pod from a node, or nothing.
func whyNot(t *corev1.PodTemplateSpec, node *corev1.Node) string {
	fits, err := nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: t.Spec}).Match(node)
	if err != nil || !fits {
		return "node(s) didn't match Pod's node affinity/selector"
	}
	taints := node.Spec.Taints
	if node.Spec.Unschedulable {
		taints = append(slices.Clone(taints), corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
	}
	keepsOut := func(t *corev1.Taint) bool { return t.Effect != corev1.TaintEffectPreferNoSchedule }
	taint, repelled := schedulinghelpers.FindMatchingUntoleratedTaint(klog.Background(), taints, t.Spec.Tolerations, keepsOut, false)
	if repelled {
		return fmt.Sprintf("node(s) had untolerated taint {%s: %s}", taint.Key, taint.Value)
	}
	return ""
}

// repelled knows the rule that addons have: not two of the same on one node.
func (p *pass) repelled(pod *corev1.Pod, node *corev1.Node) bool {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.PodAntiAffinity == nil {
		return false
	}
	for _, term := range pod.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
		selector, err := metav1.LabelSelectorAsSelector(term.LabelSelector)
		if err != nil || term.TopologyKey != corev1.LabelHostname {
			continue
		}
		for _, other := range p.pods {
			if other != pod && other.Spec.NodeName == node.Name && other.Namespace == pod.Namespace && selector.Matches(labels.Set(other.Labels)) {
				return true
			}
		}
	}
	return false
}

func (p *pass) unschedulable(ctx context.Context, pod *corev1.Pod, why string) error {
	old := podCondition(pod, corev1.PodScheduled)
	if old != nil && old.Status == corev1.ConditionFalse && old.Message == why {
		return nil
	}
	changed := pod.DeepCopy()
	changed.Status.Conditions = slices.DeleteFunc(changed.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodScheduled })
	changed.Status.Conditions = append(changed.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: why, LastTransitionTime: metav1.NewTime(p.now),
	})
	return p.writePodStatus(ctx, pod, changed, scheduler)
}

func (p *pass) writePodStatus(ctx context.Context, pod, changed *corev1.Pod, who string) error {
	written, err := p.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{FieldManager: who})
	if err != nil {
		return fmt.Errorf("status of pod %s: %w", pod.Name, err)
	}
	*pod = *written
	return nil
}
