// Package nodegroup says what became of a node group, and lets its record go when its machines are gone. It asks
// nothing of Cluster API: package cluster does, for all groups of a cluster in one object.
//
// A group is complete when three things hold at once: the Cluster carries what the record wishes, Cluster API's
// topology controller has worked on just that Cluster, and the group's machines are there, up to date and ready.
package nodegroup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

// Cloud is what a node group leaves behind in its owner's cloud.
type Cloud interface {
	DeleteServerGroup(ctx context.Context, name string) error
}

// Reconciler reports on node groups.
type Reconciler struct {
	Client client.Client // cached reads
	Reader client.Reader // never cached: Secrets, and the last look before a group is called complete
	// CloudFor opens the owner's cloud with a clouds.yaml.
	CloudFor    func(ctx context.Context, cloudsYAML []byte) (Cloud, error)
	Recorder    events.EventRecorder
	Now         func() time.Time
	Log         *slog.Logger
	Concurrency int
	Dial        workload.Dial // opens connections to workload clusters; nil dials as usual
	// Defaults of magnum.conf's [cinder] section, as package cluster has them.
	BootVolumeSize int
	BootVolumeType string
}

// Setup registers the reconciler and what wakes it.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	byStack := handler.EnqueueRequestsFromMapFunc(r.requestsByStack)
	return ctrl.NewControllerManagedBy(mgr).Named("magnum-nodegroup").
		For(&v1alpha1.MagnumNodeGroup{}).
		Watches(&v1alpha1.MagnumCluster{}, handler.EnqueueRequestsFromMapFunc(r.requestsByCluster)).
		Watches(&clusterv1.Cluster{}, byStack).
		Watches(&controlplanev1.KubeadmControlPlane{}, byStack).
		Watches(&clusterv1.MachineDeployment{}, byStack).
		Watches(&clusterv1.Machine{}, byStack).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Concurrency}).
		Complete(r)
}

func (r *Reconciler) groups(ctx context.Context, clusterID string) []v1alpha1.MagnumNodeGroup {
	list := &v1alpha1.MagnumNodeGroupList{}
	err := r.Client.List(ctx, list, client.InNamespace(v1alpha1.Namespace), client.MatchingFields{kube.IndexCluster: clusterID})
	if err != nil {
		r.Log.ErrorContext(ctx, "cannot list the node groups of a cluster", "cluster", clusterID, "error", err)
	}
	return list.Items
}

func (r *Reconciler) requestsByCluster(ctx context.Context, o client.Object) []reconcile.Request {
	var out []reconcile.Request
	groups := r.groups(ctx, o.GetName())
	for i := range groups {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&groups[i])})
	}
	return out
}

// requestsByStack finds the groups that an object of Cluster API may concern: the one it is labelled with, or all. A
// machine concerns one.
func (r *Reconciler) requestsByStack(ctx context.Context, o client.Object) []reconcile.Request {
	stack := o.GetLabels()[clusterv1.ClusterNameLabel]
	if _, ok := o.(*clusterv1.Cluster); ok {
		stack = o.GetName()
	}
	deployment := o.GetLabels()[clusterv1.ClusterTopologyMachineDeploymentNameLabel]
	list := &v1alpha1.MagnumClusterList{}
	err := r.Client.List(ctx, list, client.InNamespace(v1alpha1.Namespace), client.MatchingFields{kube.IndexStack: stack})
	if err != nil || stack == "" {
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		groups := r.groups(ctx, list.Items[i].Name)
		for j := range groups {
			if concerns(o, deployment, store.NodeGroupOf(&groups[j])) {
				out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&groups[j])})
			}
		}
	}
	return out
}

func concerns(o client.Object, deployment string, g *magnum.NodeGroup) bool {
	if _, master := o.GetLabels()[clusterv1.MachineControlPlaneLabel]; master {
		if _, machine := o.(*clusterv1.Machine); machine {
			return g.Role == magnum.RoleMaster
		}
	}
	return deployment == "" || g.DeploymentName() == deployment
}

