package inmemory

import (
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/allinone/simkube"
)

const controlPlaneLabel = "node-role.kubernetes.io/control-plane"

// complete adds what Cluster API's provider leaves out, because its own API server asks for nothing: what kubeadm
// (v1.34) and the kubelet write, as far as an API server wants it or somebody looks at it.
func complete(o client.Object, needAddons bool) {
	switch o := o.(type) {
	case *corev1.Node:
		completeNode(o, needAddons)
	case *corev1.Pod:
		completePod(o)
	case *appsv1.DaemonSet:
		completeKubeProxy(o)
	case *appsv1.Deployment:
		completeCoreDNS(o)
	}
}

func completeNode(n *corev1.Node, needAddons bool) {
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	maps.Copy(n.Labels, map[string]string{corev1.LabelHostname: n.Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"})
	if _, ok := n.Labels[controlPlaneLabel]; ok {
		n.Labels[corev1.LabelNodeExcludeBalancers] = ""
	}
	info := &n.Status.NodeInfo
	info.OperatingSystem, info.Architecture, info.ContainerRuntimeVersion = "linux", "amd64", "containerd://2.1.0"
	info.OSImage, info.KernelVersion, info.MachineID, info.SystemUUID, info.BootID = "Simulated", "6.1.0", n.Name, n.Name, n.Name
	n.Status.Capacity = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("4Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	n.Status.Allocatable = n.Status.Capacity
	n.Status.Addresses = simkube.Addresses(n.Name)
	if needAddons {
		simkube.Registered(n)
	}
}

// completePod makes a kubelet's own pod: the provider makes those of the control plane and no others. The annotation
// says so, and keeps them where they are when their node is drained.
func completePod(p *corev1.Pod) {
	component := p.Labels["component"]
	if p.Annotations == nil {
		p.Annotations = map[string]string{}
	}
	p.Annotations[corev1.MirrorPodAnnotationKey] = p.Name
	p.Annotations["kubernetes.io/config.source"] = "file"
	p.Spec.HostNetwork = true
	p.Spec.PriorityClassName = "system-node-critical"
	p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}}
	p.Spec.Containers = []corev1.Container{{Name: component, Image: "registry.k8s.io/" + component, Command: []string{component}}}
}

func completeKubeProxy(d *appsv1.DaemonSet) {
	labels := map[string]string{"k8s-app": "kube-proxy"}
	if d.Labels == nil {
		d.Labels = map[string]string{}
	}
	maps.Copy(d.Labels, labels)
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	t := &d.Spec.Template
	t.Labels = labels
	t.Spec.HostNetwork = true
	t.Spec.NodeSelector = map[string]string{corev1.LabelOSStable: "linux"}
	t.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
}

// completeCoreDNS has kubeadm's tolerations: DNS waits for a network and for a cloud controller manager.
func completeCoreDNS(d *appsv1.Deployment) {
	labels, replicas := map[string]string{"k8s-app": "kube-dns"}, int32(2)
	d.Labels = labels
	d.Spec.Replicas = &replicas
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	t := &d.Spec.Template
	t.Labels = labels
	t.Spec.NodeSelector = map[string]string{corev1.LabelOSStable: "linux"}
	t.Spec.Tolerations = []corev1.Toleration{
		{Key: "CriticalAddonsOnly", Operator: corev1.TolerationOpExists},
		{Key: controlPlaneLabel, Effect: corev1.TaintEffectNoSchedule},
	}
}

// oldest is the lowest version of nodes' kubelets, which kubeadm changes together with the API server.
func oldest(nodes []corev1.Node) string {
	var lowest *version.Version
	for i := range nodes {
		v, err := version.ParseSemantic(nodes[i].Status.NodeInfo.KubeletVersion)
		if err == nil && (lowest == nil || v.LessThan(lowest)) {
			lowest = v
		}
	}
	if lowest == nil {
		return ""
	}
	return fmt.Sprintf("v%s", lowest)
}
