package simkube

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Who writes what, in managedFields.
const (
	manager   = "kube-controller-manager"
	kubelet   = "kubelet"
	scheduler = "kube-scheduler"
	cloud     = "cloud-controller-manager"
)

// pass is one look at one cluster. The lists are kept up with what the pass writes.
type pass struct {
	*clients
	cluster    string
	api        API
	needAddons bool
	now        time.Time
	again      bool // something waits for a change that nobody tells of

	nodes       []corev1.Node
	pods        []*corev1.Pod
	daemonSets  []appsv1.DaemonSet
	deployments []appsv1.Deployment
	stateful    []appsv1.StatefulSet
}

func (p *pass) read(ctx context.Context) error {
	nodes, err := p.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	pods, err := p.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	sets, err := p.AppsV1().DaemonSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list DaemonSets: %w", err)
	}
	deployments, err := p.AppsV1().Deployments("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list Deployments: %w", err)
	}
	stateful, err := p.AppsV1().StatefulSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list StatefulSets: %w", err)
	}
	p.nodes, p.daemonSets, p.deployments, p.stateful = nodes.Items, sets.Items, deployments.Items, stateful.Items
	for i := range pods.Items {
		p.pods = append(p.pods, &pods.Items[i])
	}
	return nil
}

// owned are the pods of a workload.
func (p *pass) owned(owner types.UID) []*corev1.Pod {
	var all []*corev1.Pod
	for _, pod := range p.pods {
		if ref := metav1.GetControllerOf(pod); ref != nil && ref.UID == owner {
			all = append(all, pod)
		}
	}
	return all
}

func (p *pass) node(name string) *corev1.Node {
	for i := range p.nodes {
		if p.nodes[i].Name == name {
			return &p.nodes[i]
		}
	}
	return nil
}

// removed takes a pod from the list that is gone.
func (p *pass) removed(gone *corev1.Pod) {
	var rest []*corev1.Pod
	for _, pod := range p.pods {
		if pod != gone {
			rest = append(rest, pod)
		}
	}
	p.pods = rest
}

func podCondition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

func podReady(pod *corev1.Pod) bool {
	c := podCondition(pod, corev1.PodReady)
	return pod.DeletionTimestamp.IsZero() && c != nil && c.Status == corev1.ConditionTrue
}

func nodeCondition(node *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range node.Status.Conditions {
		if node.Status.Conditions[i].Type == kind {
			return &node.Status.Conditions[i]
		}
	}
	return nil
}

func nodeReady(node *corev1.Node) bool {
	c := nodeCondition(node, corev1.NodeReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

// isStatic tells pods that a kubelet has from a file.
func isStatic(pod *corev1.Pod) bool { return pod.Annotations[corev1.MirrorPodAnnotationKey] != "" }
