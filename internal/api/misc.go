package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// getStats counts clusters and nodes, masters among them: of one project, or of all for an administrator who names
// none.
func (s *server) getStats(ctx context.Context, c *call) (answer, error) {
	if _, err := s.Policy.Authorize(c.caller, "stats:get_all", c.self()); err != nil {
		return answer{}, err
	}
	if kind := c.query.Get("type"); kind != "" && !strings.EqualFold(kind, "cluster") {
		return answer{}, magnum.Invalid("Invalid stats type. Allowed values: 'cluster'")
	}
	g, project := s.Policy.Scope(c.caller, "cluster:get_all_all_projects"), c.query.Get("project_id")
	if project != "" && !g.Allows(project) {
		return answer{}, magnum.Forbidden("Not authorized.")
	}
	all, err := s.Clusters.Clusters(ctx, g)
	if err != nil {
		return answer{}, err
	}
	clusters, nodes := 0, 0
	for _, k := range all {
		if project == "" || k.ProjectID == project {
			clusters++
			nodes += k.NodeCount + k.MasterCount
		}
	}
	o := c.object()
	o.open()
	o.integer("clusters", clusters)
	o.integer("nodes", nodes)
	o.close()
	return c.ok(http.StatusOK, o), nil
}

// listServices shows the processes that do the work. One that was not seen for service_down_time is down.
func (s *server) listServices(ctx context.Context, c *call) (answer, error) {
	if _, err := s.Policy.Authorize(c.caller, "magnum-service:get_all", c.self()); err != nil {
		return answer{}, err
	}
	all, err := s.Services.Services(ctx, s.Policy.Scope(c.caller, "magnum-service:get_all"))
	if err != nil {
		return answer{}, err
	}
	now := s.Now()
	return writeList(c, "mservices", paged[magnum.Service]{items: all}, func(o *object, m magnum.Service) {
		state := "up"
		if now.Sub(m.LastSeen) > s.Config.ServiceDownTime {
			state = "down"
		}
		o.long("id", m.ID)
		o.str("host", m.Host)
		o.str("binary", m.Binary)
		o.str("state", state)
		o.integer("report_count", m.ReportCount)
		o.boolean("disabled", m.Disabled)
		o.null("disabled_reason")
		o.date("created_at", m.CreatedAt)
		o.date("updated_at", m.LastSeen)
	}), nil
}

// healthcheck says that the process serves, as oslo.middleware does.
func (s *server) healthcheck(_ context.Context, c *call) (answer, error) {
	if c.r.Method == http.MethodHead {
		return answer{status: http.StatusNoContent}, nil
	}
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	return answer{status: http.StatusOK, body: []byte("OK")}, nil
}

// rootDocument tells which versions of the API there are.
func (s *server) rootDocument(_ context.Context, c *call) (answer, error) {
	o := c.object()
	o.raw(`{"name":"OpenStack Magnum API","description":"Magnum is an OpenStack project which aims to provide container cluster ` +
		`management.","versions":[{"id":"v1","links":[{"href":`)
	o.b = appendString(o.b, c.base+"/v1/")
	o.raw(`,"rel":"self"}],"status":"CURRENT","max_version":"` + maxVersion + `","min_version":"` + minVersion + `"}]}`)
	return c.ok(http.StatusOK, o), nil
}

// versionDocument tells what there is in v1.
func (s *server) versionDocument(_ context.Context, c *call) (answer, error) {
	o := c.object()
	o.raw(`{"id":"v1","media_types":[{"base":"application/json","type":"application/vnd.openstack.magnum.v1+json"}],"links":[{"href":`)
	o.b = appendString(o.b, c.base+"/v1/")
	o.raw(`,"rel":"self"},{"href":"http://docs.openstack.org/developer/magnum/dev/api-spec-v1.html","rel":"describedby",` +
		`"type":"text/html"}],`)
	for _, name := range []string{
		"clustertemplates", "clusters", "quotas", "certificates", "mservices", "stats", "federations", "nodegroups", "credentials",
		"events", // Jeroboam's own
	} {
		path := name + "/"
		if name == "nodegroups" || name == "events" {
			path = "clusters/{cluster_id}/" + name // literally, for clients to fill in
		}
		o.key(name)
		o.raw(`[{"href":`)
		o.b = appendString(o.b, c.base+"/v1/"+path)
		o.raw(`,"rel":"self"},{"href":`)
		o.b = appendString(o.b, c.base+"/"+path)
		o.raw(`,"rel":"bookmark"}],`)
	}
	o.close()
	return c.ok(http.StatusOK, o), nil
}
