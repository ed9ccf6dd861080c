package api

import (
	"context"
	"net/http"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

func (s *server) listClusters(ctx context.Context, c *call) (answer, error) {
	return s.clusterList(ctx, c, "cluster:get_all", "clusters", (*object).clusterShort)
}

func (s *server) listClustersDetail(ctx context.Context, c *call) (answer, error) {
	return s.clusterList(ctx, c, "cluster:detail", "clusters/detail", (*object).clusterFull)
}

func (s *server) clusterList(
	ctx context.Context, c *call, rule, address string, write func(*object, *call, *magnum.Cluster),
) (answer, error) {
	if _, err := s.Policy.Authorize(c.caller, rule, c.self()); err != nil {
		return answer{}, err
	}
	// Magnum 1.14: an administrator always sees all projects; there is no argument for it.
	g := s.Policy.Scope(c.caller, rule+"_all_projects")
	p, err := s.page(c)
	if err != nil {
		return answer{}, err
	}
	if err := p.uuidMarker(); err != nil {
		return answer{}, err
	}
	all, err := s.Clusters.Clusters(ctx, g)
	if err != nil {
		return answer{}, err
	}
	list, err := paginate(c, all, p, clusterOrder(p.sortKey), func(k *magnum.Cluster) string { return k.UUID }, "Cluster", address)
	if err != nil {
		return answer{}, err
	}
	return writeList(c, "clusters", list, func(o *object, k *magnum.Cluster) { write(o, c, k) }), nil
}

func (s *server) getCluster(ctx context.Context, c *call) (answer, error) {
	k, _, err := s.findCluster(ctx, c, "cluster:get", "cluster:get_one_all_projects")
	if err != nil {
		return answer{}, err
	}
	o := c.object()
	o.open()
	o.clusterFull(c, k)
	if k.Status.Failed() {
		o.dict("faults", k.Faults)
	}
	o.close()
	return c.ok(http.StatusOK, o), nil
}

// self is the target of rules about things that do not exist yet: the caller's own.
func (c *call) self() policy.Target {
	return policy.Target{ProjectID: c.caller.ProjectID, UserID: c.caller.UserID}
}

// findCluster finds the cluster of the path and asks whether the caller may do what rule names to it. everywhere is the
// rule that lets the caller find clusters of all projects; without it those of others do not exist (404), as in Magnum.
func (s *server) findCluster(ctx context.Context, c *call, rule, everywhere string) (*magnum.Cluster, policy.Grant, error) {
	k, err := s.Clusters.Cluster(ctx, s.Policy.Scope(c.caller, everywhere), c.r.PathValue("cluster"))
	if err != nil {
		return nil, policy.Grant{}, err
	}
	g, err := s.Policy.Authorize(c.caller, rule, policy.Target{ProjectID: k.ProjectID, UserID: k.UserID})
	return k, g, err
}

// clusterOrder is how clusters may be sorted: by the columns of Magnum's table.
func clusterOrder(key string) order[*magnum.Cluster] {
	type k = *magnum.Cluster
	if key == "id" { // nearly every request
		return order[k]{"id": field(func(c k) int64 { return c.ID })}
	}
	return order[k]{
		"uuid":                field(func(c k) string { return c.UUID }),
		"name":                field(func(c k) string { return c.Name }),
		"project_id":          field(func(c k) string { return c.ProjectID }),
		"user_id":             field(func(c k) string { return c.UserID }),
		"cluster_template_id": field(func(c k) string { return c.ClusterTemplateID }),
		"keypair":             field(func(c k) string { return c.Keypair }),
		"docker_volume_size":  field(func(c k) int { return c.DockerVolumeSize }),
		"master_flavor_id":    field(func(c k) string { return c.MasterFlavorID }),
		"flavor_id":           field(func(c k) string { return c.FlavorID }),
		"stack_id":            field(func(c k) string { return c.StackID }),
		"create_timeout":      field(func(c k) int { return c.CreateTimeout }),
		"discovery_url":       field(func(c k) string { return c.DiscoveryURL }),
		"fixed_network":       field(func(c k) string { return c.FixedNetwork }),
		"fixed_subnet":        field(func(c k) string { return c.FixedSubnet }),
		"floating_ip_enabled": flag(func(c k) bool { return c.FloatingIPEnabled }),
		"master_lb_enabled":   flag(func(c k) bool { return c.MasterLBEnabled }),
		"status":              field(func(c k) string { return string(c.Status) }),
		"status_reason":       field(func(c k) string { return c.StatusReason }),
		"health_status":       field(func(c k) string { return string(c.Health) }),
		"api_address":         field(func(c k) string { return c.APIAddress }),
		"coe_version":         field(func(c k) string { return c.COEVersion }),
		"container_version":   field(func(c k) string { return c.ContainerVersion }),
		"created_at":          field(func(c k) int64 { return c.CreatedAt.UnixMicro() }),
		"updated_at":          field(func(c k) int64 { return c.UpdatedAt.UnixMicro() }),
	}
}

// clusterShort writes what lists show.
func (o *object) clusterShort(c *call, k *magnum.Cluster) {
	o.str("uuid", k.UUID)
	o.str("name", k.Name)
	o.str("cluster_template_id", k.ClusterTemplateID)
	o.text("keypair", k.Keypair)
	o.integer("node_count", k.NodeCount)
	o.integer("master_count", k.MasterCount)
	o.size("docker_volume_size", k.DockerVolumeSize)
	o.dict("labels", k.Labels)
	o.text("master_flavor_id", k.MasterFlavorID)
	o.text("flavor_id", k.FlavorID)
	o.integer("create_timeout", k.CreateTimeout)
	o.links(c.base, "clusters", k.UUID)
	if c.version >= 13 {
		o.text("cluster_id", k.StackID)
	} else {
		o.text("stack_id", k.StackID)
	}
	o.str("status", string(k.Status))
	o.text("health_status", string(k.Health))
	o.boolean("merge_labels", false)
}

// clusterFull adds what one cluster and detailed lists show.
func (o *object) clusterFull(c *call, k *magnum.Cluster) {
	o.clusterShort(c, k)
	o.text("status_reason", k.StatusReason)
	o.dict("health_status_reason", k.HealthReason)
	o.text("discovery_url", k.DiscoveryURL)
	o.text("api_address", k.APIAddress)
	o.text("coe_version", k.COEVersion)
	o.text("container_version", k.ContainerVersion)
	o.str("project_id", k.ProjectID)
	o.str("user_id", k.UserID)
	o.list("node_addresses", k.NodeAddresses)
	o.list("master_addresses", k.MasterAddresses)
	o.text("fixed_network", k.FixedNetwork)
	o.text("fixed_subnet", k.FixedSubnet)
	o.boolean("floating_ip_enabled", k.FloatingIPEnabled)
	o.boolean("master_lb_enabled", k.MasterLBEnabled)
	o.labelDiff(k.Template.Labels, k.Labels)
	o.date("created_at", k.CreatedAt)
	o.date("updated_at", k.UpdatedAt)
}
