package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

// lookAgain is how often a deletion in the cloud is asked after: OpenStack sends no events.
const lookAgain = 2 * time.Second

// letGoAfter is how long a clean-up in the cloud may be refused, or not come to its end, before the deletion continues
// without it. What it leaves belongs to the owner's project, where they see it; a cluster that cannot be deleted helps
// nobody.
const letGoAfter = 10 * time.Minute

// errorAgain is how often a clean-up that was refused is tried again.
const errorAgain = 10 * time.Second

// bounded runs a clean-up that a deletion must not hang on. clean says what is still there.
func (r *Reconciler) bounded(ctx context.Context, s *scope, what string, clean func() (left []string, err error)) (phase.Outcome, error) {
	if _, gone := s.record.Status.LeftBehind[what]; gone {
		return phase.Done(), nil
	}
	left, err := clean()
	if err == nil && len(left) == 0 {
		return phase.Done(), nil
	}
	text := strings.Join(left, ", ")
	if err != nil {
		text = strings.TrimPrefix(text+": "+sentence(err), ": ")
	}
	since := s.record.DeletionTimestamp.Time
	if p := s.record.Status.Progress; p != nil && p.At.After(since) {
		since = p.At.Time
	}
	if rest := letGoAfter - r.Now().Sub(since); rest > 0 {
		if err != nil {
			s.refused = what + ": " + text
			return phase.WaitFor(min(errorAgain, rest), "%s: %s", what, text), nil //nolint:nilerr // it is told, and tried again
		}
		return phase.WaitFor(lookAgain, "waiting until %s are gone: %s", what, text), nil
	}
	s.leave(what, text)
	r.warn(s, "LeftBehind", "the deletion continues without %s: %s", what, text)
	s.log.WarnContext(ctx, "a deletion leaves something behind in the cloud", "what", what, "left", text)
	return phase.Done(), nil
}

// ofTheCloud is what a deletion leaves behind as long as nobody can act for the owner.
const ofTheCloud = "what the cluster made in the cloud"

func (r *Reconciler) dropLoadBalancers(ctx context.Context, s *scope) (phase.Outcome, error) {
	cloud, err := r.open(ctx, s)
	if errors.Is(err, openstack.ErrUnauthorized) {
		if _, told := s.record.Status.LeftBehind[ofTheCloud]; !told {
			s.leave(ofTheCloud, "the application credential no longer works")
			r.warn(s, "CredentialDead", "the application credential no longer works: what the cluster made in the cloud stays there, unless the "+
				"cluster gets a new one with PATCH /v1/credentials/%s", s.record.Name)
		}
		return phase.Done(), nil // nobody can act for the owner any more; the deletion must not hang on it
	}
	if cloud != nil {
		delete(s.record.Status.LeftBehind, ofTheCloud)
	}
	if err == nil && cloud == nil {
		return phase.Done(), nil // no credential: the cluster never acted in the cloud
	}
	out, err := r.bounded(ctx, s, "load balancers", func() ([]string, error) {
		if err != nil {
			return nil, err
		}
		left, err := cloud.DeleteLoadBalancers(ctx, s.record.Name)
		s.balancers = len(left)
		return left, err
	})
	if err == nil && out.Done() && cloud != nil {
		r.tellAddresses(ctx, s, cloud)
	}
	return out, err
}

// tellAddresses says once which addresses of Services stay: those whose load balancers somebody else has deleted, and
// those that the owner keeps (loadbalancer.openstack.org/keep-floatingip). Which is which stood in the Services only.
func (r *Reconciler) tellAddresses(ctx context.Context, s *scope, cloud Cloud) {
	const what = "floating addresses of services"
	if _, told := s.record.Status.LeftBehind[what]; told {
		return
	}
	left, err := cloud.ServiceAddresses(ctx, s.record.Name)
	if err != nil { // asked again in the next round
		s.log.WarnContext(ctx, "cannot find out which addresses a deletion leaves in the project", "error", err)
	}
	if err != nil || len(left) == 0 {
		return
	}
	text := strings.Join(left, ", ")
	s.leave(what, text)
	r.warn(s, "AddressesLeft", "floating addresses of services stay in the project, because they have no load balancer any more and may be kept on "+
		"purpose (keep-floatingip): %s. Delete those that nobody needs", text)
	s.log.WarnContext(ctx, "a deletion leaves something behind in the cloud", "what", what, "left", text)
}

// leave notes what a deletion goes on without.
func (s *scope) leave(what, text string) {
	if s.record.Status.LeftBehind == nil {
		s.record.Status.LeftBehind = map[string]string{}
	}
	s.record.Status.LeftBehind[what] = text
}

// credentialAgain is how often a deletion that waits for Cluster API looks whether the cluster's credential still
// works: Keystone sends no events, and Cluster API's OpenStack provider says nothing of a login that fails.
const credentialAgain = 30 * time.Second

// settleWithin bounds how long a deletion waits until Cluster API has made all of a cluster it has only just begun
// with.
const settleWithin = 30 * time.Second

