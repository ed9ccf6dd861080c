package nodegroup

import (
	"log/slog"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// A group's record stays until its machine sets are gone, and one that nobody else would delete is let go: of the group
// alone.
func TestAGroupGoesAfterItsMachineSets(t *testing.T) {
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	set := func(group string) *clusterv1.MachineSet {
		return &clusterv1.MachineSet{ObjectMeta: metav1.ObjectMeta{
			Namespace: v1alpha1.Namespace, Name: "kube-abcde-" + group + "-x", Finalizers: []string{clusterv1.MachineSetFinalizer},
			DeletionTimestamp: new(metav1.Now()), Labels: map[string]string{
				clusterv1.ClusterNameLabel: "kube-abcde", clusterv1.ClusterTopologyMachineDeploymentNameLabel: group,
				clusterv1.MachineDeploymentNameLabel: "kube-abcde-" + group,
			},
		}}
	}
	record := &v1alpha1.MagnumNodeGroup{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: v1alpha1.Namespace, Name: "1111", Finalizers: []string{v1alpha1.Finalizer}, DeletionTimestamp: new(metav1.Now()),
		},
		Spec: v1alpha1.MagnumNodeGroupSpec{Name: "more", Role: magnum.RoleWorker, StackID: "kube-abcde"},
	}
	own, other := set("more"), set("other")
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(record, own, other).Build()
	r := &Reconciler{Client: api, Reader: api}
	end := func() (again bool) {
		t.Helper()
		s := &scope{record: record, observed: capi.Observed{Cluster: &clusterv1.Cluster{}}, log: slog.New(slog.DiscardHandler)}
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(record), record); err != nil {
			t.Fatal(err)
		}
		s.before = record.DeepCopy()
		result, err := r.end(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		return result.RequeueAfter > 0
	}
	if !end() {
		t.Error("nobody watches machine sets, and nobody looks again")
	}
	for _, s := range []*clusterv1.MachineSet{own, other} {
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(s), s); err != nil {
			t.Fatal(err)
		}
		if _, named := s.Labels[clusterv1.MachineDeploymentNameLabel]; named != (s == other) {
			t.Errorf("%s names its machine deployment: %v", s.Name, named)
		}
	}
	own.Finalizers = nil // Cluster API has deleted its machines
	if err := api.Update(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	if end() {
		t.Error("its machine sets are gone, and it waits")
	}
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(record), record); !apierrors.IsNotFound(err) {
		t.Errorf("the record is still there: %v", err)
	}
}