// scope is one round's view of one group.
type scope struct {
	record, before *v1alpha1.MagnumNodeGroup
	cluster        *v1alpha1.MagnumCluster // nil when it is gone
	members        []*magnum.NodeGroup     // of the cluster, this one among them
	group          *magnum.NodeGroup       // this one
	lastProgress   time.Time               // when a group of the cluster last came nearer to what was asked of it
	unsynced       string                  // what keeps nodes from having the group's labels and taints
	observed       capi.Observed
	log            *slog.Logger
}

// deployment is the name of the group's machine deployment; masters have none.
func (s *scope) deployment() string {
	if s.group.Role == magnum.RoleMaster {
		return ""
	}
	return s.group.DeploymentName()
}

// Reconcile runs one round.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	s, err := r.read(ctx, req)
	if err != nil || s == nil {
		return ctrl.Result{}, err
	}
	if s.record.DeletionTimestamp != nil {
		return r.end(ctx, s)
	}
	if s.cluster == nil || s.cluster.DeletionTimestamp != nil {
		return ctrl.Result{}, nil // the cluster's end takes its groups with it
	}
	s.unsynced = r.syncNodes(ctx, s)
	left := r.observe(s)
	if becameComplete(s) { // do not believe caches of different ages
		if err := r.look(ctx, s); err != nil {
			return ctrl.Result{}, err
		}
		synced := s.record.Status.NodesSynced
		s.record.Status = *s.before.Status.DeepCopy()
		s.record.Status.NodesSynced = synced
		s.unsynced = r.syncNodes(ctx, s)
		left = r.observe(s)
	}
	if s.unsynced != "" && (left == 0 || left > nodesAgain) {
		left = nodesAgain
	}
	return ctrl.Result{RequeueAfter: left}, r.write(ctx, s)
}

func (r *Reconciler) read(ctx context.Context, req ctrl.Request) (*scope, error) {
	s := &scope{record: &v1alpha1.MagnumNodeGroup{}, cluster: &v1alpha1.MagnumCluster{}}
	if err := r.Client.Get(ctx, req.NamespacedName, s.record); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	s.before, s.group = s.record.DeepCopy(), store.NodeGroupOf(s.record)
	id := s.record.Spec.ClusterID
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: req.Namespace, Name: id}, s.cluster)
	if apierrors.IsNotFound(err) {
		s.cluster = nil
	} else if err != nil {
		return nil, fmt.Errorf("read cluster %s: %w", id, err)
	}
	groups := r.groups(ctx, id)
	for i := range groups {
		if groups[i].DeletionTimestamp == nil {
			s.members = append(s.members, store.NodeGroupOf(&groups[i]))
		}
		if at := store.ProgressOf(groups[i].Status.Progress).At; at.After(s.lastProgress) {
			s.lastProgress = at
		}
	}
	store.SortNodeGroups(s.members)
	stack, err := kube.ReadGroup(ctx, r.Client, s.record.Spec.StackID, id, s.deployment())
	if err != nil {
		return nil, err
	}
	s.observed = observed(stack)
	if s.cluster != nil { // package cluster has asked the cloud
		for _, t := range s.cluster.Status.Troubles {
			s.observed.Troubles = append(s.observed.Troubles, capi.Trouble(t))
		}
	}
	s.log = r.Log.With("cluster", id, "stack", s.record.Spec.StackID, "node_group", s.record.Spec.Name,
		"request_id", s.record.Annotations[v1alpha1.AnnotationRequestID])
	return s, nil
}

// becameComplete tells that an operation has just come to its end.
func becameComplete(s *scope) bool {
	return magnum.Status(s.record.Status.Status).Complete() && s.record.Status.Status != s.before.Status.Status
}

// look reads what Cluster API has made of the cluster from the API server itself.
func (r *Reconciler) look(ctx context.Context, s *scope) error {
	stack, err := kube.ReadStackLive(ctx, r.Reader, s.record.Spec.StackID, s.record.Spec.ClusterID)
	if err != nil {
		return err
	}
	s.observed = observed(stack)
	return nil
}

func observed(stack *kube.Stack) capi.Observed {
	return capi.Observed{
		Cluster: stack.Cluster, ControlPlane: stack.ControlPlane, MachineDeployments: stack.Deployments, Machines: stack.Machines,
	}
}

