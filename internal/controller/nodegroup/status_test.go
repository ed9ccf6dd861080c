package nodegroup

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

// A group is compared with what the Cluster says that it carries; nobody renders the cluster again to find out.
func TestAGroupKnowsWhetherItWasAskedFor(t *testing.T) {
	record := &v1alpha1.MagnumNodeGroup{ObjectMeta: metav1.ObjectMeta{Generation: 2}, Spec: v1alpha1.MagnumNodeGroupSpec{
		Name: "gpu_pool", Role: "GPU", StackID: "kube-abc12", NodeCount: 2, Labels: map[string]string{"kube_tag": "v1.34.1"},
		Resolved: v1alpha1.Resolved{ImageID: "8f0c1d0e-6f0a-4f0e-9d4e-3b1f5f0d8a11", FlavorName: "m1.large"},
	}}
	cluster := &v1alpha1.MagnumCluster{ObjectMeta: metav1.ObjectMeta{Name: "7a8f1d0c-52b7-4c1e-9a55-3f3e1a2b4c5d"}, Spec: v1alpha1.MagnumClusterSpec{
		Name: "k8s", StackID: "kube-abc12", Labels: map[string]string{"kube_tag": "v1.34.1"},
	}}
	carries := func(generation int64) *clusterv1.Cluster {
		note, err := json.Marshal(capi.Asked{Groups: map[string]capi.AskedGroup{"gpu_pool": {Record: generation}}})
		if err != nil {
			t.Fatal(err)
		}
		c := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{capi.AskedAnnotation: string(note)}}}
		c.Spec.Topology.Version = "v1.34.1"
		return c
	}
	for name, is := range map[string]struct {
		reason     string
		edit       func(g *v1alpha1.MagnumNodeGroup)
		live       *clusterv1.Cluster
		impossible string
		waits      string
	}{
		"no cluster yet":               {"", nil, nil, "", "waiting for the cluster"},
		"a cluster from before":        {"it says nothing", nil, &clusterv1.Cluster{}, "", "until the cluster is changed"},
		"the cluster carries an older": {"", nil, carries(1), "", "until the cluster is changed"},
		"the cluster carries it":       {"what is missing is told by Cluster API", nil, carries(2), "", "topology controller"},
		"a flavor that is gone": {
			"it fails by itself, and nobody waits for it", func(g *v1alpha1.MagnumNodeGroup) { g.Spec.Resolved.FlavorName, g.Spec.FlavorID = "", "huge" }, carries(1),
			`flavor "huge" is not known`, "",
		},
		"a label that was taken once": {
			"stored when the rules were others", func(g *v1alpha1.MagnumNodeGroup) { g.Spec.NodeLabels = map[string]string{"kubernetes.io/os": "x"} }, nil,
			"set by its kubelet", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := record.DeepCopy()
			if is.edit != nil {
				is.edit(g)
			}
			s := &scope{record: g, cluster: cluster, group: store.NodeGroupOf(g), observed: capi.Observed{Cluster: is.live}}
			s.members = []*magnum.NodeGroup{s.group}
			p := (&Reconciler{}).progress(s)
			if p.Done || !strings.Contains(p.Impossible, is.impossible) || (p.Impossible == "") != (is.impossible == "") || !strings.Contains(p.Reason, is.waits) {
				t.Errorf("%+v, want %q and %q (%s)", p, is.impossible, is.waits, is.reason)
			}
		})
	}
}

// Healing gives a group other machines while nobody asks for anything: what is shown are theirs.
func TestAGroupAtRestShowsItsNodesAddresses(t *testing.T) {
	record := &v1alpha1.MagnumNodeGroup{ObjectMeta: metav1.ObjectMeta{Generation: 1}, Spec: v1alpha1.MagnumNodeGroupSpec{
		Name: magnum.DefaultWorker, Role: magnum.RoleWorker, StackID: "kube-abc12", NodeCount: 1,
	}}
	record.Status = v1alpha1.MagnumNodeGroupStatus{
		ObservedGeneration: 1, Status: string(magnum.CreateComplete), NodeAddresses: []string{"10.0.0.5"},
	}
	healed := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{
		Name: "new", Labels: map[string]string{clusterv1.ClusterTopologyMachineDeploymentNameLabel: magnum.DefaultWorker},
	}}
	healed.Status.Addresses = clusterv1.MachineAddresses{{Type: clusterv1.MachineInternalIP, Address: "10.0.0.9"}}
	s := &scope{
		record: record, before: record.DeepCopy(), group: store.NodeGroupOf(record), cluster: &v1alpha1.MagnumCluster{},
		observed: capi.Observed{Machines: []*clusterv1.Machine{healed}},
	}
	s.cluster.Status.Status = string(magnum.CreateComplete)
	(&Reconciler{Now: time.Now}).observe(s)
	if got := record.Status; len(got.NodeAddresses) != 1 || got.NodeAddresses[0] != "10.0.0.9" || got.Status != string(magnum.CreateComplete) {
		t.Errorf("%s with the addresses %v", got.Status, got.NodeAddresses)
	}
}
