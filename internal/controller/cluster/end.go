package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
)

// lookAgain is how often a deletion in the cloud is asked after: OpenStack sends no events.
const lookAgain = 2 * time.Second

func (r *Reconciler) dropLoadBalancers(ctx context.Context, s *scope) (phase.Outcome, error) {
	cloud, err := r.open(ctx, s)
	if errors.Is(err, openstack.ErrUnauthorized) {
		s.deadCredential = true
		r.event(s, "CredentialDead", "the application credential no longer works: what the cluster made in the cloud stays there")
		return phase.Done(), nil // nobody can act for the owner any more; the deletion must not hang on it
	}
	if err != nil || cloud == nil {
		return phase.Done(), err // no credential: the cluster never acted in the cloud
	}
	remaining, err := cloud.DeleteLoadBalancers(ctx, s.record.Name)
	if err != nil {
		return phase.Done(), err
	}
	if s.balancers = remaining; remaining > 0 {
		return phase.WaitFor(lookAgain, "waiting until %d load balancers of the cluster's services are gone", remaining), nil
	}
	return phase.Done(), nil
}

// settleWithin bounds how long a deletion waits until Cluster API has made all of a cluster it has only just begun with.
const settleWithin = 30 * time.Second

// dropCluster deletes the Cluster. Cluster API's topology controller must not be in the middle of making a young cluster's
// machine deployments then: what it makes after the Cluster is gone has a finalizer that nobody removes any more.
func (r *Reconciler) dropCluster(ctx context.Context, s *scope) (phase.Outcome, error) {
	c := s.stack.Cluster
	if c == nil {
		var err error
		if c, err = r.liveCluster(ctx, s.record.Spec.StackID); err != nil || c == nil {
			return phase.Done(), err
		}
	}
	age := r.Now().Sub(c.CreationTimestamp.Time)
	if c.DeletionTimestamp == nil && age < settleWithin && !s.seen.Settled() {
		return phase.WaitFor(settleWithin-age, "waiting until Cluster API has made what it has begun with"), nil
	}
	if c.DeletionTimestamp == nil {
		if err := r.Client.Delete(ctx, c); client.IgnoreNotFound(err) != nil {
			return phase.Done(), fmt.Errorf("delete %s: %w", c.Name, err)
		}
	}
	return phase.Wait("waiting until Cluster API has deleted %s", magnum.Count(len(s.stack.Machines), "machine")), nil
}

// liveCluster asks the API server: a cache may not have heard yet of a Cluster that an earlier process made.
func (r *Reconciler) liveCluster(ctx context.Context, name string) (*clusterv1.Cluster, error) {
	c := &clusterv1.Cluster{}
	err := r.Reader.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: name}, c)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read cluster %s: %w", name, err)
	}
	return c, nil
}

func (r *Reconciler) dropGroups(ctx context.Context, s *scope) (phase.Outcome, error) {
	for i := range s.groups {
		if s.groups[i].DeletionTimestamp != nil {
			continue
		}
		if err := r.Client.Delete(ctx, &s.groups[i]); client.IgnoreNotFound(err) != nil {
			return phase.Done(), fmt.Errorf("delete %s: %w", s.groups[i].Spec.Name, err)
		}
	}
	if len(s.groups) > 0 {
		return phase.Wait("waiting until %d node groups are gone", len(s.groups)), nil
	}
	return phase.Done(), nil
}

// dropServerGroups takes away the masters' group; those of workers went with their node groups.
func (r *Reconciler) dropServerGroups(ctx context.Context, s *scope) (phase.Outcome, error) {
	cloud, err := r.open(ctx, s)
	if errors.Is(err, openstack.ErrUnauthorized) {
		return phase.Done(), nil // said by dropLoadBalancers
	}
	if err != nil || cloud == nil {
		return phase.Done(), err
	}
	return phase.Done(), cloud.DeleteServerGroup(ctx, s.record.Spec.StackID)
}

func (r *Reconciler) dropCredential(ctx context.Context, s *scope) (phase.Outcome, error) {
	if s.record.Spec.UserID == "" {
		return phase.Done(), nil
	}
	return phase.Done(), r.Keystone.DeleteApplicationCredential(ctx, s.record.Spec.UserID, s.record.Name)
}

func (r *Reconciler) dropSecrets(ctx context.Context, s *scope) (phase.Outcome, error) {
	stack := s.record.Spec.StackID
	names := []string{capi.CloudConfigSecretName(stack), stack + "-kubeconfig"}
	for _, p := range capi.Purposes() {
		names = append(names, capi.KeyPairSecretName(stack, p))
	}
	for _, name := range names {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: name}}
		if err := r.Client.Delete(ctx, secret); client.IgnoreNotFound(err) != nil {
			return phase.Done(), fmt.Errorf("delete %s: %w", name, err)
		}
	}
	return phase.Done(), nil
}

func (r *Reconciler) dropRecord(ctx context.Context, s *scope) (phase.Outcome, error) {
	base := s.record.DeepCopy()
	if !controllerutil.RemoveFinalizer(s.record, v1alpha1.Finalizer) {
		return phase.Done(), nil
	}
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, s.record, patch, kube.FieldOwner); client.IgnoreNotFound(err) != nil {
		return phase.Done(), fmt.Errorf("release the record: %w", err)
	}
	s.record = nil
	s.log.InfoContext(ctx, "cluster is gone")
	return phase.Done(), nil
}
