package api

import (
	"context"
	"net/http"
)

// A route is one thing a client can ask for.
type route struct {
	method string
	path   string
	since  int    // the microversion 1.N that brought it; before that it does not exist (406)
	args   string // the query arguments it knows
	serve  func(ctx context.Context, c *call) (answer, error)
}

const listArgs = "limit marker sort_key sort_dir"

// routes is the whole API (Magnum 1.14, contract A2). Certificates, quotas, stats and mservices have no microversion of
// their own in Magnum's code, whatever its documents say.
func (s *server) routes() []route {
	return []route{
		{"GET", "/v1/clusters", 1, listArgs, s.listClusters},
		{"GET", "/v1/clusters/detail", 1, listArgs, s.listClustersDetail},
		{"POST", "/v1/clusters", 1, "", s.createCluster},
		{"GET", "/v1/clusters/{cluster}", 1, "", s.getCluster},
		{"PATCH", "/v1/clusters/{cluster}", 1, "rollback", s.patchCluster},
		{"DELETE", "/v1/clusters/{cluster}", 1, "", s.deleteCluster},
		{"GET", "/v1/clusters/{cluster}/events", 1, "limit", s.listEvents},
		{"POST", "/v1/clusters/{cluster}/actions/resize", 7, "", s.resizeCluster},
		{"POST", "/v1/clusters/{cluster}/actions/upgrade", 7, "", s.upgradeCluster},

		{"GET", "/v1/clusters/{cluster}/nodegroups", 9, listArgs + " role", s.listNodeGroups},
		{"POST", "/v1/clusters/{cluster}/nodegroups", 9, "", s.createNodeGroup},
		{"GET", "/v1/clusters/{cluster}/nodegroups/{nodegroup}", 9, "", s.getNodeGroup},
		{"PATCH", "/v1/clusters/{cluster}/nodegroups/{nodegroup}", 9, "", s.patchNodeGroup},
		{"DELETE", "/v1/clusters/{cluster}/nodegroups/{nodegroup}", 9, "", s.deleteNodeGroup},

		{"GET", "/v1/clustertemplates", 1, listArgs, s.listTemplates},
		{"GET", "/v1/clustertemplates/detail", 1, listArgs, s.listTemplatesDetail},
		{"POST", "/v1/clustertemplates", 1, "", s.createTemplate},
		{"GET", "/v1/clustertemplates/{template}", 1, "", s.getTemplate},
		{"PATCH", "/v1/clustertemplates/{template}", 1, "", s.patchTemplate},
		{"DELETE", "/v1/clustertemplates/{template}", 1, "", s.deleteTemplate},

		{"POST", "/v1/certificates", 1, "", s.signCertificate},
		{"GET", "/v1/certificates/{cluster}", 1, "ca_cert_type", s.getCertificate},
		{"PATCH", "/v1/certificates/{cluster}", 1, "ca_cert_type", s.rotateCertificates},
		{"PATCH", "/v1/credentials/{cluster}", 12, "", s.rotateCredential},

		{"GET", "/v1/quotas", 1, listArgs + " all_tenants", s.listQuotas},
		{"POST", "/v1/quotas", 1, "", s.createQuota},
		{"GET", "/v1/quotas/{project}/{resource}", 1, "", s.getQuota},
		{"PATCH", "/v1/quotas/{project}/{resource}", 1, "", s.patchQuota},
		{"DELETE", "/v1/quotas/{project}/{resource}", 1, "", s.deleteQuota},

		{"GET", "/v1/stats", 1, "project_id type", s.getStats},
		{"GET", "/v1/mservices", 1, "", s.listServices},
		{"GET", "/v1/federations", 1, listArgs, s.listFederations},
		{"GET", "/v1/federations/detail", 1, listArgs, s.listFederations},
		{"POST", "/v1/federations", 1, "", s.createFederation},
		{"GET", "/v1/federations/{federation}", 1, "", s.noFederation},
		{"PATCH", "/v1/federations/{federation}", 1, "rollback", s.noFederation},
		{"DELETE", "/v1/federations/{federation}", 1, "", s.noFederation},
	}
}

// publicRoutes answer without a token.
func (s *server) publicRoutes() []route {
	return []route{
		{"GET", "/{$}", 0, "", s.rootDocument},
		{"GET", "/v1", 0, "", s.versionDocument},
		{"GET", "/healthcheck", 0, "", s.healthcheck},
		{"HEAD", "/healthcheck", 0, "", s.healthcheck},
	}
}

// routeMux gathers the methods of each path, because "no such method" (405) and "no such thing" (404) are told in
// Magnum's words, and HEAD is not GET there. What the mux does not know is a 404 too.
func (s *server) routeMux() *http.ServeMux {
	resources := map[string]*resource{}
	add := func(r route, public bool) {
		if resources[r.path] == nil {
			resources[r.path] = &resource{server: s, path: r.path, public: public, methods: map[string]route{}}
		}
		resources[r.path].methods[r.method] = r
	}
	for _, r := range s.routes() {
		add(r, false)
	}
	for _, r := range s.publicRoutes() {
		add(r, true)
	}
	mux := http.NewServeMux()
	mux.Handle("/", &resource{server: s, path: "unknown"})
	for path, res := range resources {
		mux.Handle(path, res)
	}
	return mux
}
