package simmachines

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	infrav1 "sigs.k8s.io/cluster-api/test/infrastructure/docker/api/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// script answers with one verdict and notes what it was asked.
type script struct {
	verdict  Verdict
	asked    []Request
	released []string
	names    []string
}

func (s *script) Schedule(_ context.Context, r Request) Verdict {
	s.asked = append(s.asked, r)
	return s.verdict
}

func (s *script) Release(_ context.Context, name string) { s.released = append(s.released, name) }

func (s *script) Names(context.Context) []string { return s.names }

func newMachine() *infrav1.DevMachine {
	return &infrav1.DevMachine{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "m", Labels: map[string]string{clusterv1.ClusterNameLabel: "c", clusterv1.MachineControlPlaneLabel: ""},
			Annotations: map[string]string{FlavorAnnotation: "small", ImageAnnotation: "ubuntu"},
		},
		Spec: infrav1.DevMachineSpec{Backend: infrav1.DevMachineBackendSpec{InMemory: &infrav1.InMemoryMachineBackendSpec{}}},
	}
}

func TestAdmit(t *testing.T) {
	dry := true
	cases := map[string]struct {
		reason  string
		verdict Verdict
		dry     *bool
		want    []string // paths of the patch
		asked   bool
	}{
		"comes":   {reason: "a machine that comes at once is left as it is", asked: true},
		"delayed": {reason: "a delay is the provider's start-up duration", verdict: Verdict{Delay: time.Minute}, want: []string{"/spec/backend/inMemory/vm"}, asked: true},
		"refused": {
			reason: "a machine that never comes is paused", verdict: Verdict{Fail: "no"}, asked: true,
			want: []string{"/metadata/annotations/allinone.jeroboam.cloud~1failure", "/metadata/annotations/cluster.x-k8s.io~1paused"},
		},
		"dry run": {reason: "a dry run takes no place in the cloud", verdict: Verdict{Fail: "no"}, dry: &dry},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := &script{verdict: tc.verdict}
			raw, err := json.Marshal(newMachine())
			if err != nil {
				t.Fatal(err)
			}
			res := (&reconciler{scheduler: s}).admit(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
				Object: runtime.RawExtension{Raw: raw}, DryRun: tc.dry,
			}})
			got := map[string]bool{}
			for _, p := range res.Patches {
				got[p.Path] = true
			}
			want := map[string]bool{}
			for _, p := range tc.want {
				want[p] = true
			}
			if diff := cmp.Diff(want, got); diff != "" || !res.Allowed {
				t.Errorf("%s (-want +got):\n%s%+v", tc.reason, diff, res.Result)
			}
			asked := []Request{{Cluster: "c", Name: "m", Flavor: "small", Image: "ubuntu", ControlPlane: true}}
			if !tc.asked {
				asked = nil
			}
			if diff := cmp.Diff(asked, s.asked); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestFailedMachine follows a machine that never comes to its end.
func TestFailedMachine(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := infrav1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	m := newMachine()
	m.Finalizers = []string{infrav1.MachineFinalizer}
	apply(m, Verdict{Fail: "no valid host"})
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(m).WithStatusSubresource(m).Build()
	s := &script{}
	r := &reconciler{client: c, scheduler: s}
	key := client.ObjectKeyFromObject(m)
	step := func() {
		t.Helper()
		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
			t.Fatal(err)
		}
		_ = c.Get(t.Context(), key, m)
	}
	step()
	ready := conditions.Get(m, infrav1.DevMachineReadyCondition)
	if ready == nil || ready.Status != metav1.ConditionFalse || ready.Message != "no valid host" {
		t.Errorf("the Ready condition must say why: %+v", ready)
	}
	version := m.ResourceVersion
	step()
	if m.ResourceVersion != version {
		t.Error("a machine that is told of must not be written again")
	}
	if err := c.Delete(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	step()
	if _, paused := m.Annotations[clusterv1.PausedAnnotation]; paused {
		t.Error("the provider must be let at a machine that is being deleted")
	}
	m.Finalizers = nil
	if err := c.Update(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	step()
	want := []Request{{Cluster: "c", Name: "m", Flavor: "small", Image: "ubuntu", ControlPlane: true, Existing: true, Failure: "no valid host"}}
	if diff := cmp.Diff(want, s.asked); diff != "" {
		t.Errorf("a machine of an earlier process is told of once (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"m"}, s.released); diff != "" {
		t.Errorf("released (-want +got):\n%s", diff)
	}
}

// A process that was killed leaves the scheduler with machines that are no more, or never were.
func TestSweep(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := infrav1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := clusterv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	named := func(name string) *infrav1.DevMachine {
		m := newMachine()
		m.Name = name
		return m
	}
	machine := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "m"}}
	machine.Spec.InfrastructureRef.Name = "m"
	s := &script{names: []string{"m", "half-done", "coming", "never-stored", "just-admitted"}}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(machine, named("m"), named("half-done"), named("coming")).Build()
	r := &reconciler{client: c, scheduler: s}
	r.admitted.Store("just-admitted", true)
	r.admitted.Store("coming", true)
	if err := r.sweep(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	// The half-done one has no finalizer: it is gone before a cache could tell of it.
	if want := []string{"half-done", "never-stored"}; !cmp.Equal(want, s.released) {
		t.Errorf("released %v, want %v", s.released, want)
	}
	list := &infrav1.DevMachineList{}
	if err := c.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	var left []string
	for i := range list.Items {
		left = append(left, list.Items[i].Name)
	}
	if want := []string{"coming", "m"}; !cmp.Equal(want, left) {
		t.Errorf("DevMachines are %v, want %v: the half-done one goes", left, want)
	}
}
