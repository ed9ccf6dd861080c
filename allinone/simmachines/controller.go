package simmachines

import (
	"context"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	infrav1 "sigs.k8s.io/cluster-api/test/infrastructure/docker/api/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
)

// failedReason is the reason of the condition of a machine that never comes. The words are in the message.
const failedReason = "CreateServerFailed"

// reconciler is the webhook and the controller.
type reconciler struct {
	client    client.Client
	scheduler Scheduler

	known    sync.Map // names the scheduler was told of by this process
	admitted sync.Map // names that the webhook of this process saw, until the sweep is long over
}

// Reconcile follows one machine.
func (r *reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	m := &infrav1.DevMachine{}
	err := r.client.Get(ctx, req.NamespacedName, m)
	gone := apierrors.IsNotFound(err)
	if err != nil && !gone {
		return ctrl.Result{}, fmt.Errorf("read the machine: %w", err)
	}
	if gone {
		r.known.Delete(req.Name)
		r.admitted.Delete(req.Name)
		r.scheduler.Release(ctx, req.Name)
		return ctrl.Result{}, nil
	}
	failure, failed := m.Annotations[failureAnnotation]
	if _, told := r.known.LoadOrStore(req.Name, true); !told {
		existing := request(m)
		existing.Existing, existing.Failure = true, failure
		r.scheduler.Schedule(ctx, existing)
	}
	switch {
	case !failed:
		return ctrl.Result{}, nil
	case !m.DeletionTimestamp.IsZero():
		return ctrl.Result{}, r.unpause(ctx, m)
	default:
		return ctrl.Result{}, r.fail(ctx, m, failure)
	}
}

// sweep clears away what a process that was killed left half done. The scheduler forgets machines that were never
// stored, because the end came after the webhook, and those whose end nobody was there to see. A DevMachine without its
// Machine goes: Cluster API makes it first, does not remember it, and would keep it as long as the cluster.
func (r *reconciler) sweep(ctx context.Context, live client.Reader) error {
	believed := r.scheduler.Names(ctx) // before the lists: a machine that comes now is in them, or known to this process
	list, machines := &infrav1.DevMachineList{}, &clusterv1.MachineList{}
	if err := live.List(ctx, list); err != nil {
		return fmt.Errorf("list the machines: %w", err)
	}
	if err := live.List(ctx, machines); err != nil {
		return fmt.Errorf("list Cluster API's machines: %w", err)
	}
	there, wanted := map[string]bool{}, map[string]bool{}
	for i := range machines.Items {
		wanted[machines.Items[i].Spec.InfrastructureRef.Name] = true
	}
	for i := range list.Items {
		m := &list.Items[i]
		there[m.Name] = true
		if wanted[m.Name] || r.admittedNow(m.Name) {
			continue
		}
		if err := r.client.Delete(ctx, m); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete a machine that nobody waits for: %w", err)
		}
		// Without finalizers it is gone at once, and a cache that begins after that never tells of it.
		there[m.Name] = len(m.Finalizers) > 0
	}
	for _, name := range believed {
		if !there[name] && !r.admittedNow(name) {
			r.scheduler.Release(ctx, name)
		}
	}
	return nil
}

// admittedNow tells whether the webhook of this process saw the machine come.
func (r *reconciler) admittedNow(name string) bool {
	_, yes := r.admitted.Load(name)
	return yes
}

// unpause hands a failed machine that is being deleted to the provider, which removes its finalizer.
func (r *reconciler) unpause(ctx context.Context, m *infrav1.DevMachine) error {
	if _, paused := m.Annotations[clusterv1.PausedAnnotation]; !paused {
		return nil
	}
	original := m.DeepCopy()
	delete(m.Annotations, clusterv1.PausedAnnotation)
	if err := r.client.Patch(ctx, m, client.MergeFrom(original)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("let the failed machine be deleted: %w", err)
	}
	return nil
}

func (r *reconciler) fail(ctx context.Context, m *infrav1.DevMachine, failure string) error {
	original := m.DeepCopy()
	for _, c := range []string{infrav1.DevMachineInMemoryVMProvisionedCondition, infrav1.DevMachineReadyCondition} {
		conditions.Set(m, metav1.Condition{Type: c, Status: metav1.ConditionFalse, Reason: failedReason, Message: failure})
	}
	if conditionsEqual(original, m) {
		return nil
	}
	// The lock: conditions are one list, and the provider writes Paused into it.
	patch := client.MergeFromWithOptions(original, client.MergeFromWithOptimisticLock{})
	if err := r.client.Status().Patch(ctx, m, patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("tell why the machine does not come: %w", err)
	}
	return nil
}

func conditionsEqual(a, b *infrav1.DevMachine) bool {
	for _, c := range b.GetConditions() {
		old := conditions.Get(a, c.Type)
		if old == nil || old.Status != c.Status || old.Reason != c.Reason || old.Message != c.Message {
			return false
		}
	}
	return true
}
