package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

func quotaOrder() order[*magnum.Quota] {
	type q = *magnum.Quota
	return order[q]{
		"id":         field(func(q q) int64 { return q.ID }),
		"project_id": field(func(q q) string { return q.ProjectID }),
		"resource":   field(func(q q) string { return q.Resource }),
		"hard_limit": field(func(q q) int { return q.HardLimit }),
		"created_at": field(func(q q) int64 { return q.CreatedAt.UnixMicro() }),
		"updated_at": field(func(q q) int64 { return q.UpdatedAt.UnixMicro() }),
	}
}

// listQuotas shows the caller's project's quotas, and those of all projects on demand: the one list of Magnum that
// works so.
func (s *server) listQuotas(ctx context.Context, c *call) (answer, error) {
	g, err := s.Policy.Authorize(c.caller, "quota:get_all", c.self())
	if err != nil {
		return answer{}, err
	}
	p, err := s.page(c)
	if err != nil {
		return answer{}, err
	}
	if p.marker != "" {
		if _, err := strconv.ParseInt(p.marker, 10, 64); err != nil {
			return answer{}, invalidInput("marker", p.marker, "unable to convert to int.")
		}
	}
	if text := c.query.Get("all_tenants"); text != "" {
		everybody, ok := toBoolean(text)
		if !ok {
			return answer{}, invalidInput("all_tenants", text, "A boolean is expected.")
		}
		if everybody {
			g = s.Policy.Scope(c.caller, "quota:get_all")
		}
	}
	all, err := s.Quotas.Quotas(ctx, g)
	if err != nil {
		return answer{}, err
	}
	id := func(q *magnum.Quota) string { return strconv.FormatInt(q.ID, 10) }
	list, err := paginate(c, all, p, quotaOrder(), id, "Quota", "quotas")
	if err != nil {
		return answer{}, err
	}
	return writeList(c, "quotas", list, (*object).quota), nil
}

func (o *object) quota(q *magnum.Quota) {
	if q.ID != 0 { // the default has no record and shows no dates (Magnum 1.14)
		o.long("id", q.ID)
		o.date("created_at", q.CreatedAt)
		o.date("updated_at", q.UpdatedAt)
	}
	o.integer("hard_limit", q.HardLimit)
	o.str("project_id", q.ProjectID)
	o.str("resource", q.Resource)
}

func (c *call) quota(status int, q *magnum.Quota) answer {
	o := c.object()
	o.open()
	o.quota(q)
	o.close()
	return c.ok(status, o)
}

func (s *server) getQuota(ctx context.Context, c *call) (answer, error) {
	project, resource := c.r.PathValue("project"), c.r.PathValue("resource")
	if _, err := s.Policy.Authorize(c.caller, "quota:get", c.self()); err != nil {
		return answer{}, err
	}
	g := s.Policy.Scope(c.caller, "quota:get_all")
	if !g.Allows(project) {
		return answer{}, magnum.Forbidden("Not authorized.")
	}
	q, err := s.Quotas.Quota(ctx, g, project, resource)
	var told *magnum.Error
	if errors.As(err, &told) && told.Status == http.StatusNotFound {
		// No row means the default, whatever the resource is called (Magnum 1.14).
		q, err = &magnum.Quota{ProjectID: project, Resource: resource, HardLimit: max(s.Config.MaxClustersPerProject, 0)}, nil
	}
	if err != nil {
		return answer{}, err
	}
	return c.quota(http.StatusOK, q), nil
}

// quotaFields reads a quota. The same object is sent to create and to change one, and says whose it is only if it names
// a project and a resource.
func (s *server) quotaFields(c *call) (q magnum.Quota, limited bool, err error) {
	f, err := s.fields(c, "quota")
	if err != nil {
		return q, false, err
	}
	f.readOnly("created_at", "updated_at")
	f.ignore("id")
	q.ProjectID, _ = f.text("project_id", 0, 255)
	q.Resource, _ = f.enum("resource", magnum.QuotaCluster)
	q.HardLimit, limited = f.integer("hard_limit", 0, math.MaxInt32)
	return q, limited, f.done()
}

// quotaGrant lets whoever may manage quotas reach every project's.
func (s *server) quotaGrant(c *call, rule string) (policy.Grant, error) {
	if _, err := s.Policy.Authorize(c.caller, rule, c.self()); err != nil {
		return policy.Grant{}, err
	}
	return s.Policy.Scope(c.caller, rule), nil
}

func (s *server) createQuota(ctx context.Context, c *call) (answer, error) {
	q, limited, err := s.quotaFields(c)
	if err != nil {
		return answer{}, err
	}
	g, err := s.quotaGrant(c, "quota:create")
	if err != nil {
		return answer{}, err
	}
	if strings.TrimSpace(q.ProjectID) == "" {
		return answer{}, magnum.Invalid("Must provide a valid project ID.")
	}
	q.Resource = textOr(q.Resource, magnum.QuotaCluster)
	if !limited {
		q.HardLimit = 1
	}
	exists, err := s.Projects.ProjectExists(ctx, q.ProjectID)
	if err != nil {
		return answer{}, err
	}
	if !exists {
		return answer{}, magnum.NotFound("Project %s could not be found.", q.ProjectID)
	}
	stored, err := s.Quotas.CreateQuota(ctx, g, q)
	if err != nil {
		return answer{}, err
	}
	return c.quota(http.StatusCreated, stored), nil
}

// patchQuota takes a quota, not a patch, and answers 202 (Magnum 1.14). The path says whose it is. Magnum changes that
// one whatever the body says (api/controllers/v1/quota.py); here a body that names another one is refused, because one
// of the two is a mistake.
func (s *server) patchQuota(ctx context.Context, c *call) (answer, error) {
	q, limited, err := s.quotaFields(c)
	if err != nil {
		return answer{}, err
	}
	g, err := s.quotaGrant(c, "quota:update")
	if err != nil {
		return answer{}, err
	}
	if !limited {
		return answer{}, invalidInput("hard_limit", "None", "Mandatory field missing.")
	}
	project, resource := c.r.PathValue("project"), c.r.PathValue("resource")
	if textOr(q.ProjectID, project) != project || textOr(q.Resource, resource) != resource {
		return answer{}, magnum.Invalid("The request is for the quota of project %s for resource %s, but its body names project %s and resource %s.",
			magnum.Shorten(project, 100), magnum.Shorten(resource, 100), magnum.Shorten(textOr(q.ProjectID, project), 100), textOr(q.Resource, resource))
	}
	stored, err := s.Quotas.UpdateQuota(ctx, g, project, resource, q.HardLimit)
	if err != nil {
		return answer{}, err
	}
	return c.quota(http.StatusAccepted, stored), nil
}

func (s *server) deleteQuota(ctx context.Context, c *call) (answer, error) {
	g, err := s.quotaGrant(c, "quota:delete")
	if err != nil {
		return answer{}, err
	}
	if err := s.Quotas.DeleteQuota(ctx, g, c.r.PathValue("project"), c.r.PathValue("resource")); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}
