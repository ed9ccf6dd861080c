package health

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

// Looking at a cluster's health costs as much as the cluster is large, so that only what moves it may cause a look.
func TestWhatWakesHealth(t *testing.T) {
	machine := func(node metav1.ConditionStatus, edit func(m *clusterv1.Machine)) *clusterv1.Machine {
		m := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Name: "w-1"}}
		m.Spec.InfrastructureRef.Name = "w-1"
		m.Status.Conditions = []metav1.Condition{{Type: clusterv1.MachineNodeHealthyCondition, Status: node}}
		if edit != nil {
			edit(m)
		}
		return m
	}
	for name, is := range map[string]struct {
		reason        string
		before, after *clusterv1.Machine
		want          bool
	}{
		"its node becomes healthy":  {"", machine("Unknown", nil), machine("True", nil), true},
		"its node is lost":          {"", machine("True", nil), machine("Unknown", nil), true},
		"it is another server":      {"reasons are keyed by it", machine("True", nil), machine("True", func(m *clusterv1.Machine) { m.Spec.InfrastructureRef.Name = "w-2" }), true},
		"its addresses change":      {"", machine("True", nil), machine("True", func(m *clusterv1.Machine) { m.Status.Addresses = clusterv1.MachineAddresses{{Address: "10.0.0.1"}} }), false},
		"not known, and not at all": {"both are unhealthy", machine("Unknown", nil), machine("False", nil), false},
		"it is asked to go":         {"it counts until it is gone", machine("True", nil), machine("True", func(m *clusterv1.Machine) { m.DeletionTimestamp = &metav1.Time{} }), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := healthMoved().Update(event.UpdateEvent{ObjectOld: is.before, ObjectNew: is.after}); got != is.want {
				t.Errorf("a look is caused: %v, want %v (%s)", got, is.want, is.reason)
			}
		})
	}
	if !healthMoved().Create(event.CreateEvent{Object: machine("True", nil)}) || !healthMoved().Delete(event.DeleteEvent{Object: machine("True", nil)}) {
		t.Error("machines that come and go are looked at")
	}
}
