package simkube

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kubelets run the pods of all nodes, and end those that are to end.
func (p *pass) kubelets(ctx context.Context) error {
	for _, pod := range slices.Clone(p.pods) {
		node := p.node(pod.Spec.NodeName)
		if node == nil {
			continue
		}
		if !pod.DeletionTimestamp.IsZero() {
			if err := p.deletePod(ctx, pod); err != nil {
				return err
			}
			continue
		}
		if podReady(pod) {
			continue
		}
		if err := p.start(ctx, pod, node); err != nil {
			return err
		}
	}
	return nil
}

// start lets a pod run, or says what it waits for.
func (p *pass) start(ctx context.Context, pod *corev1.Pod, node *corev1.Node) error {
	reason, message, err := p.waitsFor(ctx, pod, node)
	if err != nil {
		return err
	}
	changed := pod.DeepCopy()
	p.setStatus(changed, node, reason, message)
	if sameStatus(pod, changed) {
		return nil
	}
	return p.writePodStatus(ctx, pod, changed, kubelet)
}

// waitsFor is what keeps a pod from running, in a kubelet's words.
func (p *pass) waitsFor(ctx context.Context, pod *corev1.Pod, node *corev1.Node) (reason, message string, err error) {
	if isStatic(pod) {
		return "", "", nil
	}
	if missing, err := p.missing(ctx, pod); missing != "" || err != nil {
		return "CreateContainerConfigError", missing, err
	}
	if !pod.Spec.HostNetwork && !nodeReady(node) {
		return "ContainerCreating", networkNotReady, nil
	}
	return "", "", nil
}

// missing is a Secret or ConfigMap that a pod needs and that is not there.
func (p *pass) missing(ctx context.Context, pod *corev1.Pod) (string, error) {
	secrets, configMaps := needs(&pod.Spec)
	for _, name := range secrets {
		if _, err := p.CoreV1().Secrets(pod.Namespace).Get(ctx, name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			return fmt.Sprintf("secret %q not found", name), nil
		} else if err != nil {
			return "", err
		}
	}
	for _, name := range configMaps {
		if _, err := p.CoreV1().ConfigMaps(pod.Namespace).Get(ctx, name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			return fmt.Sprintf("configmap %q not found", name), nil
		} else if err != nil {
			return "", err
		}
	}
	return "", nil
}

// needed are the names of what a pod does not start without.
type needed []string

func (n *needed) add(name string, optional *bool) {
	if (optional == nil || !*optional) && name != "" && !slices.Contains(*n, name) {
		*n = append(*n, name)
	}
}

// rootCA is in every namespace of a real cluster.
const rootCA = "kube-root-ca.crt"

// needs are the Secrets and ConfigMaps without which a pod does not start.
func needs(spec *corev1.PodSpec) (secrets, configMaps needed) {
	for _, v := range spec.Volumes {
		if v.Secret != nil {
			secrets.add(v.Secret.SecretName, v.Secret.Optional)
		}
		if v.ConfigMap != nil {
			configMaps.add(v.ConfigMap.Name, v.ConfigMap.Optional)
		}
		if v.Projected != nil {
			projected(v.Projected.Sources, &secrets, &configMaps)
		}
	}
	for _, c := range append(slices.Clone(spec.InitContainers), spec.Containers...) {
		environment(c, &secrets, &configMaps)
	}
	return secrets, configMaps
}

func projected(sources []corev1.VolumeProjection, secrets, configMaps *needed) {
	for _, s := range sources {
		if s.Secret != nil {
			secrets.add(s.Secret.Name, s.Secret.Optional)
		}
		if s.ConfigMap != nil && s.ConfigMap.Name != rootCA {
			configMaps.add(s.ConfigMap.Name, s.ConfigMap.Optional)
		}
	}
}

func environment(c corev1.Container, secrets, configMaps *needed) {
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			continue
		}
		if r := e.ValueFrom.SecretKeyRef; r != nil {
			secrets.add(r.Name, r.Optional)
		}
		if r := e.ValueFrom.ConfigMapKeyRef; r != nil {
			configMaps.add(r.Name, r.Optional)
		}
	}
	for _, e := range c.EnvFrom {
		if e.SecretRef != nil {
			secrets.add(e.SecretRef.Name, e.SecretRef.Optional)
		}
		if e.ConfigMapRef != nil {
			configMaps.add(e.ConfigMapRef.Name, e.ConfigMapRef.Optional)
		}
	}
}

// setStatus is what a kubelet says of a pod that runs, or that waits for something.
func (p *pass) setStatus(pod *corev1.Pod, node *corev1.Node, reason, message string) {
	now, runs := metav1.NewTime(p.now), corev1.ConditionTrue
	if reason != "" {
		runs = corev1.ConditionFalse
	}
	if pod.Status.StartTime == nil {
		pod.Status.StartTime = &now
	}
	pod.Status.Phase = corev1.PodPending
	if reason == "" {
		pod.Status.Phase = corev1.PodRunning
		pod.Status.HostIP = addressOf(node.Name)
		pod.Status.HostIPs = []corev1.HostIP{{IP: pod.Status.HostIP}}
		pod.Status.PodIP = pod.Status.HostIP
		if !pod.Spec.HostNetwork {
			pod.Status.PodIP = addressOf(string(pod.UID))
		}
		pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	}
	conditions := []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: now}}
	for _, kind := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		c := corev1.PodCondition{Type: kind, Status: runs, LastTransitionTime: now}
		if runs == corev1.ConditionFalse {
			c.Reason, c.Message = "ContainersNotReady", message
		}
		conditions = append(conditions, c)
	}
	pod.Status.Conditions = conditions
	pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses = nil, nil
	for _, c := range pod.Spec.InitContainers {
		s := containerStatus(c, reason, message, now)
		always := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if reason == "" && !always {
			s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: now, FinishedAt: now}}
		}
		pod.Status.InitContainerStatuses = append(pod.Status.InitContainerStatuses, s)
	}
	for _, c := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, containerStatus(c, reason, message, now))
	}
}

func containerStatus(c corev1.Container, reason, message string, now metav1.Time) corev1.ContainerStatus {
	started := reason == ""
	s := corev1.ContainerStatus{Name: c.Name, Image: c.Image, Ready: started, Started: &started}
	if started {
		s.ImageID, s.ContainerID = c.Image, "simulated://"+c.Name
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: now}
	} else {
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: message}
	}
	return s
}

// sameStatus compares what does not change with time alone.
func sameStatus(a, b *corev1.Pod) bool {
	if a.Status.Phase != b.Status.Phase || len(a.Status.ContainerStatuses) != len(b.Status.ContainerStatuses) {
		return false
	}
	ready, other := podCondition(a, corev1.PodReady), podCondition(b, corev1.PodReady)
	return ready != nil && ready.Status == other.Status && ready.Message == other.Message
}

// addressOf is an address that a name always has. Nobody answers there.
func addressOf(name string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // a hash takes everything
	n := h.Sum32()
	return netip.AddrFrom4([4]byte{10, 100 + byte(n>>16)%28, byte(n >> 8), byte(n)}).String()
}
