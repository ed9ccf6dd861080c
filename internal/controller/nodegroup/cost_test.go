package nodegroup

import (
	"encoding/json"
	"fmt"
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

// What a look at one group costs does not grow with the cluster's other groups, as it would if the cluster were
// rendered to compare with it: issue "Right answers", row 34, found it rendered and validated in each round of each
// group. Allocations are counted, not time.
func TestALookAtAGroupRendersNothing(t *testing.T) {
	cost := func(groups int) (look, render float64) {
		s := restingGroup(t, groups)
		r := &Reconciler{Now: time.Now}
		look = testing.AllocsPerRun(20, func() { r.observe(s) })
		if !strings.Contains(s.record.Status.StatusReason, "topology controller") { // nothing of ours is missing
			t.Fatalf("the group is %s %s, and was to be compared", s.record.Status.Status, s.record.Status.StatusReason)
		}
		render = testing.AllocsPerRun(20, func() {
			if w, err := capi.Cluster(store.ClusterOf(s.cluster, nil), s.members, capi.Options{Class: "magnum-v1"}); err != nil || len(w.Faults) > 0 {
				t.Fatalf("cannot be rendered: %v %v", err, w.Faults)
			}
		})
		return look, render
	}
	few, renderFew := cost(2)
	many, renderMany := cost(100)
	t.Logf("a look: %v allocations beside one group, %v beside 99; rendering: %v and %v", few, many, renderFew, renderMany)
	if many > few+2 {
		t.Errorf("a look allocates %v times beside one group and %v beside 99: is something rendered?", few, many)
	}
	if renderFew <= few || renderMany < 20*renderFew/2 {
		t.Errorf("rendering allocates %v and %v times: this test would not see it", renderFew, renderMany)
	}
}

// restingGroup is one group of a cluster with so many, which the Cluster carries as it was asked for.
func restingGroup(t *testing.T, groups int) *scope {
	t.Helper()
	labels := map[string]string{"kube_tag": "v1.34.1"}
	cluster := &v1alpha1.MagnumCluster{ObjectMeta: metav1.ObjectMeta{Name: "7a8f1d0c-52b7-4c1e-9a55-3f3e1a2b4c5d"}, Spec: v1alpha1.MagnumClusterSpec{
		Name: "k8s", StackID: "kube-abc12", Labels: labels, Resolved: v1alpha1.Resolved{ImageOSDistro: "ubuntu"},
	}}
	cluster.Status.Status = string(magnum.UpdateInProgress)
	s := &scope{cluster: cluster}
	for i := range groups {
		record := &v1alpha1.MagnumNodeGroup{ObjectMeta: metav1.ObjectMeta{Generation: 2}, Spec: v1alpha1.MagnumNodeGroupSpec{
			Name: fmt.Sprintf("group-%d", i), Role: magnum.RoleWorker, StackID: "kube-abc12", NodeCount: 2, Labels: labels,
			Resolved: v1alpha1.Resolved{ImageID: "8f0c1d0e-6f0a-4f0e-9d4e-3b1f5f0d8a11", FlavorName: "m1.large"},
		}}
		if i == 0 {
			record.Spec.Name, record.Spec.Role, record.Spec.NodeCount = magnum.DefaultMaster, magnum.RoleMaster, 1
		}
		s.record, s.group = record, store.NodeGroupOf(record)
		s.members = append(s.members, s.group)
	}
	note, err := json.Marshal(capi.Asked{Groups: map[string]capi.AskedGroup{s.group.Name: {Record: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	live := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{capi.AskedAnnotation: string(note)}}}
	live.Spec.Topology.Version = "v1.34.1"
	s.observed = capi.Observed{Cluster: live}
	s.before = s.record.DeepCopy()
	return s
}
