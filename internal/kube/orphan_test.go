package kube_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

// Seen with Cluster API 1.14.2: a node group that was deleted a second after it was made left a machine set that nobody
// could delete, and with it the cluster.
func TestMachineSetsWhoseDeploymentIsGone(t *testing.T) {
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	set := func(name, stack, deployment string, deleting bool) *clusterv1.MachineSet {
		s := &clusterv1.MachineSet{ObjectMeta: metav1.ObjectMeta{
			Namespace: "magnum-system", Name: name, Finalizers: []string{clusterv1.MachineSetFinalizer},
			Labels: map[string]string{clusterv1.ClusterNameLabel: stack, clusterv1.MachineDeploymentNameLabel: deployment},
		}}
		if deleting {
			s.DeletionTimestamp = new(metav1.Now())
		}
		return s
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		&clusterv1.MachineDeployment{ObjectMeta: metav1.ObjectMeta{Namespace: "magnum-system", Name: "here"}},
		set("orphan", "kube-abcde", "gone", true), set("child", "kube-abcde", "here", true), set("living", "kube-abcde", "gone", false),
		set("stranger", "kube-other", "gone", true),
	).Build()
	left, err := kube.FreeMachineSets(t.Context(), c, c, client.MatchingLabels{clusterv1.ClusterNameLabel: "kube-abcde"})
	if err != nil || left != 3 {
		t.Fatalf("%d are left, %v", left, err)
	}
	for name, is := range map[string]struct {
		reason string
		named  bool
	}{
		"orphan":   {"its controller fails while it names a deployment that is gone", false},
		"child":    {"its deployment deletes it", true},
		"living":   {"nobody wants it gone, as far as is known", true},
		"stranger": {"it is another cluster's", true},
	} {
		s := &clusterv1.MachineSet{}
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: "magnum-system", Name: name}, s); err != nil {
			t.Fatal(err)
		}
		if _, named := s.Labels[clusterv1.MachineDeploymentNameLabel]; named != is.named {
			t.Errorf("%s names its deployment: %v, because %s", name, named, is.reason)
		}
	}
}
