package inmemory

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/annotations"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "sigs.k8s.io/cluster-api/test/infrastructure/docker/api/v1beta2"
	cloudv1 "sigs.k8s.io/cluster-api/test/infrastructure/inmemory/pkg/cloud/api/v1alpha1"
)

// machine is a simulated machine that was up when the last process ended.
type machine struct {
	cluster      string // as the mux calls it
	name         string
	controlPlane bool
}

// Restore brings back what must be there before any controller runs, from the management cluster's objects: the port of
// every cluster, its resource group and listener, and its etcd members.
//
// What is in the clusters was kept, so that members are there unless an older version made them, which kept nothing.
// Then they are made here, and not by the provider's reconciler, because that one reads the members there are and then
// adds one; for three machines at once after a restart, each would found an etcd cluster of its own.
//
// The rest comes when the DevMachines are reconciled. Until Restored says so, nobody else may look: a health check that
// finds an API server without a machine's node has the machine replaced.
func (i *Infrastructure) Restore(ctx context.Context, c client.Reader) error {
	clusters := &infrav1.DevClusterList{}
	if err := c.List(ctx, clusters); err != nil {
		return fmt.Errorf("list the simulated clusters: %w", err)
	}
	machines := &infrav1.DevMachineList{}
	if err := c.List(ctx, machines); err != nil {
		return fmt.Errorf("list the simulated machines: %w", err)
	}
	paused, err := pausedClusters(ctx, c)
	if err != nil {
		return err
	}
	if err := i.sweep(ctx, clusters.Items); err != nil {
		return err
	}
	for n := range clusters.Items {
		if err := i.restoreCluster(&clusters.Items[n]); err != nil {
			return err
		}
	}
	// The oldest first: it leads.
	slices.SortFunc(machines.Items, func(a, b infrav1.DevMachine) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	for n := range machines.Items {
		m := &machines.Items[n]
		key := types.NamespacedName{Namespace: m.Namespace, Name: m.Labels[clusterv1.ClusterNameLabel]}
		if err := i.restoreMachine(ctx, m, key.String(), paused[key]); err != nil {
			return fmt.Errorf("restore machine %s: %w", m.Name, err)
		}
	}
	return nil
}

// sweep drops what is left of clusters that are gone: their end was cut short.
func (i *Infrastructure) sweep(ctx context.Context, clusters []infrav1.DevCluster) error {
	left, err := i.server.Clusters(ctx)
	if err != nil {
		return err
	}
	for n := range clusters {
		left = slices.DeleteFunc(left, func(name string) bool { return name == clusterName(&clusters[n]) })
	}
	for _, name := range left {
		if err := i.server.Drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// clusterName is what the mux calls the cluster of a DevCluster; empty if it has none yet.
func clusterName(c *infrav1.DevCluster) string {
	for _, owner := range c.OwnerReferences {
		if owner.Kind == "Cluster" {
			return c.Namespace + "/" + owner.Name
		}
	}
	return ""
}

func pausedClusters(ctx context.Context, c client.Reader) (map[types.NamespacedName]bool, error) {
	list := &clusterv1.ClusterList{}
	if err := c.List(ctx, list); err != nil {
		return nil, fmt.Errorf("list the clusters: %w", err)
	}
	paused := map[types.NamespacedName]bool{}
	for _, cluster := range list.Items {
		paused[client.ObjectKeyFromObject(&cluster)] = cluster.Spec.Paused != nil && *cluster.Spec.Paused
	}
	return paused, nil
}

func (i *Infrastructure) restoreCluster(c *infrav1.DevCluster) error {
	port := c.Spec.ControlPlaneEndpoint.Port
	if c.Spec.Backend.InMemory == nil || port == 0 {
		return nil
	}
	i.Ports.Reserve(port)
	name := clusterName(c)
	if name == "" {
		return nil
	}
	i.Manager.AddResourceGroup(name)
	if _, err := i.Mux.InitWorkloadClusterListener(name, port); err != nil {
		return fmt.Errorf("restore the port of cluster %s: %w", name, err)
	}
	if err := i.Mux.RegisterResourceGroup(name, name); err != nil {
		return fmt.Errorf("restore the resources of cluster %s: %w", name, err)
	}
	return nil
}

func (i *Infrastructure) restoreMachine(ctx context.Context, m *infrav1.DevMachine, cluster string, paused bool) error {
	up := conditions.IsTrue(m, infrav1.DevMachineInMemoryNodeProvisionedCondition)
	if m.Spec.Backend.InMemory == nil || !m.DeletionTimestamp.IsZero() || !up {
		return nil
	}
	_, controlPlane := m.Labels[clusterv1.MachineControlPlaneLabel]
	if controlPlane && conditions.IsTrue(m, infrav1.DevMachineInMemoryEtcdProvisionedCondition) {
		if err := i.addEtcdMember(ctx, cluster, m.Name); err != nil {
			return err
		}
	}
	// The provider leaves paused machines alone.
	if !paused && !annotations.HasPaused(m) {
		i.restored = append(i.restored, machine{cluster, m.Name, controlPlane && conditions.IsTrue(m, infrav1.DevMachineInMemoryAPIServerProvisionedCondition)})
	}
	return nil
}

func (i *Infrastructure) addEtcdMember(ctx context.Context, cluster, machine string) error {
	c := i.Manager.GetResourceGroup(cluster).GetClient()
	labels := map[string]string{"component": "etcd", "tier": "control-plane"}
	members := &corev1.PodList{}
	if err := c.List(ctx, members, client.InNamespace(metav1.NamespaceSystem), client.MatchingLabels(labels)); err != nil {
		return fmt.Errorf("list the etcd members: %w", err)
	}
	if slices.ContainsFunc(members.Items, func(p corev1.Pod) bool { return p.Name == "etcd-"+machine }) {
		return nil
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "etcd-" + machine, Labels: labels, Annotations: map[string]string{
			cloudv1.EtcdClusterIDAnnotationName: "1",
			cloudv1.EtcdMemberIDAnnotationName:  strconv.Itoa(len(members.Items) + 1),
		}},
		Spec: corev1.PodSpec{NodeName: machine},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
	if len(members.Items) == 0 {
		pod.Annotations[cloudv1.EtcdLeaderFromAnnotationName] = time.Now().Format(time.RFC3339)
	}
	if err := c.Create(ctx, pod); err != nil {
		return fmt.Errorf("add an etcd member: %w", err)
	}
	return nil
}

// Restored says how many of the machines that were up are not yet up again.
func (i *Infrastructure) Restored(ctx context.Context) (missing int) {
	for _, m := range i.restored {
		node := &corev1.Node{}
		err := i.Manager.GetResourceGroup(m.cluster).GetClient().Get(ctx, types.NamespacedName{Name: m.name}, node)
		if err != nil || m.controlPlane && !i.Mux.HasAPIServer(m.cluster, "kube-apiserver-"+m.name) {
			missing++
		}
	}
	return missing
}
