// Package certificate makes a new cluster's certificate authorities: Kubernetes, etcd and front proxy, and the key that
// signs service account tokens, which is a key of its own. (The Python driver signs tokens with the admin client's key,
// so that whoever holds one can make the other.) They are Secrets under Cluster API's names; the kubeadm control plane
// takes them over instead of making its own.
//
// A Secret that exists is never touched: a new authority at once would cut off every node and every kubeconfig. Package
// cluster rotates them, step by step.
package certificate

import (
	"context"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

// Reconciler makes authorities.
type Reconciler struct {
	Client client.Client // cached reads of records
	Reader client.Reader // Secrets, never cached
	Now    func() time.Time
	Rand   io.Reader
}

// Setup registers the reconciler. Making an RSA key takes a core for a tenth of a second, so a few at once are enough.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).Named("magnum-certificate").
		For(&v1alpha1.MagnumCluster{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		Complete(r)
}

// Reconcile makes what is missing.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	c := &v1alpha1.MagnumCluster{}
	if err := r.Client.Get(ctx, req.NamespacedName, c); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if c.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	words := store.ClusterOf(c, nil)
	for _, p := range capi.Purposes() {
		if err := r.ensure(ctx, c, words, p); err != nil {
			return ctrl.Result{}, fmt.Errorf("certificates of cluster %s: %w", c.Name, err)
		}
	}
	return ctrl.Result{}, nil
}

// ensure makes the record the owner of what it makes: the cluster may be deleted meanwhile, and its own end looks once
// only.
func (r *Reconciler) ensure(ctx context.Context, record *v1alpha1.MagnumCluster, c *magnum.Cluster, p capi.Purpose) error {
	key := client.ObjectKey{Namespace: v1alpha1.Namespace, Name: capi.KeyPairSecretName(c.StackID, p)}
	err := r.Reader.Get(ctx, key, &corev1.Secret{})
	if !apierrors.IsNotFound(err) {
		return err // whose it is is looked at by package cluster, before anything is made with it
	}
	pair, err := capi.NewKeyPair(r.Rand, r.Now(), c, p)
	if err != nil {
		return err
	}
	secret := capi.KeyPairSecret(c, p, pair)
	secret.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: v1alpha1.GroupVersion().String(), Kind: "MagnumCluster", Name: record.Name, UID: record.UID,
	}}
	if err := r.Client.Create(ctx, secret, kube.FieldOwner); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("store %s: %w", key.Name, err)
	}
	return nil
}
