package simcloud

import (
	"net/http"
	"strings"
)

type route struct {
	pattern string
	access  access
	handler handler
}

// routes is every address the cloud has.
func (c *Cloud) routes() http.Handler {
	mux := http.NewServeMux()
	for _, list := range [][]route{
		c.keystoneRoutes(), c.novaRoutes(), c.glanceRoutes(), c.neutronRoutes(), c.cinderRoutes(), c.octaviaRoutes(), c.controlRoutes(),
	} {
		for _, r := range list {
			mux.Handle(r.pattern, c.wrapped(r.access, r.handler))
		}
	}
	mux.Handle("/", c.wrapped(open, func(q *call) (reply, error) {
		return reply{}, fail(http.StatusNotFound, "The resource could not be found.")
	}))
	return withoutSlash(c.withFaults(mux))
}

// withoutSlash makes /v3/ and /v3 the same address.
func withoutSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if trimmed := strings.TrimRight(r.URL.Path, "/"); trimmed != "" && trimmed != r.URL.Path {
			at := *r.URL
			at.Path, at.RawPath = trimmed, strings.TrimRight(r.URL.RawPath, "/")
			copied := *r
			copied.URL = &at
			r = &copied
		}
		next.ServeHTTP(w, r)
	})
}

func (c *Cloud) keystoneRoutes() []route {
	return []route{
		{"GET /healthz", open, func(*call) (reply, error) { return ok(obj{"status": "ok"}) }},
		{"GET /{$}", open, c.keystoneVersions},
		{"GET /v3", open, c.keystoneVersion},
		{"POST /v3/auth/tokens", open, c.issueToken},
		{"GET /v3/auth/tokens", anyone, c.showToken},
		{"DELETE /v3/auth/tokens", anyone, c.revokeToken},
		{"GET /v3/auth/catalog", anyone, c.showCatalog},
		{"GET /v3/auth/projects", anyone, c.ownProjects},
		{"GET /v3/auth/domains", anyone, c.ownDomains},
		{"GET /v3/auth/system", anyone, c.ownSystem},
		{"GET /v3/projects", admins, c.listProjects},
		{"POST /v3/projects", admins, c.createProject},
		{"GET /v3/projects/{id}", anyone, c.showProject},
		{"DELETE /v3/projects/{id}", admins, c.deleteProject},
		{"GET /v3/users", admins, c.listUsers},
		{"GET /v3/users/{user}", anyone, c.showUser},
		{"GET /v3/users/{user}/projects", anyone, c.projectsOfUser},
		{"GET /v3/domains", admins, c.listDomains},
		{"GET /v3/domains/{id}", admins, c.showDomain},
		{"GET /v3/roles", admins, c.listRoles},
		{"GET /v3/roles/{id}", admins, c.showRole},
		{"GET /v3/role_assignments", admins, c.listRoleAssignments},
		{"GET /v3/services", admins, c.listServices},
		{"GET /v3/services/{id}", admins, c.showService},
		{"GET /v3/endpoints", admins, c.listEndpoints},
		{"GET /v3/endpoints/{id}", admins, c.showEndpoint},
		{"GET /v3/regions", anyone, c.listRegions},
		{"GET /v3/regions/{id}", anyone, c.showRegion},
		{"GET /v3/users/{user}/application_credentials", anyone, c.listCredentials},
		{"POST /v3/users/{user}/application_credentials", anyone, c.createCredential},
		{"GET /v3/users/{user}/application_credentials/{id}", anyone, c.showCredential},
		{"DELETE /v3/users/{user}/application_credentials/{id}", anyone, c.deleteCredential},
	}
}

