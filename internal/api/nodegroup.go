package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

func (s *server) listNodeGroups(ctx context.Context, c *call) (answer, error) {
	k, g, err := s.findCluster(ctx, c, "nodegroup:get_all", "nodegroup:get_all_all_projects")
	if err != nil {
		return answer{}, err
	}
	p, err := s.page(c)
	if err != nil {
		return answer{}, err
	}
	if err := p.uuidMarker(); err != nil {
		return answer{}, err
	}
	all, err := s.NodeGroups.NodeGroups(ctx, g, k.UUID)
	if err != nil {
		return answer{}, err
	}
	if role := c.query.Get("role"); role != "" {
		all = slices.DeleteFunc(slices.Clone(all), func(ng *magnum.NodeGroup) bool { return ng.Role != role })
	}
	list, err := paginate(c, all, p, nodeGroupOrder(), func(ng *magnum.NodeGroup) string { return ng.UUID }, "Nodegroup",
		"clusters/"+k.UUID+"/nodegroups")
	if err != nil {
		return answer{}, err
	}
	return writeList(c, "nodegroups", list, (*object).nodeGroupShort), nil
}

func nodeGroupOrder() order[*magnum.NodeGroup] {
	type g = *magnum.NodeGroup
	return order[g]{
		"id":                 field(func(n g) int64 { return n.ID }),
		"uuid":               field(func(n g) string { return n.UUID }),
		"name":               field(func(n g) string { return n.Name }),
		"cluster_id":         field(func(n g) string { return n.ClusterID }),
		"project_id":         field(func(n g) string { return n.ProjectID }),
		"flavor_id":          field(func(n g) string { return n.FlavorID }),
		"image_id":           field(func(n g) string { return n.ImageID }),
		"docker_volume_size": field(func(n g) int { return n.DockerVolumeSize }),
		"node_count":         field(func(n g) int { return n.NodeCount }),
		"min_node_count":     field(func(n g) int { return n.MinNodeCount }),
		"role":               field(func(n g) string { return n.Role }),
		"is_default":         flag(func(n g) bool { return n.IsDefault }),
		"stack_id":           field(func(n g) string { return n.StackID }),
		"status":             field(func(n g) string { return string(n.Status) }),
		"status_reason":      field(func(n g) string { return n.StatusReason }),
		"version":            field(func(n g) string { return n.Version }),
		"created_at":         field(func(n g) int64 { return n.CreatedAt.UnixMicro() }),
		"updated_at":         field(func(n g) int64 { return n.UpdatedAt.UnixMicro() }),
	}
}

func (s *server) getNodeGroup(ctx context.Context, c *call) (answer, error) {
	k, g, err := s.findCluster(ctx, c, "nodegroup:get", "nodegroup:get_one_all_projects")
	if err != nil {
		return answer{}, err
	}
	ng, err := s.NodeGroups.NodeGroup(ctx, g, k.UUID, c.r.PathValue("nodegroup"))
	if err != nil {
		return answer{}, err
	}
	return c.nodeGroup(http.StatusOK, k, ng), nil
}

func (c *call) nodeGroup(status int, k *magnum.Cluster, ng *magnum.NodeGroup) answer {
	o := c.object()
	o.open()
	o.nodeGroup(c, k, ng)
	o.close()
	return c.ok(status, o)
}

// nodeGroupShort writes what lists show. Magnum shows min_node_count 0 and max_node_count null here whatever they are;
// these are true, which spares clients a request for each group.
func (o *object) nodeGroupShort(ng *magnum.NodeGroup) {
	o.str("uuid", ng.UUID)
	o.str("name", ng.Name)
	o.text("flavor_id", ng.FlavorID)
	o.text("image_id", ng.ImageID)
	o.integer("node_count", ng.NodeCount)
	o.str("role", ng.Role)
	o.integer("min_node_count", ng.MinNodeCount)
	if ng.MaxNodeCount != nil {
		o.integer("max_node_count", *ng.MaxNodeCount)
	} else {
		o.null("max_node_count")
	}
	o.boolean("is_default", ng.IsDefault)
	o.text("stack_id", ng.StackID)
	o.text("status", string(ng.Status))
	o.boolean("merge_labels", false)
}

// nodeGroup writes all of a node group. Labels are compared with the cluster's.
func (o *object) nodeGroup(c *call, k *magnum.Cluster, ng *magnum.NodeGroup) {
	o.nodeGroupShort(ng)
	o.long("id", ng.ID)
	o.str("cluster_id", ng.ClusterID)
	o.str("project_id", ng.ProjectID)
	o.size("docker_volume_size", ng.DockerVolumeSize)
	o.dict("labels", ng.Labels)
	o.links(c.base, "clusters", ng.ClusterID, "nodegroups", ng.UUID)
	o.list("node_addresses", ng.NodeAddresses)
	o.text("status_reason", ng.StatusReason)
	o.text("version", ng.Version)
	o.labelDiff(k.Labels, ng.Labels)
	o.dict("node_labels", ng.NodeLabels)
	o.key("node_taints")
	o.raw("[")
	for _, t := range ng.NodeTaints {
		o.open()
		o.str("key", t.Key)
		o.text("value", t.Value)
		o.str("effect", t.Effect)
		o.close()
		o.raw(",")
	}
	o.end(']')
	o.raw(",")
	o.date("created_at", ng.CreatedAt)
	o.date("updated_at", ng.UpdatedAt)
}

// deleteNodeGroup ends a group that somebody added; the two default ones live as long as their cluster.
func (s *server) deleteNodeGroup(ctx context.Context, c *call) (answer, error) {
	k, g, err := s.findCluster(ctx, c, "nodegroup:delete", "")
	if err != nil {
		return answer{}, err
	}
	ng, err := s.NodeGroups.NodeGroup(ctx, g, k.UUID, c.r.PathValue("nodegroup"))
	if err != nil {
		return answer{}, err
	}
	if ng.IsDefault {
		return answer{}, magnum.Invalid("Deleting a default nodegroup is not supported.")
	}
	if err := checkGroupState(k, "Deleting"); err != nil {
		return answer{}, err
	}
	if err := s.NodeGroups.DeleteNodeGroup(ctx, g, k.UUID, ng.UUID); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}

// checkGroupState refuses work on node groups while the cluster's state forbids it. Magnum answers 202 or 204 and only
// logs the refusal; a client should know.
func checkGroupState(k *magnum.Cluster, doing string) error {
	if k.Status.AllowsResize() {
		return nil
	}
	return magnum.Conflict("%s a nodegroup when status of the cluster is %q is not supported.", doing, k.Status)
}
