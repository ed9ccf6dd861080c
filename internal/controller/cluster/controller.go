// Package cluster turns a MagnumCluster into a Cluster API Cluster and keeps it so; when the record goes, it takes away
// everything that was made for it. It asks; what became of each node group is reported by package nodegroup, and the
// cluster's state follows from its groups' (status.go).
//
// phases.go is the whole life of a cluster on one screen. A phase that has been done is found done, so the process may
// be killed at any line; nothing is remembered outside the management cluster.
package cluster

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

// Cloud is what a cluster needs of its owner's cloud, asked with the cluster's own application credential.
type Cloud interface {
	ServerGroups
	// DeleteLoadBalancers asks for the end of what the cluster's Services made and names those that are still there.
	DeleteLoadBalancers(ctx context.Context, clusterUUID string) (remaining []string, err error)
	Addresses
	Doctor
	Servers
}

// ServerGroups keep machines of one group on different hosts.
type ServerGroups interface {
	EnsureServerGroup(ctx context.Context, name, policy string) (id string, err error)
	DeleteServerGroup(ctx context.Context, name string) error
	// DeleteServerGroups deletes those of a whole stack.
	DeleteServerGroups(ctx context.Context, stack string) error
}

// Addresses are floating IPs that are known by their descriptions.
type Addresses interface {
	// EnsureFloatingIP makes a floating IP unless there is one with this description.
	EnsureFloatingIP(ctx context.Context, networkID, description string) (address string, err error)
	DeleteFloatingIPs(ctx context.Context, description string) error
	// ServiceAddresses are those that the cluster's Services have, or had.
	ServiceAddresses(ctx context.Context, clusterUUID string) ([]string, error)
}

// Keystone takes a cluster's application credential back, as the service's own user.
type Keystone interface {
	DeleteApplicationCredential(ctx context.Context, userID, name string) error
}

// Notifier is told when a cluster comes to another state.
type Notifier interface {
	Cluster(ctx context.Context, c *magnum.Cluster, s magnum.Status, reason string)
}

// Reconciler makes clusters.
type Reconciler struct {
	Client   client.Client // cached reads
	Reader   client.Reader // never cached: Secrets, and the cluster class
	Class    capi.Class
	Keystone Keystone
	// CloudFor opens the owner's cloud with a clouds.yaml.
	CloudFor    func(ctx context.Context, cloudsYAML []byte) (Cloud, error)
	Recorder    events.EventRecorder
	Now         func() time.Time
	Log         *slog.Logger
	Concurrency int
	// Defaults of magnum.conf's [cinder] section; a size of 0 boots from the flavor's own disk.
	BootVolumeSize  int
	BootVolumeType  string
	ManagementCIDRs []string      // where the management cluster comes from: always let in
	Rand            io.Reader     // for new authorities
	Dial            workload.Dial // to workload clusters; nil: directly
	Notify          Notifier      // nil: nobody listens
	// Addons tells that package addon installs what makes a cluster usable: it is complete when all of it is available.
	Addons bool

	looks looks
	lost  looks // when each cluster's silent machines were last looked for
}

// Setup registers the reconciler and what wakes it: the record, its node groups, its Secrets (their names only) and
// what Cluster API makes of it.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	byStack := handler.EnqueueRequestsFromMapFunc(kube.RecordsOfStack(r.Client, r.Log))
	return ctrl.NewControllerManagedBy(mgr).Named("magnum-cluster").
		For(&v1alpha1.MagnumCluster{}).
		Watches(&v1alpha1.MagnumNodeGroup{}, handler.EnqueueRequestsFromMapFunc(requestByGroup)).
		Watches(&clusterv1.Cluster{}, byStack).
		Watches(&controlplanev1.KubeadmControlPlane{}, byStack).
		Watches(&clusterv1.MachineDeployment{}, byStack).
		WatchesMetadata(&corev1.Secret{}, byStack, builder.WithPredicates(onlyArrivals())).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Concurrency}).
		Complete(r)
}

func requestByGroup(_ context.Context, o client.Object) []reconcile.Request {
	g, ok := o.(*v1alpha1.MagnumNodeGroup)
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: g.Namespace, Name: g.Spec.ClusterID}}}
}

