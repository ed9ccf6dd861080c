// Package addon installs what makes a workload cluster usable and keeps it so: it applies what package addon says into
// the cluster's own API server, takes away what a release no longer has, puts back what a tenant changed of it, and
// reports what is available. It is woken by the management cluster's watches and by one watch for each applied kind in
// each workload cluster; a cluster in which nothing happens costs no request.
//
// What was applied stands in the workload cluster itself (inventory.go), so the process may be killed at any line.
package addon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

// A cluster that does not answer is tried again after a while that doubles from againFirst to againLast.
const (
	againFirst = time.Second
	againLast  = 2 * time.Minute
)

// roundLimit bounds one round. An API server that takes nearly the whole of each request's time would hold a worker for
// an hour; what was applied is known, so the next round goes on from there, in its turn.
const roundLimit = time.Minute

// Cloud is what addons have to know of the owner's cloud, asked with the cluster's own credential.
type Cloud interface {
	HasLoadBalancers() bool
	HasVolumes() bool
	VolumeTypes(ctx context.Context) ([]openstack.VolumeType, error)
	HasShares() bool
	ShareTypes(ctx context.Context) ([]string, error)
}

// Reconciler installs addons.
type Reconciler struct {
	Client    client.Client // cached reads
	Reader    client.Reader // never cached: Secrets
	Catalogue *catalogue.Catalogue
	CloudFor  func(ctx context.Context, cloudsYAML []byte) (Cloud, error)
	// Dial opens connections to workload clusters; nil dials as usual.
	Dial workload.Dial
	// NodeCA are authorities that nodes and addons trust besides the system's: [drivers] openstack_ca_file, PEM.
	NodeCA []byte
	// Insecure: [drivers] verify_ca is false.
	Insecure bool
	// KeystonePolicy is [kubernetes] keystone_auth_default_policy's text; empty: the addon's own.
	KeystonePolicy string
	// AutoscalerRepository is [auto_scaling] image_repository; empty: upstream's.
	AutoscalerRepository string
	Recorder             events.EventRecorder
	Now                  func() time.Time
	Log                  *slog.Logger
	Concurrency          int

	limit    time.Duration // of one round; 0: roundLimit
	pods     bool          // the management cluster runs pods
	sessions *sessions
	woken    chan event.GenericEvent
}

// Setup registers the reconciler and what wakes it.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	r.woken = make(chan event.GenericEvent, 1024)
	r.sessions = newSessions(r.wake)
	byStack := handler.EnqueueRequestsFromMapFunc(kube.RecordsOfStack(r.Client, r.Log))
	if err := mgr.Add(r.sessions); err != nil {
		return err
	}
	var err error
	if r.pods, err = runsPods(mgr.GetRESTMapper()); err != nil {
		return err
	}
	b := ctrl.NewControllerManagedBy(mgr).Named("magnum-addon").
		For(&v1alpha1.MagnumCluster{}, builder.WithPredicates(askedOrGone())).
		Watches(&controlplanev1.KubeadmControlPlane{}, byStack, builder.WithPredicates(initialized())).
		Watches(&clusterv1.MachineDeployment{}, byStack, builder.WithPredicates(anotherVersion())).
		Watches(&clusterv1.Machine{}, byStack, builder.WithPredicates(gone())).
		WatchesRawSource(source.Channel(r.woken, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: r.Concurrency,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](againFirst, againLast),
		})
	if r.pods { // and so there may be autoscalers
		machines := handler.EnqueueRequestsFromMapFunc(r.ofScaled())
		for _, o := range []client.Object{&appsv1.Deployment{}, &rbacv1.Role{}, &rbacv1.RoleBinding{}, &corev1.ServiceAccount{}} {
			b = b.Owns(o, builder.MatchEveryOwner, builder.OnlyMetadata)
		}
		b = b.
			Watches(&clusterv1.Machine{}, machines, builder.WithPredicates(comesOrGoes())).
			Watches(&clusterv1.MachineDeployment{}, machines, builder.WithPredicates(comesOrGoes()))
	}
	return b.Complete(r)
}

// wake asks for a round of one cluster.
func (r *Reconciler) wake(name string) {
	o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: name}}
	select {
	case r.woken <- event.GenericEvent{Object: o}:
	default: // rounds are far behind: the event is not lost, for it is noted in the session, whose next round sees it
		go func() { r.woken <- event.GenericEvent{Object: o} }()
	}
}

