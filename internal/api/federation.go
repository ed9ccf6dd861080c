package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// Federations are a feature that Magnum never finished and no client offers. Requests are checked as Magnum 1.14 checks
// them, policy first, and there are none: no driver can make one, which magnum-cluster-api says by failing
// (NotImplementedError) after the 202 and Jeroboam says at once.

func (s *server) listFederations(_ context.Context, c *call) (answer, error) {
	rule := "federation:get_all"
	if strings.HasSuffix(c.route, "/detail") {
		rule = "federation:detail"
	}
	if _, err := s.Policy.Authorize(c.caller, rule, c.self()); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: []byte(`{"federations":[]}`)}, nil
}

// noFederation looks one up and finds none, as Magnum does before it asks policy about it.
func (s *server) noFederation(_ context.Context, c *call) (answer, error) {
	return answer{}, magnum.NotFound("Federation %s could not be found.", c.r.PathValue("federation"))
}

func (s *server) createFederation(ctx context.Context, c *call) (answer, error) {
	f, err := s.fields(c, "federation")
	if err != nil {
		return answer{}, err
	}
	f.readOnly("project_id", "links", "created_at", "updated_at")
	f.ignore("uuid", "status", "status_reason", "member_ids")
	_, _ = f.matching("name", 1, 242, clusterNamePattern)
	host, _ := f.name("hostcluster_id")
	_, _ = f.labels("properties")
	if err := f.done(); err != nil {
		return answer{}, err
	}
	if _, err := s.Policy.Authorize(c.caller, "federation:create", c.self()); err != nil {
		return answer{}, err
	}
	if host == "" {
		return answer{}, magnum.Invalid("No hostcluster specified. Please specify a hostcluster_id.")
	}
	k, err := s.Clusters.Cluster(ctx, s.Policy.Scope(c.caller, ""), host)
	var told *magnum.Error
	switch {
	case errors.As(err, &told) && told.Status == http.StatusNotFound:
		return answer{}, magnum.Invalid("%s", told.Detail) // the cluster is part of the input here
	case err != nil:
		return answer{}, err
	}
	return answer{}, magnum.Invalid("The driver of cluster %s does not make federations.", k.UUID)
}