// dropCluster deletes the Cluster. Cluster API's topology controller must not be in the middle of making a young
// cluster's machine deployments then: what it makes after the Cluster is gone has a finalizer that nobody removes any
// more.
func (r *Reconciler) dropCluster(ctx context.Context, s *scope) (phase.Outcome, error) {
	c := s.stack.Cluster
	if s.stack.Foreign {
		return phase.Done(), nil
	}
	if c == nil {
		var err error
		if c, err = r.liveCluster(ctx, s.record.Spec.StackID, s.record.Name); err != nil || c == nil {
			return phase.Done(), err
		}
	}
	age := r.Now().Sub(c.CreationTimestamp.Time)
	if c.DeletionTimestamp == nil && age < settleWithin && !s.observed.Settled() {
		return phase.WaitFor(settleWithin-age, "waiting until Cluster API has finished what it has begun to create"), nil
	}
	if c.DeletionTimestamp == nil {
		if err := r.Client.Delete(ctx, c); client.IgnoreNotFound(err) != nil {
			return phase.Done(), fmt.Errorf("delete %s: %w", c.Name, err)
		}
	}
	if _, err := kube.FreeMachineSets(ctx, r.Reader, r.Client, client.MatchingLabels{clusterv1.ClusterNameLabel: c.Name}); err != nil {
		return phase.Done(), err
	}
	left := "the cluster's network"
	if n := len(s.stack.Machines); n > 0 {
		left = magnum.Count(n, "machine")
	}
	return phase.WaitFor(credentialAgain, "waiting until Cluster API has deleted %s", left), nil
}

// liveCluster asks the API server: a cache may not have heard yet of a Cluster that an earlier process made.
func (r *Reconciler) liveCluster(ctx context.Context, name, uuid string) (*clusterv1.Cluster, error) {
	c := &clusterv1.Cluster{}
	err := r.Reader.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: name}, c)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read cluster %s: %w", name, err)
	}
	if !kube.Belongs(c, uuid) {
		return nil, nil // somebody else's
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
		return phase.Wait("waiting for the end of %s", magnum.Count(len(s.groups), "node group")), nil
	}
	return phase.Done(), nil
}

// dropServerGroups takes away the masters' group, and those of workers that did not go with their node groups.
func (r *Reconciler) dropServerGroups(ctx context.Context, s *scope) (phase.Outcome, error) {
	cloud, err := r.open(ctx, s)
	if errors.Is(err, openstack.ErrUnauthorized) || err == nil && cloud == nil {
		return phase.Done(), nil // the former was said by dropLoadBalancers
	}
	return r.bounded(ctx, s, "server groups", func() ([]string, error) {
		if err != nil {
			return nil, err
		}
		return nil, cloud.DeleteServerGroups(ctx, s.record.Spec.StackID)
	})
}

func (r *Reconciler) dropCredential(ctx context.Context, s *scope) (phase.Outcome, error) {
	if s.record.Spec.UserID == "" {
		return phase.Done(), nil
	}
	return r.bounded(ctx, s, "application credential", func() ([]string, error) {
		return nil, r.Keystone.DeleteApplicationCredential(ctx, s.record.Spec.UserID, s.record.Name)
	})
}

func (r *Reconciler) dropSecrets(ctx context.Context, s *scope) (phase.Outcome, error) {
	stack := s.record.Spec.StackID
	names := []string{capi.CloudConfigSecretName(stack), kube.KubeconfigSecretName(stack), rotationSecretName(stack)}
	for _, p := range capi.Purposes() {
		names = append(names, capi.KeyPairSecretName(stack, p))
	}
	for _, name := range names {
		secret, err := r.secret(ctx, name)
		if err != nil {
			return phase.Done(), err
		}
		if secret == nil || !s.owns(secret) {
			continue
		}
		if err := r.Client.Delete(ctx, secret); client.IgnoreNotFound(err) != nil {
			return phase.Done(), fmt.Errorf("delete %s: %w", name, err)
		}
	}
	return phase.Done(), nil
}

// owns tells whether a Secret with a name of the cluster's is the cluster's. Those that the Python driver and Cluster
// API make do not say so; they are, if the Cluster was.
func (s *scope) owns(secret *corev1.Secret) bool {
	if whose, said := secret.Labels[v1alpha1.LabelClusterUUID]; said {
		return whose == s.record.Name
	}
	return !s.stack.Foreign && s.record.Status.APIAddress != ""
}

func (r *Reconciler) dropName(ctx context.Context, s *scope) (phase.Outcome, error) {
	name := &coordinationv1.Lease{}
	err := r.Reader.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: store.StackReservation(s.record.Spec.StackID)}, name)
	if err != nil || !kube.Belongs(name, s.record.Name) {
		return phase.Done(), client.IgnoreNotFound(err)
	}
	return phase.Done(), client.IgnoreNotFound(r.Client.Delete(ctx, name))
}

func (r *Reconciler) dropRecord(ctx context.Context, s *scope) (phase.Outcome, error) {
	base := s.record.DeepCopy()
	if !controllerutil.RemoveFinalizer(s.record, v1alpha1.Finalizer) {
		return phase.Done(), nil
	}
	patch := kube.IfUnchanged(base)
	if err := r.Client.Patch(ctx, s.record, patch, kube.FieldOwner); client.IgnoreNotFound(err) != nil {
		return phase.Done(), fmt.Errorf("release the record: %w", err)
	}
	s.record = nil
	s.log.InfoContext(ctx, "cluster is gone")
	if r.Notify != nil {
		r.Notify.Cluster(ctx, s.words, magnum.DeleteComplete, "")
	}
	return phase.Done(), nil
}
