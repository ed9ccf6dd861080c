package capi_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// silenced is a settled cluster with healing whose API server does not answer.
func silenced() capi.Observed {
	o := settled()
	o.Cluster.Spec.Topology.ControlPlane.HealthCheck.Enabled = new(true)
	o.Cluster.Status.Initialization.ControlPlaneInitialized = new(true)
	o.Cluster.Status.Conditions = append(o.Cluster.Status.Conditions, cond("RemoteConnectionProbe", "False", "ProbeFailed", ""))
	o.ControlPlane.Status.Initialization.ControlPlaneInitialized = new(true)
	o.ControlPlane.Status.Conditions = append(o.ControlPlane.Status.Conditions, cond("Initialized", "True", "Initialized", ""))
	for _, m := range o.Machines {
		m.Spec.Bootstrap.DataSecretName = new("secret-of-" + m.Name)
	}
	return o
}

// newcomer makes the only master one that has come after the one that was lost.
func newcomer(o *capi.Observed) {
	o.Machines[0].Status.NodeRef, o.Machines[0].Spec.Bootstrap.DataSecretName = clusterv1.MachineNodeReference{}, nil
}

// TestNothingIsGivenUpInDoubt: what makes a control plane lost, and each single thing that speaks against it.
func TestNothingIsGivenUpInDoubt(t *testing.T) {
	answers := func(o *capi.Observed) {
		for i := range o.Cluster.Status.Conditions {
			if o.Cluster.Status.Conditions[i].Type == "RemoteConnectionProbe" {
				o.Cluster.Status.Conditions[i].Status = metav1.ConditionTrue
			}
		}
	}
	for name, is := range map[string]struct {
		reason           string
		change           func(*capi.Observed)
		silent, orphaned bool
	}{
		"its machine is there":    {"the cloud has to be asked for the server", func(*capi.Observed) {}, true, false},
		"its machine is replaced": {"and the new one waits", newcomer, false, true},
		"its API server answers":  {"whatever else is wrong", answers, false, false},
		"a newcomer, and an API server": {"an address that somebody else has", func(o *capi.Observed) {
			newcomer(o)
			answers(o)
		}, false, false},
		"never probed": {"nothing is known", func(o *capi.Observed) {
			o.Cluster.Status.Conditions = o.Cluster.Status.Conditions[:3]
		}, false, false},
		"healing is off": {"the owner decides himself", func(o *capi.Observed) { o.Cluster.Spec.Topology.ControlPlane.HealthCheck.Enabled = new(false) }, false, false},
		"healing is off, and it is gone": {"likewise", func(o *capi.Observed) {
			newcomer(o)
			o.Cluster.Spec.Topology.ControlPlane.HealthCheck.Enabled = nil
		}, false, false},
		"three masters": {"etcd's data may be on another one", func(o *capi.Observed) { o.ControlPlane.Spec.Replicas = new(int32(3)) }, false, false},
		"three masters, all gone": {"somebody may have a snapshot", func(o *capi.Observed) {
			newcomer(o)
			o.ControlPlane.Spec.Replicas = new(int32(3))
		}, false, false},
		"a second machine": {"an upgrade is under way", func(o *capi.Observed) {
			o.Machines = append(o.Machines, aMachine("cp-2", magnum.DefaultMaster))
		}, false, false},
		"a newcomer beside it": {"the first may be what is left", func(o *capi.Observed) {
			second := aMachine("cp-2", magnum.DefaultMaster)
			second.Status.NodeRef = clusterv1.MachineNodeReference{}
			o.Machines = append(o.Machines, second)
		}, false, false},
		"it is being deleted": {"its server goes first", func(o *capi.Observed) { o.Machines[0].DeletionTimestamp = new(metav1.Now()) }, false, false},
		"a newcomer is being deleted": {"another one follows it", func(o *capi.Observed) {
			newcomer(o)
			o.Machines[0].DeletionTimestamp = new(metav1.Now())
		}, false, false},
		"a newcomer with data": {"it may have initialized the control plane already", func(o *capi.Observed) {
			newcomer(o)
			o.Machines[0].Spec.Bootstrap.DataSecretName = new("secret")
		}, false, false},
		"no machine": {"one will come", func(o *capi.Observed) { o.Machines = o.Machines[1:] }, false, false},
		"never initialized": {"it is only being made", func(o *capi.Observed) {
			newcomer(o)
			o.Cluster.Status.Initialization.ControlPlaneInitialized = nil
			o.ControlPlane.Status.Initialization.ControlPlaneInitialized = nil
			o.Cluster.Status.Conditions = o.Cluster.Status.Conditions[3:]
		}, false, false},
		"half forgotten": {"a process was killed between the two writes", func(o *capi.Observed) {
			newcomer(o)
			o.ControlPlane, _ = capi.ForgetControlPlane(o.ControlPlane, o.Cluster)
		}, false, true},
		"forgotten": {"there is nothing left to do", func(o *capi.Observed) {
			newcomer(o)
			o.ControlPlane, o.Cluster = capi.ForgetControlPlane(o.ControlPlane, o.Cluster)
		}, false, false},
		"forgotten, and its machine is there": {"a process was killed before it deleted it", func(o *capi.Observed) {
			o.ControlPlane, o.Cluster = capi.ForgetControlPlane(o.ControlPlane, o.Cluster)
		}, true, false},
		"paused":     {"an operator works on it", func(o *capi.Observed) { o.Cluster.Spec.Paused = new(true) }, false, false},
		"deleted":    {"it goes anyway", func(o *capi.Observed) { o.Cluster.DeletionTimestamp = new(metav1.Now()) }, false, false},
		"no objects": {"a round at the very beginning", func(o *capi.Observed) { *o = capi.Observed{} }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := silenced()
			is.change(&o)
			if got := o.SilentMaster() != nil; got != is.silent {
				t.Errorf("a silent master: %t, want %t: %s", got, is.silent, is.reason)
			}
			if got := o.Orphaned(); got != is.orphaned {
				t.Errorf("orphaned: %t, want %t: %s", got, is.orphaned, is.reason)
			}
		})
	}
}

