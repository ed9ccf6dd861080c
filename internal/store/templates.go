package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// visible says who sees a template: its project, and everybody when it is public and not hidden (Magnum 1.14).
func visible(g policy.Grant, t *magnum.ClusterTemplate) bool {
	return g.Allows(t.ProjectID) || t.Public && !t.Hidden
}

// Templates returns what g sees, oldest first.
func (s *Store) Templates(_ context.Context, g policy.Grant) ([]*magnum.ClusterTemplate, error) {
	s.view.mu.RLock()
	defer s.view.mu.RUnlock()
	out := []*magnum.ClusterTemplate{}
	for _, t := range s.view.templates {
		if visible(g, t) {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b *magnum.ClusterTemplate) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), strings.Compare(a.UUID, b.UUID))
	})
	return out, nil
}

// Template finds one by UUID or name.
func (s *Store) Template(ctx context.Context, g policy.Grant, ident string) (*magnum.ClusterTemplate, error) {
	if id, err := uuid.Parse(ident); err == nil {
		return s.templateByUUID(ctx, g, id.String())
	}
	all, err := s.Templates(ctx, g)
	if err != nil {
		return nil, err
	}
	var found *magnum.ClusterTemplate
	for _, t := range all {
		if t.Name != ident {
			continue
		}
		if found != nil {
			return nil, magnum.Conflict("Multiple clustertemplates exist with same name. Please use the clustertemplate uuid instead.")
		}
		found = t
	}
	if found == nil {
		return nil, templateNotFound(ident)
	}
	return found, nil
}

func (s *Store) templateByUUID(ctx context.Context, g policy.Grant, id string) (*magnum.ClusterTemplate, error) {
	s.view.mu.RLock()
	t := s.view.templates[id]
	s.view.mu.RUnlock()
	if t == nil { // another replica may have made it a moment ago
		r := &v1alpha1.MagnumClusterTemplate{}
		if err := s.client.Get(ctx, key(id), r); err == nil {
			t = ClusterTemplateOf(r)
		} else if !apierrors.IsNotFound(err) {
			return nil, refusal(err, "read")
		}
	}
	if t == nil || !visible(g, t) {
		return nil, templateNotFound(id)
	}
	return t, nil
}

func templateNotFound(ident string) error {
	return magnum.NotFound("ClusterTemplate %s could not be found.", ident)
}

// CreateTemplate stores a new template.
func (s *Store) CreateTemplate(ctx context.Context, g policy.Grant, t magnum.ClusterTemplate) (*magnum.ClusterTemplate, error) {
	if !g.Allows(t.ProjectID) {
		return nil, magnum.Forbidden("This request may not create cluster templates in project %s.", t.ProjectID)
	}
	id, err := s.newUUID()
	if err != nil {
		return nil, err
	}
	r := &v1alpha1.MagnumClusterTemplate{
		ObjectMeta: metav1.ObjectMeta{
			Name: id, Namespace: v1alpha1.Namespace,
			Labels: map[string]string{v1alpha1.LabelProject: labelValue(t.ProjectID)},
		},
		Spec: templateSpec(&t),
	}
	if err := s.create(ctx, kindTemplate, r); err != nil {
		return nil, err
	}
	return ClusterTemplateOf(r), nil
}

// UpdateTemplate applies change to a copy of the template.
func (s *Store) UpdateTemplate(
	ctx context.Context, g policy.Grant, id string, change func(t *magnum.ClusterTemplate, referenced bool) error,
) (*magnum.ClusterTemplate, error) {
	r := &v1alpha1.MagnumClusterTemplate{}
	apply := func() error {
		if !g.Allows(r.Spec.ProjectID) {
			return templateNotFound(id)
		}
		t := ClusterTemplateOf(r.DeepCopy())
		t.Labels = maps.Clone(t.Labels)
		if err := change(t, s.referenced(id)); err != nil {
			return err
		}
		r.Spec = templateSpec(t)
		return nil
	}
	if err := s.update(ctx, kindTemplate, r, id, apply); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, templateNotFound(id)
		}
		return nil, err
	}
	return ClusterTemplateOf(r), nil
}

// DeleteTemplate removes a template that no cluster uses.
func (s *Store) DeleteTemplate(ctx context.Context, g policy.Grant, id string) error {
	t, err := s.templateByUUID(ctx, g, id)
	if err != nil {
		return err
	}
	if !g.Allows(t.ProjectID) {
		return templateNotFound(id)
	}
	if s.referenced(id) {
		return magnum.Invalid("ClusterTemplate %s is referenced by one or multiple clusters.", id)
	}
	o := &v1alpha1.MagnumClusterTemplate{ObjectMeta: metav1.ObjectMeta{Name: id, Namespace: v1alpha1.Namespace}}
	return s.remove(ctx, o, func() bool { return s.view.templates[id] == nil })
}

// referenced tells whether any cluster was made from the template. A cluster carries its own copy, so a template that
// slips away between this look and a creation harms nobody.
func (s *Store) referenced(id string) bool {
	return slices.ContainsFunc(s.view.list(""), func(c *magnum.Cluster) bool { return c.ClusterTemplateID == id })
}
