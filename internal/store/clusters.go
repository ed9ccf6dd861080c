package store

import (
	"context"
	"fmt"
	"maps"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// Clusters returns the clusters g allows, oldest first. The slice is shared: do not change it.
func (s *Store) Clusters(_ context.Context, g policy.Grant) ([]*magnum.Cluster, error) {
	switch {
	case g.AllProjects():
		return s.view.list(""), nil
	case g.Project() == "":
		return nil, nil
	}
	return s.view.list(g.Project()), nil
}

// Cluster finds one by UUID or name.
func (s *Store) Cluster(ctx context.Context, g policy.Grant, ident string) (*magnum.Cluster, error) {
	if id, err := uuid.Parse(ident); err == nil {
		return s.clusterByUUID(ctx, g, id.String())
	}
	all, err := s.Clusters(ctx, g)
	if err != nil {
		return nil, err
	}
	var found *magnum.Cluster
	for _, c := range all {
		if c.Name != ident {
			continue
		}
		if found != nil {
			return nil, magnum.Conflict("Multiple clusters exist with same name. Please use the cluster uuid instead.")
		}
		found = c
	}
	if found == nil {
		return nil, clusterNotFound(ident)
	}
	return found, nil
}

// clusterByUUID asks the API server when the view has never heard of the UUID: another replica may have made the
// cluster a moment ago.
func (s *Store) clusterByUUID(ctx context.Context, g policy.Grant, id string) (*magnum.Cluster, error) {
	c, _ := s.view.entry(id)
	if c == nil {
		r := &v1alpha1.MagnumCluster{}
		if err := s.client.Get(ctx, key(id), r); err == nil {
			c = ClusterOf(r, nil)
			c.MasterCount, c.NodeCount = r.Spec.MasterCount, r.Spec.NodeCount
		} else if !apierrors.IsNotFound(err) {
			return nil, refusal(err, "read")
		}
	}
	if c == nil || !g.Allows(c.ProjectID) {
		return nil, clusterNotFound(id)
	}
	return c, nil
}

func clusterNotFound(ident string) error {
	return magnum.NotFound("Cluster %s could not be found.", ident)
}

// CreateCluster stores a new cluster unless its project has limit of them already.
func (s *Store) CreateCluster(ctx context.Context, g policy.Grant, c magnum.Cluster, limit int) (*magnum.Cluster, error) {
	if !g.Allows(c.ProjectID) {
		return nil, magnum.Forbidden("This request may not create clusters in project %s.", c.ProjectID)
	}
	lock := s.projectLock(c.ProjectID)
	lock.Lock()
	defer lock.Unlock()
	// Clusters that are being deleted count (Magnum 1.14).
	if have := len(s.view.list(c.ProjectID)); have >= limit {
		return nil, magnum.Forbidden("Resource limit exceeded: You have reached the maximum clusters per project, %d. "+
			"You may delete a cluster to make room for a new one.", limit)
	}
	if c.UUID == "" {
		id, err := s.newUUID()
		if err != nil {
			return nil, err
		}
		c.UUID = id
	}
	if c.StackID == "" {
		name, err := s.reserveStack(ctx, c.UUID)
		if err != nil {
			return nil, err
		}
		c.StackID = name
	}
	r := ClusterRecord(&c)
	if err := s.create(ctx, kindCluster, r); err != nil {
		s.releaseStack(ctx, c.StackID)
		return nil, err
	}
	if seen, _ := s.view.entry(c.UUID); seen != nil {
		return seen, nil
	}
	return ClusterOf(r, nil), nil
}

// UpdateCluster applies change to a copy of the cluster and keeps what may change.
func (s *Store) UpdateCluster(ctx context.Context, g policy.Grant, id string, change func(*magnum.Cluster) error) (*magnum.Cluster, error) {
	if _, err := s.clusterByUUID(ctx, g, id); err != nil {
		return nil, err
	}
	r := &v1alpha1.MagnumCluster{}
	var before, after magnum.Cluster
	_, groups := s.view.entry(id)
	apply := func() error {
		if !g.Allows(r.Spec.ProjectID) {
			return clusterNotFound(id)
		}
		before = *ClusterOf(r.DeepCopy(), groups)
		after = before
		after.Labels, after.HealthReason = maps.Clone(before.Labels), maps.Clone(before.HealthReason)
		if err := change(&after); err != nil {
			return err
		}
		r.Spec.Labels, r.Spec.ClusterTemplateID = after.Labels, after.ClusterTemplateID
		r.Spec.Template, r.Spec.Resolved = templateSpec(&after.Template), v1alpha1.Resolved(after.Resolved)
		r.Spec.Rotation = v1alpha1.Rotation{Generation: after.Rotation.Generation, Authority: string(after.Rotation.Authority)}
		r.Spec.Upgrade, r.Spec.UserID = v1alpha1.Upgrade(after.Upgrade), after.UserID
		return nil
	}
	if err := s.update(ctx, kindCluster, r, id, apply); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, clusterNotFound(id)
		}
		return nil, err
	}
	if before.Health != after.Health || !maps.Equal(before.HealthReason, after.HealthReason) {
		if err := s.putHealth(ctx, r, &after); err != nil {
			return nil, err
		}
	}
	if c, _ := s.view.entry(id); c != nil {
		return c, nil
	}
	return &after, nil
}

// putHealth writes what an outside health checker reports (magnum-auto-healer).
func (s *Store) putHealth(ctx context.Context, r *v1alpha1.MagnumCluster, c *magnum.Cluster) error {
	base := r.DeepCopy()
	r.Status.Health, r.Status.HealthReason = string(c.Health), c.HealthReason
	if err := s.client.Status().Patch(ctx, r, client.MergeFrom(base), kube.FieldOwner); err != nil {
		return refusal(err, "change")
	}
	s.settle(ctx, kindCluster, r)
	return nil
}

// DeleteCluster asks for the end of a cluster. Asking again wakes a deletion that failed.
func (s *Store) DeleteCluster(ctx context.Context, g policy.Grant, id string) error {
	c, err := s.clusterByUUID(ctx, g, id)
	if err != nil {
		return err
	}
	if c.DeletionRequested {
		return s.poke(ctx, id)
	}
	o := &v1alpha1.MagnumCluster{ObjectMeta: metav1.ObjectMeta{Name: id, Namespace: v1alpha1.Namespace}}
	return s.remove(ctx, o, func() bool {
		e := s.view.clusters[id]
		return e == nil || e.record.DeletionTimestamp != nil
	})
}

func (s *Store) poke(ctx context.Context, id string) error {
	o := &v1alpha1.MagnumCluster{ObjectMeta: metav1.ObjectMeta{Name: id, Namespace: v1alpha1.Namespace}}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationUpdatedAt, s.now().UTC().Format("2006-01-02T15:04:05Z"))
	err := s.client.Patch(ctx, o, client.RawPatch("application/merge-patch+json", patch), kube.FieldOwner)
	if err != nil && !apierrors.IsNotFound(err) {
		return refusal(err, "change")
	}
	return nil
}