// end lets the record go once no machine of the group is left. A cluster that is gone as a whole has none either.
func (r *Reconciler) end(ctx context.Context, s *scope) (ctrl.Result, error) {
	group := store.NodeGroupOf(s.record)
	machines := s.observed.GroupMachines(group)
	if s.observed.MachineDeployment(group.DeploymentName()) != nil || len(machines) > 0 {
		st := &s.record.Status
		st.Status, st.ObservedGeneration = string(magnum.DeleteInProgress), s.record.Generation
		st.StatusReason = "still to be deleted: " + magnum.Count(len(machines), "machine")
		return ctrl.Result{}, r.write(ctx, s)
	}
	if left, err := r.machineSets(ctx, s, group); err != nil {
		return ctrl.Result{}, err
	} else if left > 0 {
		return ctrl.Result{RequeueAfter: setsAgain}, nil
	}
	if s.record.Spec.Role != magnum.RoleMaster {
		if err := r.dropServerGroup(ctx, s); err != nil {
			return ctrl.Result{}, err
		}
	}
	if !controllerutil.RemoveFinalizer(s.record, v1alpha1.Finalizer) {
		return ctrl.Result{}, nil
	}
	patch := kube.IfUnchanged(s.before)
	err := r.Client.Patch(ctx, s.record, patch, kube.FieldOwner)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: kube.Soon}, nil // the cache was a moment old: look again
	}
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("release node group %s: %w", s.record.Name, err)
	}
	s.log.InfoContext(ctx, "node group is gone")
	return ctrl.Result{}, nil
}

// setsAgain is how often a group that is going looks whether its machine sets are gone: nobody watches them.
const setsAgain = time.Second

// machineSets counts those of a group that are left, and lets those go that nobody else would. Of a cluster that is
// gone there are none.
func (r *Reconciler) machineSets(ctx context.Context, s *scope, group *magnum.NodeGroup) (left int, err error) {
	if s.observed.Cluster == nil || group.Role == magnum.RoleMaster {
		return 0, nil
	}
	return kube.FreeMachineSets(ctx, r.Reader, r.Client, client.MatchingLabels{
		clusterv1.ClusterNameLabel: s.record.Spec.StackID, clusterv1.ClusterTopologyMachineDeploymentNameLabel: group.DeploymentName(),
	})
}

func (r *Reconciler) dropServerGroup(ctx context.Context, s *scope) error {
	secret := &corev1.Secret{}
	name := capi.CloudConfigSecretName(s.record.Spec.StackID)
	err := r.Reader.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return nil // no credential: nothing was made in the cloud
	}
	if err != nil {
		return fmt.Errorf("read secret %s: %w", name, err)
	}
	cloud, err := r.CloudFor(ctx, secret.Data["clouds.yaml"])
	if errors.Is(err, openstack.ErrUnauthorized) {
		return nil // the credential is dead: nobody can act for the owner any more, and the record must not hang on it
	}
	if err != nil {
		return fmt.Errorf("open the owner's cloud: %w", err)
	}
	return cloud.DeleteServerGroup(ctx, capi.ServerGroupName(s.record.Spec.StackID, store.NodeGroupOf(s.record)))
}

func (r *Reconciler) write(ctx context.Context, s *scope) error {
	st := &s.record.Status
	if reflect.DeepEqual(st, &s.before.Status) {
		return nil
	}
	now := metav1.NewTime(r.Now())
	if st.Status != s.before.Status.Status || st.StatusReason != s.before.Status.StatusReason {
		st.UpdatedAt = &now
	}
	if st.Status != s.before.Status.Status {
		s.log.InfoContext(ctx, "node group state changed", "from", s.before.Status.Status, "to", st.Status, "reason", st.StatusReason)
		r.Recorder.Eventf(s.record, nil, corev1.EventTypeNormal, "State", "State", "%s %s", st.Status, st.StatusReason)
	}
	if err := r.Client.Status().Patch(ctx, s.record, client.MergeFrom(s.before), kube.FieldOwner); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write status of node group %s: %w", s.record.Name, err)
	}
	return nil
}