// TestStrangers are replaced, and nobody else.
func TestStrangers(t *testing.T) {
	lost := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	o := silenced()
	o.Cluster.Annotations = map[string]string{capi.LostAnnotation: lost.Format(time.RFC3339)}
	deleted := cond("NodeHealthy", "False", clusterv1.MachineNodeDeletedReason, "")
	for _, m := range o.Machines {
		m.CreationTimestamp = metav1.NewTime(lost.Add(-time.Hour))
		say(m, deleted)
	}
	names := func() (out string) {
		for _, m := range o.Strangers() {
			out += m.Name + " "
		}
		return out
	}
	if got := names(); got != "w-2 w-1 " {
		t.Errorf("%q, want both workers and not the master", got)
	}
	o.Machines[1].CreationTimestamp = metav1.NewTime(lost.Add(time.Minute))
	if got := names(); got != "w-1 " {
		t.Errorf("%q: the other one has been made since", got)
	}
	say(o.Machines[2], cond("NodeHealthy", "Unknown", clusterv1.MachineNodeConnectionDownReason, ""))
	if got := names(); got != "" {
		t.Errorf("%q: the API server has not said that it does not know it", got)
	}
	say(o.Machines[2], deleted)
	_, o.Cluster = capi.ForgetControlPlane(o.ControlPlane, o.Cluster)
	if got := names(); got != "" {
		t.Errorf("%q: the new control plane is not there yet", got)
	}
	o = silenced()
	say(o.Machines[1], deleted)
	if got := names(); got != "" {
		t.Errorf("%q: nothing was lost, its owner has deleted a node", got)
	}
}

// TestForgetControlPlane: what is read is left as it was, for it may be a cache's.
func TestForgetControlPlane(t *testing.T) {
	o := silenced()
	k, c := capi.ForgetControlPlane(o.ControlPlane, o.Cluster)
	if *k.Status.Initialization.ControlPlaneInitialized || *c.Status.Initialization.ControlPlaneInitialized ||
		!*o.ControlPlane.Status.Initialization.ControlPlaneInitialized || !*o.Cluster.Status.Initialization.ControlPlaneInitialized {
		t.Error("the flags of the copies are to be false, and those of the originals as they were")
	}
	for name, cs := range map[string][]metav1.Condition{
		controlplanev1.KubeadmControlPlaneInitializedCondition: k.Status.Conditions, clusterv1.ClusterControlPlaneInitializedCondition: c.Status.Conditions,
	} {
		for _, x := range cs {
			if x.Type == name && (x.Status != metav1.ConditionFalse || x.LastTransitionTime.IsZero()) {
				t.Errorf("%s is %s since %s", name, x.Status, x.LastTransitionTime)
			}
		}
	}
}