// scope is one round's view of one cluster.
type scope struct {
	record   *v1alpha1.MagnumCluster
	before   *v1alpha1.MagnumCluster
	session  *session
	secret   *corev1.Secret // the owner's cloud
	stack    *kube.Stack
	endpoint clusterv1.APIEndpoint
	life     string // of the control plane: it may be made anew, empty, at the same address
	// kubernetes is the version that the cluster is to have, running what its nodes have.
	kubernetes string
	running    catalogue.Running
	cluster    catalogue.Cluster // what releases are made from
	releases   []catalogue.Release
	failed     map[string]string // addon -> why it could not be applied
	waiting    map[string]string // addon -> why it is not available; nil until the round has come to its end
	log        *slog.Logger
}

// phases are a round.
func (r *Reconciler) phases() []phase.Phase[*scope] {
	return []phase.Phase[*scope]{
		{Name: "control plane", Run: r.controlPlane},   // there is an API server that has been initialized
		{Name: "connection", Run: r.connect},           // one for each cluster, kept
		{Name: "addons of the cluster", Run: r.decide}, // a function of record, cloud and catalogue
		{Name: "at home", Run: r.applyAtHome},          // what belongs in the management cluster
		{Name: "inventory", Run: r.announce},           // what will have been applied is written down first
		{Name: "apply", Run: r.apply},                  // what is new, or is not as it was applied
		{Name: "prune", Run: r.prune},                  // what is wanted no longer
		{Name: "watch", Run: r.watch},                  // from now on events tell
		{Name: "availability", Run: r.availability},    // of what was applied
	}
}

// Reconcile runs one round.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	s := &scope{record: &v1alpha1.MagnumCluster{}, failed: map[string]string{}, log: r.Log.With("cluster", req.Name)}
	err := r.Client.Get(ctx, req.NamespacedName, s.record)
	if apierrors.IsNotFound(err) || err == nil && s.record.DeletionTimestamp != nil {
		r.sessions.drop(req.Name)
		if err == nil && r.pods && scaled(s.record) {
			return ctrl.Result{}, r.dismiss(ctx, s.record)
		}
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	s.before = s.record.DeepCopy()
	round, cancel := context.WithTimeout(ctx, cmp.Or(r.limit, roundLimit))
	defer cancel()
	out, err := phase.Run(round, r.phases(), s)
	if statusErr := r.report(ctx, s, out, err); err == nil {
		err = statusErr
	}
	return ctrl.Result{RequeueAfter: out.After}, err
}

// unreachable tells whether an error is of the way to the API server and not of what was asked of it: then there is no
// use in asking for more.
func unreachable(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || apierrors.IsServiceUnavailable(err) ||
		apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsUnauthorized(err)
}

func (r *Reconciler) controlPlane(ctx context.Context, s *scope) (phase.Outcome, error) {
	stack, err := kube.ReadStack(ctx, r.Client, s.record.Spec.StackID, s.record.Name)
	if err != nil {
		return phase.Done(), err
	}
	if stack.Cluster == nil || stack.ControlPlane == nil || !hasInitialized(stack.ControlPlane) {
		return phase.Wait("waiting for the control plane"), nil
	}
	s.life = initializedAt(stack.ControlPlane)
	s.stack = stack
	s.endpoint, s.running, s.kubernetes = stack.Cluster.Spec.ControlPlaneEndpoint, running(stack), kubernetes(s.record, stack)
	return phase.Done(), nil
}

func (r *Reconciler) connect(ctx context.Context, s *scope) (phase.Outcome, error) {
	config := &corev1.Secret{}
	err := r.Reader.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: kube.KubeconfigSecretName(s.record.Spec.StackID)}, config)
	if apierrors.IsNotFound(err) {
		return phase.WaitFor(againFirst, "waiting for the cluster's kubeconfig"), nil
	}
	if err != nil {
		return phase.Done(), err
	}
	s.session, err = r.sessions.open(s.record.Name, s.life, config.Data["value"], r.Dial)
	return phase.Done(), err
}

func hasInitialized(kcp *controlplanev1.KubeadmControlPlane) bool {
	return kcp.Status.Initialization.ControlPlaneInitialized != nil && *kcp.Status.Initialization.ControlPlaneInitialized
}

func initializedAt(kcp *controlplanev1.KubeadmControlPlane) string {
	for _, c := range kcp.Status.Conditions {
		if c.Type == controlplanev1.KubeadmControlPlaneInitializedCondition {
			return c.LastTransitionTime.UTC().String()
		}
	}
	return ""
}

func (r *Reconciler) cloudConfig(ctx context.Context, s *scope) error {
	if s.secret != nil {
		return nil
	}
	secret := &corev1.Secret{}
	name := s.record.Spec.StackID + "-cloud-config"
	if err := r.Reader.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: name}, secret); err != nil {
		return fmt.Errorf("read the cluster's cloud credential: %w", err)
	}
	s.secret = secret
	return nil
}
