package controller_test

import (
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// nodesOf reads the nodes of a group from the workload cluster itself.
func nodesOf(t *testing.T, c *magnum.Cluster, group string) []corev1.Node {
	t.Helper()
	config := &corev1.Secret{}
	if err := management.Client.Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: c.StackID + "-kubeconfig"}, config); err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(config.Data["value"])
	if err != nil {
		t.Fatal(err)
	}
	set, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	all, err := set.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out []corev1.Node
	for _, n := range all.Items {
		if n.Labels[magnum.NodeGroupLabel] == group {
			out = append(out, n)
		}
	}
	return out
}

func TestNodesAreAsTheirGroup(t *testing.T) {
	w := newWorld(t)
	c := w.create("labels", 1, 1, nil)
	w.await(c.UUID, "creation", complete(magnum.CreateComplete))
	before := machines(t, c.StackID)

	t.Log("nodes that exist get labels and taints, and no machine is replaced")
	w.change(c, magnum.DefaultWorker, func(g *magnum.NodeGroup) {
		g.NodeLabels = map[string]string{"example.com/x": "z", "node.cluster.x-k8s.io/pool": "blue"}
		g.NodeTaints = []magnum.Taint{{Key: "example.com/t", Effect: "NoSchedule"}}
	})
	w.await(c.UUID, "labels", complete(magnum.UpdateComplete))
	check := func(want int, labelled, tainted bool) {
		t.Helper()
		nodes := nodesOf(t, c, magnum.DefaultWorker)
		if len(nodes) != want {
			t.Fatalf("%d nodes, want %d", len(nodes), want)
		}
		for _, n := range nodes {
			taint := false
			for _, x := range n.Spec.Taints {
				taint = taint || x.Key == "example.com/t"
			}
			if (n.Labels["example.com/x"] == "z") != labelled || taint != tainted {
				t.Errorf("node %s has labels %v and taints %v", n.Name, n.Labels, n.Spec.Taints)
			}
		}
	}
	check(1, true, true)

	t.Log("so do nodes that come")
	w.change(c, magnum.DefaultWorker, func(g *magnum.NodeGroup) { g.AskSize(2, nil) })
	w.await(c.UUID, "growing", complete(magnum.UpdateComplete))
	check(2, true, true)

	t.Log("and they are taken away")
	w.change(c, magnum.DefaultWorker, func(g *magnum.NodeGroup) { g.NodeLabels, g.NodeTaints = nil, nil })
	w.await(c.UUID, "removal", complete(magnum.UpdateComplete))
	check(2, false, false)
	after := machines(t, c.StackID)
	for name := range before {
		if _, there := after[name]; !there {
			t.Errorf("machine %s was replaced", name)
		}
	}
	live := liveCluster(t, c.StackID).Spec.Topology.Workers.MachineDeployments[0]
	if _, there := live.Metadata.Labels["node.cluster.x-k8s.io/pool"]; there {
		t.Errorf("Cluster API is still asked for %v", live.Metadata.Labels)
	}
}

func TestTheAutoscalersGroupsHaveASize(t *testing.T) {
	w := newWorld(t)
	c := w.create("auto", 1, 3, func(c *magnum.Cluster) {
		c.Labels["auto_scaling_enabled"], c.Labels["min_node_count"], c.Labels["max_node_count"] = "true", "1", "5"
		c.Resolved.FlavorMemoryMiB, c.Resolved.FlavorVCPUs, c.Resolved.FlavorDiskGiB = 2048, 1, 20
	})
	w.await(c.UUID, "creation", complete(magnum.CreateComplete))
	workers := func() (n int) {
		for _, group := range machines(t, c.StackID) {
			if group == magnum.DefaultWorker {
				n++
			}
		}
		return n
	}
	size := func(n int) {
		t.Helper()
		md := &clusterv1.MachineDeploymentList{}
		if err := management.Client.List(t.Context(), md, client.InNamespace(v1alpha1.Namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: c.StackID}); err != nil {
			t.Fatal(err)
		}
		next := md.Items[0].DeepCopy()
		next.Spec.Replicas = new(int32(n)) //nolint:gosec // small
		if err := management.Client.Patch(t.Context(), next, client.MergeFrom(&md.Items[0])); err != nil {
			t.Fatal(err)
		}
	}
	g := worker(t, w, c.UUID)
	if workers() != 3 || g.NodeCount != 3 || g.MinNodeCount != 1 || g.MaxNodeCount == nil || *g.MaxNodeCount != 5 {
		t.Errorf("%d machines exist; the group shows %d of %d to %v", workers(), g.NodeCount, g.MinNodeCount, g.MaxNodeCount)
	}
	notes := liveCluster(t, c.StackID).Spec.Topology.Workers.MachineDeployments[0].Metadata.Annotations
	for key, want := range map[string]string{
		clusterv1.AutoscalerMinSizeAnnotation: "1", clusterv1.AutoscalerMaxSizeAnnotation: "5",
		"capacity.cluster-autoscaler.kubernetes.io/memory": "2G", "capacity.cluster-autoscaler.kubernetes.io/cpu": "1",
		"capacity.cluster-autoscaler.kubernetes.io/ephemeral-disk": "20Gi",
	} {
		if notes[key] != want {
			t.Errorf("the autoscaler is told %s=%q, want %q", key, notes[key], want)
		}
	}

	t.Log("the autoscaler shrinks the group, and what is shown is what is")
	size(1)
	w.group(c, magnum.DefaultWorker, "the autoscaler's size", func(g *magnum.NodeGroup) bool { return g.NodeCount == 1 && workers() == 1 })

	t.Log("its owner resizes it")
	w.change(c, magnum.DefaultWorker, func(g *magnum.NodeGroup) { g.AskSize(2, nil) })
	w.await(c.UUID, "the resize", func(c *magnum.Cluster) bool { return c.Status == magnum.UpdateComplete && c.NodeCount == 2 })
	if workers() != 2 {
		t.Errorf("%d machines exist, want 2", workers())
	}

	t.Log("a minimum that is raised is brought about: the autoscaler does not")
	w.change(c, magnum.DefaultWorker, func(g *magnum.NodeGroup) { g.MinNodeCount = 3 })
	w.await(c.UUID, "the minimum", func(c *magnum.Cluster) bool { return c.Status == magnum.UpdateComplete && c.NodeCount == 3 })
	if got := liveCluster(t, c.StackID).Spec.Topology.Workers.MachineDeployments[0].Metadata.Annotations[clusterv1.AutoscalerMinSizeAnnotation]; got != strconv.Itoa(3) {
		t.Errorf("the autoscaler is told a minimum of %s", got)
	}
	if capi.AskedOf(liveCluster(t, c.StackID)).Groups[magnum.DefaultWorker].Record == 0 {
		t.Error("nobody can see what was asked for")
	}
}
