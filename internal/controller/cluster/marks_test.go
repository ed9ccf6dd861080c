package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// TestMarksLiveAsLongAsTheirRequest: Cluster API gives a marked machine up whenever the group shrinks, for whatever
// reason.
func TestMarksLiveAsLongAsTheirRequest(t *testing.T) {
	const ours, theirs = capi.DeleteMachineValue, "the autoscaler's"
	for name, is := range map[string]struct {
		reason          string
		remove          []string
		resize, resized int64
		before, want    map[string]string // of machines that are marked
	}{
		"by server id":           {"what Nova shows", []string{"5E1F0000-0000-4000-8000-00000000000A"}, 2, 1, nil, map[string]string{"a": ours}},
		"by node name":           {"what kubectl shows", []string{"node-b"}, 2, 1, nil, map[string]string{"b": ours}},
		"by machine name":        {"what events show", []string{"a", "c"}, 2, 1, nil, map[string]string{"a": ours, "c": ours}},
		"the request is done":    {"another one does not name it", []string{"a"}, 2, 2, map[string]string{"a": ours}, nil},
		"another request":        {"it names another machine", []string{"b"}, 3, 1, map[string]string{"a": ours}, map[string]string{"b": ours}},
		"another, without names": {"it names none", nil, 3, 1, map[string]string{"a": ours}, nil},
		"the autoscaler's":       {"it takes them away itself", nil, 1, 1, map[string]string{"a": theirs}, map[string]string{"a": theirs}},
		"nothing to do":          {"no name is no machine's", []string{""}, 2, 1, nil, nil},
		"another group's":        {"a name counts in its group", []string{"node-master"}, 2, 1, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			scheme, err := kube.NewScheme()
			if err != nil {
				t.Fatal(err)
			}
			cl := fake.NewClientBuilder().WithScheme(scheme).Build()
			r, s := &Reconciler{Client: cl}, &scope{members: []*magnum.NodeGroup{
				{Name: magnum.DefaultWorker, Role: magnum.RoleWorker, IsDefault: true, NodesToRemove: is.remove, Resize: is.resize, Resized: is.resized},
			}}
			for _, name := range []string{"a", "b", "c", "master"} {
				m := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{
					Namespace: v1alpha1.Namespace, Name: name, Labels: map[string]string{clusterv1.ClusterTopologyMachineDeploymentNameLabel: magnum.DefaultWorker},
				}}
				if name == "master" {
					m.Labels = map[string]string{clusterv1.MachineControlPlaneLabel: ""}
				}
				if mark := is.before[name]; mark != "" {
					m.Annotations = map[string]string{capi.DeleteMachineAnnotation: mark}
				}
				m.Spec.ProviderID, m.Status.NodeRef.Name = "openstack:///5e1f0000-0000-4000-8000-00000000000"+name, "node-"+name
				if err := cl.Create(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				s.observed.Machines = append(s.observed.Machines, m)
			}
			if out, err := r.markMachines(t.Context(), s); err != nil || !out.Done() {
				t.Fatal(out, err)
			}
			list := &clusterv1.MachineList{}
			if err := cl.List(t.Context(), list, client.InNamespace(v1alpha1.Namespace)); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, m := range list.Items {
				if mark, is := m.Annotations[capi.DeleteMachineAnnotation]; is {
					got[m.Name] = mark
				}
			}
			want := is.want
			if want == nil {
				want = map[string]string{}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: marks (-want +got):\n%s", is.reason, diff)
			}
		})
	}
}