// scope is one round's view of one cluster.
type scope struct {
	record   *v1alpha1.MagnumCluster
	before   *v1alpha1.MagnumCluster // as it was read: what the status patch is made against
	groups   []v1alpha1.MagnumNodeGroup
	words    *magnum.Cluster
	members  []*magnum.NodeGroup // of groups, without those being deleted
	stack    *kube.Stack
	observed capi.Observed     // the same, as capi reads it
	cloud    Cloud             // nil until opened
	closed   error             // why it cannot be opened
	servers  map[string]string // node group name -> server group ID
	address  string            // floating IP of the API, where it is ours
	// Of a deletion: load balancers of Services that are still there, and what could not be cleaned up, and why.
	balancers    int
	refused      string
	rotation     *capi.Rotation // the step that machines are to be of; nil: none is on its way
	rotating     string         // what a rotation waits for
	rotationLeft int            // how much of it is left
	again        time.Duration  // when to look for lost machines again; 0: none is silent
	log          *slog.Logger
}

// Reconcile runs one round.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	s, err := r.read(ctx, req)
	if err != nil || s == nil {
		return ctrl.Result{}, err
	}
	ctx = magnum.WithRequestID(ctx, s.words.OperationRequestID)
	phases := r.reconcilePhases()
	if s.record.DeletionTimestamp != nil {
		phases = r.deletePhases()
	}
	out, err := phase.Run(ctx, phases, s)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: kube.Soon}, nil // the cache was a moment old: look again
	}
	if s.record == nil { // gone: nothing is left that could ail or be told of
		return ctrl.Result{}, err
	}
	look := r.troubles(ctx, s)
	if s.again > 0 && (look == 0 || s.again < look) {
		look = s.again
	}
	after, statusErr := r.report(ctx, s, out, err)
	if look > 0 && (after == 0 || look < after) {
		after = look
	}
	if err == nil {
		err = statusErr
	}
	return ctrl.Result{RequeueAfter: after}, err
}

func (r *Reconciler) read(ctx context.Context, req ctrl.Request) (*scope, error) {
	s := &scope{record: &v1alpha1.MagnumCluster{}, servers: map[string]string{}}
	if err := r.Client.Get(ctx, req.NamespacedName, s.record); err != nil {
		r.looks.forget(req.Name)
		r.lost.forget(req.Name)
		return nil, client.IgnoreNotFound(err)
	}
	s.before = s.record.DeepCopy()
	list := &v1alpha1.MagnumNodeGroupList{}
	err := r.Client.List(ctx, list, client.InNamespace(req.Namespace), client.MatchingFields{kube.IndexCluster: req.Name})
	if err != nil {
		return nil, fmt.Errorf("read node groups of cluster %s: %w", req.Name, err)
	}
	s.groups = list.Items
	s.refresh()
	if s.stack, err = kube.ReadStack(ctx, r.Client, s.record.Spec.StackID, s.record.Name); err != nil {
		return nil, err
	}
	s.observed = capi.Observed{
		Cluster: s.stack.Cluster, ControlPlane: s.stack.ControlPlane, MachineDeployments: s.stack.Deployments, Machines: s.stack.Machines,
	}
	s.log = r.Log.With("cluster", req.Name, "stack", s.record.Spec.StackID, "request_id", s.words.OperationRequestID)
	return s, nil
}

// refresh makes the words anew after groups have changed.
func (s *scope) refresh() {
	s.members = nil
	for i := range s.groups {
		if s.groups[i].DeletionTimestamp == nil {
			s.members = append(s.members, store.NodeGroupOf(&s.groups[i]))
		}
	}
	store.SortNodeGroups(s.members)
	s.words = store.ClusterOf(s.record, s.members)
}

// onlyArrivals wakes the reconciler when a Secret comes, not for each of its changes.
func onlyArrivals() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return true },
		UpdateFunc:  func(event.UpdateEvent) bool { return false },
		DeleteFunc:  func(event.DeleteEvent) bool { return true },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}
