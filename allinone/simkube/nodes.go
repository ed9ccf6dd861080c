package simkube

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// networkNotReady is what a kubelet says until a network has written its configuration.
const networkNotReady = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"

// uninitialized is the taint with which a kubelet registers that leaves the rest to a cloud controller manager.
const uninitialized = "node.cloudprovider.kubernetes.io/uninitialized"

// providerID is what Cluster API's in-memory provider calls the machine of a node.
func providerID(node string) string { return "in-memory://" + node }

// Registered is a node as a kubelet with --cloud-provider=external registers it: not Ready, tainted, without an
// identity in the cloud and without addresses.
func Registered(node *corev1.Node) {
	node.Spec.ProviderID, node.Status.Addresses = "", nil
	for key, value := range map[string]string{uninitialized: "true", corev1.TaintNodeNotReady: ""} {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffectNoSchedule})
	}
	slices.SortFunc(node.Spec.Taints, func(a, b corev1.Taint) int { return strings.Compare(a.Key, b.Key) })
	for i := range node.Status.Conditions {
		if c := &node.Status.Conditions[i]; c.Type == corev1.NodeReady {
			c.Status, c.Reason, c.Message = corev1.ConditionFalse, "KubeletNotReady", networkNotReady
		}
	}
}

// reconcileNodes lets nodes become what they can be.
func (p *pass) reconcileNodes(ctx context.Context) error {
	if !p.needAddons {
		return nil
	}
	cloudRuns := p.cloudControllerManager()
	for i := range p.nodes {
		node := &p.nodes[i]
		if err := p.network(ctx, node); err != nil {
			return fmt.Errorf("node %s: %w", node.Name, err)
		}
		if err := p.taints(ctx, node, cloudRuns); err != nil {
			return fmt.Errorf("node %s: %w", node.Name, err)
		}
	}
	return nil
}

// network makes a node Ready on which a network's pod runs. It stays Ready when that pod goes: its configuration stays.
// A node that is not Ready for another reason, a fault that somebody made, is left so.
func (p *pass) network(ctx context.Context, node *corev1.Node) error {
	if nodeReady(node) || !p.hasNetwork(node.Name) {
		return nil
	}
	changed := node.DeepCopy()
	ready := nodeCondition(changed, corev1.NodeReady)
	if ready != nil && ready.Message != networkNotReady {
		return nil
	}
	if ready == nil {
		changed.Status.Conditions = append(changed.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeReady})
		ready = nodeCondition(changed, corev1.NodeReady)
	}
	ready.Status, ready.Reason, ready.Message = corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status"
	ready.LastTransitionTime, ready.LastHeartbeatTime = metav1.NewTime(p.now), metav1.NewTime(p.now)
	return p.writeNodeStatus(ctx, node, changed, kubelet)
}

// hasNetwork tells a network by what it is: a DaemonSet in the host's network that mounts the directory of its
// configuration.
func (p *pass) hasNetwork(node string) bool {
	for i := range p.daemonSets {
		if !isNetwork(&p.daemonSets[i]) {
			continue
		}
		for _, pod := range p.owned(p.daemonSets[i].UID) {
			if pod.Spec.NodeName == node && podReady(pod) {
				return true
			}
		}
	}
	return false
}

func isNetwork(d *appsv1.DaemonSet) bool {
	return d.Spec.Template.Spec.HostNetwork && slices.ContainsFunc(d.Spec.Template.Spec.Volumes, func(v corev1.Volume) bool {
		return v.HostPath != nil && path.Clean(v.HostPath.Path) == "/etc/cni/net.d"
	})
}

// cloudControllerManager tells whether one runs, by its program's name.
func (p *pass) cloudControllerManager() bool {
	return slices.ContainsFunc(p.pods, func(pod *corev1.Pod) bool {
		return podReady(pod) && slices.ContainsFunc(pod.Spec.Containers, isCloudControllerManager)
	})
}

func isCloudControllerManager(c corev1.Container) bool {
	for _, word := range append([]string{c.Image}, append(slices.Clone(c.Command), c.Args...)...) {
		for _, w := range strings.Fields(word) {
			if name, _, _ := strings.Cut(path.Base(w), ":"); strings.HasSuffix(name, "cloud-controller-manager") {
				return true
			}
		}
	}
	return false
}

// taints takes away what is no longer so. The cloud controller manager also says which machine a node is, and where.
func (p *pass) taints(ctx context.Context, node *corev1.Node, cloudRuns bool) error {
	changed, who := node.DeepCopy(), manager
	changed.Spec.Taints = slices.DeleteFunc(changed.Spec.Taints, func(t corev1.Taint) bool {
		return t.Key == corev1.TaintNodeNotReady && nodeReady(node) || t.Key == uninitialized && cloudRuns
	})
	if cloudRuns && changed.Spec.ProviderID == "" {
		changed.Spec.ProviderID, who = providerID(node.Name), cloud
		if changed.Labels == nil {
			changed.Labels = map[string]string{}
		}
		maps.Copy(changed.Labels, map[string]string{corev1.LabelTopologyZone: "nova", corev1.LabelTopologyRegion: "RegionOne"})
	}
	if !equality.Semantic.DeepEqual(node, changed) {
		written, err := p.CoreV1().Nodes().Update(ctx, changed, metav1.UpdateOptions{FieldManager: who})
		if err != nil {
			return err
		}
		*node = *written
	}
	if !cloudRuns || len(node.Status.Addresses) > 0 {
		return nil
	}
	changed = node.DeepCopy()
	changed.Status.Addresses = Addresses(node.Name)
	return p.writeNodeStatus(ctx, node, changed, cloud)
}

// Addresses are what a cloud controller manager says of a node's.
func Addresses(node string) []corev1.NodeAddress {
	return []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: addressOf(node)}, {Type: corev1.NodeHostName, Address: node}}
}

func (p *pass) writeNodeStatus(ctx context.Context, node, changed *corev1.Node, who string) error {
	written, err := p.CoreV1().Nodes().UpdateStatus(ctx, changed, metav1.UpdateOptions{FieldManager: who})
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	*node = *written
	return nil
}
