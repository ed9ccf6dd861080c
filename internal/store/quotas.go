package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// quotaName is one record for each project and resource, so that there can be no second.
func quotaName(project, resource string) string {
	return strings.ToLower(labelValue(project)) + "." + strings.ToLower(resource)
}

func quotaNotFound(project string) error {
	return magnum.NotFound("Quota could not be found: project %s has none of its own.", project)
}

// Quotas returns the quotas g allows, oldest first.
func (s *Store) Quotas(_ context.Context, g policy.Grant) ([]*magnum.Quota, error) {
	s.view.mu.RLock()
	defer s.view.mu.RUnlock()
	out := []*magnum.Quota{}
	for _, q := range s.view.quotas {
		if g.Allows(q.ProjectID) {
			out = append(out, q)
		}
	}
	slices.SortFunc(out, func(a, b *magnum.Quota) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), strings.Compare(a.ProjectID, b.ProjectID))
	})
	return out, nil
}

// Quota returns the quota of a project, 404 when it has none of its own.
func (s *Store) Quota(_ context.Context, g policy.Grant, project, resource string) (*magnum.Quota, error) {
	s.view.mu.RLock()
	defer s.view.mu.RUnlock()
	q := s.view.quotas[quotaName(project, resource)]
	if q == nil || q.ProjectID != project || !g.Allows(project) {
		return nil, quotaNotFound(project)
	}
	return q, nil
}

// CreateQuota stores a quota; 409 when the project has one.
func (s *Store) CreateQuota(ctx context.Context, g policy.Grant, q magnum.Quota) (*magnum.Quota, error) {
	if !g.Allows(q.ProjectID) {
		return nil, magnum.Forbidden("This request may not set quotas of project %s.", q.ProjectID)
	}
	r := &v1alpha1.MagnumQuota{
		ObjectMeta: metav1.ObjectMeta{
			Name: quotaName(q.ProjectID, q.Resource), Namespace: v1alpha1.Namespace,
			Labels: map[string]string{v1alpha1.LabelProject: labelValue(q.ProjectID)},
		},
		Spec: v1alpha1.MagnumQuotaSpec{ProjectID: q.ProjectID, Resource: q.Resource, HardLimit: q.HardLimit},
	}
	if err := s.create(ctx, kindQuota, r); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return nil, magnum.Conflict("Quota for project %s already exists for resource %s.", q.ProjectID, q.Resource)
		}
		return nil, err
	}
	return quotaOf(r), nil
}

// UpdateQuota sets the bound of a quota that exists.
func (s *Store) UpdateQuota(ctx context.Context, g policy.Grant, project, resource string, hardLimit int) (*magnum.Quota, error) {
	r := &v1alpha1.MagnumQuota{}
	apply := func() error {
		if r.Spec.ProjectID != project || !g.Allows(project) {
			return quotaNotFound(project)
		}
		r.Spec.HardLimit = hardLimit
		return nil
	}
	if err := s.update(ctx, kindQuota, r, quotaName(project, resource), apply); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, quotaNotFound(project)
		}
		return nil, err
	}
	return quotaOf(r), nil
}

// DeleteQuota removes a quota that exists; the default bound holds from then on.
func (s *Store) DeleteQuota(ctx context.Context, g policy.Grant, project, resource string) error {
	if _, err := s.Quota(ctx, g, project, resource); err != nil {
		return err
	}
	name := quotaName(project, resource)
	o := &v1alpha1.MagnumQuota{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: v1alpha1.Namespace}}
	return s.remove(ctx, o, func() bool { return s.view.quotas[name] == nil })
}
