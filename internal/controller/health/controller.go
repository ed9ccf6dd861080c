// Package health keeps health_status and health_status_reason of running clusters in step with their machines. It moves
// when a machine or the control plane changes, never by the clock.
//
// A cluster whose labels say that magnum-auto-healer looks after it is left alone: that program reports through the API
// (Magnum 1.14: auto_healing_enabled together with auto_healing_controller=magnum-auto-healer).
package health

import (
	"context"
	"fmt"
	"log/slog"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// Reconciler reports health.
type Reconciler struct {
	Client      client.Client // cached reads
	Recorder    events.EventRecorder
	Log         *slog.Logger
	Concurrency int
}

// Setup registers the reconciler and what wakes it.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	byStack := handler.EnqueueRequestsFromMapFunc(kube.RecordsOfStack(r.Client, r.Log))
	return ctrl.NewControllerManagedBy(mgr).Named("magnum-health").
		For(&v1alpha1.MagnumCluster{}).
		Watches(&controlplanev1.KubeadmControlPlane{}, byStack).
		Watches(&clusterv1.Machine{}, byStack, builder.WithPredicates(healthMoved())).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Concurrency}).
		Complete(r)
}

// healthMoved lets those changes of machines pass that a cluster's health follows from. A machine changes a dozen times
// until it is ready, and each look reads all machines of its cluster: without this, the cost of an event would grow
// with the cluster.
func healthMoved() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*clusterv1.Machine)
		after, same := e.ObjectNew.(*clusterv1.Machine)
		if !ok || !same {
			return true
		}
		keyBefore, healthyBefore := capi.MachineHealth(before)
		keyAfter, healthyAfter := capi.MachineHealth(after)
		return keyBefore != keyAfter || healthyBefore != healthyAfter
	}}
}

// Reconcile looks once.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	c := &v1alpha1.MagnumCluster{}
	if err := r.Client.Get(ctx, req.NamespacedName, c); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	known := c.DeletionTimestamp == nil && magnum.KnowsHealth(magnum.Status(c.Status.Status))
	if !known || c.Status.APIAddress == "" || reportsItself(c.Spec.Labels) {
		return ctrl.Result{}, nil
	}
	stack, err := kube.ReadStack(ctx, r.Client, c.Spec.StackID, c.Name)
	if err != nil || stack.ControlPlane == nil {
		return ctrl.Result{}, err
	}
	health, reason := capi.Observed{ControlPlane: stack.ControlPlane, Machines: stack.Machines}.Health()
	if string(health) == c.Status.Health && maps.Equal(reason, c.Status.HealthReason) {
		return ctrl.Result{}, nil
	}
	base := c.DeepCopy()
	if string(health) != c.Status.Health {
		r.Log.InfoContext(ctx, "cluster health changed", "cluster", c.Name, "stack", c.Spec.StackID,
			"from", c.Status.Health, "to", health)
		r.Recorder.Eventf(c, nil, corev1.EventTypeNormal, "Health", "Health", "%s", health)
	}
	c.Status.Health, c.Status.HealthReason = string(health), reason
	if err := r.Client.Status().Patch(ctx, c, client.MergeFrom(base), kube.FieldOwner); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("write health of cluster %s: %w", c.Name, err)
	}
	return ctrl.Result{}, nil
}

func reportsItself(labels map[string]string) bool {
	return labels["auto_healing_controller"] == "magnum-auto-healer" && labels["auto_healing_enabled"] != "false" &&
		labels["auto_healing_enabled"] != "False"
}