func (c *Cloud) novaRoutes() []route {
	return []route{
		{"GET /compute", open, c.novaVersions},
		{"GET /compute/v2.1", open, c.novaVersion},
		{"GET /compute/v2.1/flavors", read, c.listFlavors},
		{"GET /compute/v2.1/flavors/detail", read, c.listFlavorDetails},
		{"GET /compute/v2.1/flavors/{id}", read, c.showFlavor},
		{"GET /compute/v2.1/flavors/{id}/os-extra_specs", read, c.showExtraSpecs},
		{"GET /compute/v2.1/os-keypairs", read, c.listKeypairs},
		{"POST /compute/v2.1/os-keypairs", write, c.createKeypair},
		{"GET /compute/v2.1/os-keypairs/{name}", read, c.showKeypair},
		{"DELETE /compute/v2.1/os-keypairs/{name}", write, c.deleteKeypair},
		{"GET /compute/v2.1/servers", read, c.listServers},
		{"POST /compute/v2.1/servers", write, c.refuseServer},
		{"GET /compute/v2.1/servers/detail", read, c.listServerDetails},
		{"GET /compute/v2.1/servers/{id}", read, c.showServer},
		{"DELETE /compute/v2.1/servers/{id}", write, c.refuseServer},
		{"POST /compute/v2.1/servers/{id}/action", write, c.actOnServer},
		{"GET /compute/v2.1/os-server-groups", read, c.listServerGroups},
		{"POST /compute/v2.1/os-server-groups", write, c.createServerGroup},
		{"GET /compute/v2.1/os-server-groups/{id}", read, c.showServerGroup},
		{"DELETE /compute/v2.1/os-server-groups/{id}", write, c.deleteServerGroup},
		{"GET /compute/v2.1/os-availability-zone", read, c.listComputeZones},
		{"GET /compute/v2.1/os-availability-zone/detail", admins, c.listComputeZones},
		{"GET /compute/v2.1/limits", read, c.showLimits},
	}
}

func (c *Cloud) glanceRoutes() []route {
	return []route{
		{"GET /image", open, c.glanceVersions},
		{"GET /image/versions", open, c.glanceVersions},
		{"GET /image/v2", open, c.glanceVersions},
		{"GET /image/v2/images", read, c.listImages},
		{"GET /image/v2/images/{id}", read, c.showImage},
		{"GET /image/v2/schemas/image", read, c.showImageSchema},
	}
}

func (c *Cloud) neutronRoutes() []route {
	return []route{
		{"GET /network", open, c.neutronVersions},
		{"GET /network/v2.0", open, c.neutronVersions},
		{"GET /network/v2.0/extensions", read, c.listExtensions},
		{"GET /network/v2.0/extensions/{alias}", read, c.showExtension},
		{"GET /network/v2.0/networks", read, c.listNetworks},
		{"GET /network/v2.0/networks/{id}", read, c.showNetwork},
		{"GET /network/v2.0/subnets", read, c.listSubnets},
		{"GET /network/v2.0/subnets/{id}", read, c.showSubnet},
		{"GET /network/v2.0/ports", read, c.listPorts},
		{"GET /network/v2.0/ports/{id}", read, c.showPort},
		{"GET /network/v2.0/security-groups", read, c.listSecurityGroups},
		{"GET /network/v2.0/floatingips", read, c.listFloatingIPs},
		{"POST /network/v2.0/floatingips", write, c.createFloatingIP},
		{"GET /network/v2.0/floatingips/{id}", read, c.showFloatingIP},
		{"PUT /network/v2.0/floatingips/{id}", write, c.updateFloatingIP},
		{"DELETE /network/v2.0/floatingips/{id}", write, c.deleteFloatingIP},
	}
}

func (c *Cloud) cinderRoutes() []route {
	return []route{
		{"GET /volume", open, c.cinderVersions},
		{"GET /volume/v3", open, c.cinderVersions},
		{"GET /volume/v3/{project}/types", read, c.listVolumeTypes},
		{"GET /volume/v3/{project}/types/{id}", read, c.showVolumeType},
		{"GET /volume/v3/{project}/os-availability-zone", read, c.listVolumeZones},
		{"GET /volume/v3/{project}/limits", read, c.showVolumeLimits},
	}
}

func (c *Cloud) octaviaRoutes() []route {
	routes := []route{{"GET /load-balancer", open, c.octaviaVersions}}
	for _, version := range []string{"v2", "v2.0"} { // openstacksdk and gophercloud do not agree.
		at := "/load-balancer/" + version
		routes = append(routes,
			route{"GET " + at, open, c.octaviaVersions},
			route{"GET " + at + "/lbaas/loadbalancers", read, c.listLoadBalancers},
			route{"POST " + at + "/lbaas/loadbalancers", write, c.createLoadBalancer},
			route{"GET " + at + "/lbaas/loadbalancers/{id}", read, c.showLoadBalancer},
			route{"DELETE " + at + "/lbaas/loadbalancers/{id}", write, c.deleteLoadBalancer},
			route{"GET " + at + "/lbaas/providers", read, c.listProviders},
			route{"GET " + at + "/lbaas/flavors", read, c.listLoadBalancerFlavors},
			route{"GET " + at + "/lbaas/availabilityzones", read, c.listLoadBalancerZones},
		)
	}
	return routes
}

func (c *Cloud) controlRoutes() []route {
	return []route{
		{"GET /_simcloud/faults", admins, c.showFaults},
		{"PUT /_simcloud/faults", admins, c.replaceFaults},
	}
}
