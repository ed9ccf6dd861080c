package nodegroup

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

func TestOtherGroupsLeaveAGroupAtRest(t *testing.T) {
	record := func(name, role string, nodes int) *v1alpha1.MagnumNodeGroup {
		return &v1alpha1.MagnumNodeGroup{Spec: v1alpha1.MagnumNodeGroupSpec{
			Name: name, Role: role, StackID: "kube-abc12", NodeCount: nodes, Labels: map[string]string{"kube_tag": "v1.34.1"},
			IsDefault: role == magnum.RoleMaster || name == magnum.DefaultWorker,
		}}
	}
	masters, workers := record(magnum.DefaultMaster, magnum.RoleMaster, 1), record(magnum.DefaultWorker, magnum.RoleWorker, 2)
	added, resized := record("more", magnum.RoleWorker, 1), record(magnum.DefaultWorker, magnum.RoleWorker, 3)
	gone := record("gone", magnum.RoleWorker, 1)
	cluster := &v1alpha1.MagnumCluster{ObjectMeta: metav1.ObjectMeta{Name: "7a8f1d0c-52b7-4c1e-9a55-3f3e1a2b4c5d"}, Spec: v1alpha1.MagnumClusterSpec{
		Name: "k8s", StackID: "kube-abc12", Labels: map[string]string{"kube_tag": "v1.34.1"}, MasterLBEnabled: true,
		Resolved: v1alpha1.Resolved{ImageID: "8f0c1d0e-6f0a-4f0e-9d4e-3b1f5f0d8a11", ImageOSDistro: "ubuntu", FlavorName: "m1.large", MasterFlavorName: "m1.medium"},
	}}
	words := func(records ...*v1alpha1.MagnumNodeGroup) (out []*magnum.NodeGroup) {
		for _, r := range records {
			out = append(out, store.NodeGroupWords(r))
		}
		return out
	}
	before := words(masters, workers, gone)
	live, err := capi.Cluster(store.ClusterWords(cluster, before), before, capi.Options{Class: "c"})
	if err != nil {
		t.Fatal(err)
	}
	for name, is := range map[string]struct {
		reason  string
		members []*v1alpha1.MagnumNodeGroup
		group   *v1alpha1.MagnumNodeGroup
		asked   bool
	}{
		"nothing happened":             {"", []*v1alpha1.MagnumNodeGroup{masters, workers, gone}, workers, true},
		"another is added":             {"its machines come; these are there", []*v1alpha1.MagnumNodeGroup{masters, workers, gone, added}, workers, true},
		"another is added, to masters": {"", []*v1alpha1.MagnumNodeGroup{masters, workers, gone, added}, masters, true},
		"another goes":                 {"", []*v1alpha1.MagnumNodeGroup{masters, workers}, workers, true},
		"another is resized":           {"", []*v1alpha1.MagnumNodeGroup{masters, resized, gone}, gone, true},
		"it is new itself":             {"the Cluster does not have it yet", []*v1alpha1.MagnumNodeGroup{masters, workers, gone, added}, added, false},
		"it is resized itself":         {"the Cluster has the old count", []*v1alpha1.MagnumNodeGroup{masters, resized, gone}, resized, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := live.DeepCopy()
			s := &scope{record: is.group, cluster: cluster, members: words(is.members...), group: store.NodeGroupWords(is.group), seen: capi.Observed{Cluster: live}}
			if p := (&Reconciler{}).progress(s); p.Asked != is.asked {
				t.Errorf("asked is %v, want %v (%s): %s", p.Asked, is.asked, is.reason, p.Reason)
			}
			if len(before.Spec.Topology.Workers.MachineDeployments) != len(live.Spec.Topology.Workers.MachineDeployments) {
				t.Error("the Cluster, which is the cache's, was changed")
			}
		})
	}
}
