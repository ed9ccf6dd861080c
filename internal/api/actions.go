package api

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// resizeCluster sets the size of one node group, the default workers unless another is named.
func (s *server) resizeCluster(ctx context.Context, c *call) (answer, error) {
	f, err := s.fields(c, "cluster_resize_req")
	if err != nil {
		return answer{}, err
	}
	atLeast := 0
	if c.version < 10 {
		atLeast = 1 // Magnum 1.10: down to no workers
	}
	nodes, given := f.integer("node_count", atLeast, maxCount)
	if _, there := f.take("node_count"); !given && !there {
		f.mandatory("node_count")
	}
	remove := f.texts("nodes_to_remove", maxCount)
	ident := optionalText(f, "nodegroup")
	if err := f.done(); err != nil {
		return answer{}, err
	}
	k, g, err := s.findCluster(ctx, c, "cluster:resize", "")
	if err != nil {
		return answer{}, err
	}
	ng, err := s.NodeGroups.NodeGroup(ctx, g, k.UUID, textOr(ident, magnum.DefaultWorker))
	if err != nil {
		return answer{}, err
	}
	// Magnum answers 202 and only logs that the state forbids it; a client should know.
	if !k.Status.AllowsResize() {
		return answer{}, magnum.Conflict("Resizing a cluster when status is %q is not supported.", k.Status)
	}
	var problems []error
	if ng.Role == magnum.RoleMaster {
		problems = append(problems, checkMasterCount(nodes), checkLoadBalancer(nodes, k.MasterLBEnabled))
	}
	if err := allAtOnce(append(problems, checkSize(ng, nodes), s.checkGrowth(ctx, c, k, nodes-ng.NodeCount),
		s.checkLimits(ctx, c, g, k, ng, nodes))...); err != nil {
		return answer{}, err
	}
	if remove, err = s.checkRemoval(ctx, c, g, ng, nodes, remove); err != nil {
		return answer{}, err
	}
	if err := s.resizeGroup(ctx, g, ng, nodes, remove); err != nil {
		return answer{}, err
	}
	return c.accepted(k.UUID), nil
}

// checkRemoval holds nodes_to_remove to the nodes there are, and returns the machines that they name, however often and
// in whatever way each was named. Magnum takes anything, and removes another node when a name means nothing.
func (s *server) checkRemoval(ctx context.Context, c *call, g policy.Grant, ng *magnum.NodeGroup, nodes int, remove []string) ([]string, error) {
	if len(remove) == 0 {
		return nil, nil
	}
	machines, unknown, err := s.NodeGroups.FindNodes(ctx, g, ng.ClusterID, ng.UUID, remove)
	if err != nil {
		return nil, err
	}
	if len(unknown) > 0 { // a machine may be known by its server's name only
		cloud := s.CloudFor(c.token, c.identity)
		remove = slices.Clone(remove)
		for i, node := range remove {
			if !slices.Contains(unknown, node) {
				continue
			}
			if name, err := cloud.ServerName(ctx, node); err == nil && name != "" {
				remove[i] = name
			}
		}
		if machines, unknown, err = s.NodeGroups.FindNodes(ctx, g, ng.ClusterID, ng.UUID, remove); err != nil {
			return nil, err
		}
	}
	switch {
	case len(unknown) > 0:
		slices.Sort(unknown)
		return nil, magnum.Invalid("Node group %s has no node %s. Name nodes by server id, server name or node name.",
			ng.Name, magnum.Shorten(strings.Join(slices.Compact(unknown), ", "), 300))
	case nodes > ng.NodeCount-len(machines):
		return nil, magnum.Invalid("Node group %s has %s. Without those that are named (%d) it cannot have %d.", ng.Name,
			magnum.Count(ng.NodeCount, "node"), len(machines), nodes)
	}
	return machines, nil
}

func optionalText(f *fields, name string) string {
	v, _ := f.text(name, 0, 255)
	return v
}

// resizeGroup changes how many nodes a group has, within the bounds it was given.
func (s *server) resizeGroup(ctx context.Context, g policy.Grant, ng *magnum.NodeGroup, nodes int, remove []string) error {
	_, err := s.NodeGroups.UpdateNodeGroup(ctx, g, ng.ClusterID, ng.UUID, func(now *magnum.NodeGroup) error {
		if err := checkSize(now, nodes); err != nil {
			return err
		}
		now.AskSize(nodes, remove)
		return nil
	})
	return err
}

// checkSize refuses a size outside a group's bounds, and any of a group that goes.
func checkSize(ng *magnum.NodeGroup, nodes int) error {
	outside := nodes < ng.MinNodeCount || ng.MaxNodeCount != nil && nodes > *ng.MaxNodeCount
	if ng.Role != magnum.RoleMaster && outside {
		most := "None"
		if ng.MaxNodeCount != nil {
			most = strconv.Itoa(*ng.MaxNodeCount)
		}
		return magnum.Invalid("Resizing %s outside the allowed range: min_node_count = %d, max_node_count = %s", ng.Name, ng.MinNodeCount, most)
	}
	if ng.Status.Deleting() {
		return magnum.Conflict("Nodegroup %s is being deleted.", ng.Name)
	}
	return nil
}

// upgradeCluster moves a cluster to another template's Kubernetes version and image. Unlike resize, Magnum does this
// while the client waits, so a state that forbids it is its 400.
func (s *server) upgradeCluster(ctx context.Context, c *call) (answer, error) {
	if c.version < 8 {
		return answer{}, magnum.Invalid("Cluster upgrade is not supported in the provided microversion.")
	}
	f, err := s.fields(c, "cluster_upgrade_req")
	if err != nil {
		return answer{}, err
	}
	templateIdent, given := f.name("cluster_template")
	if _, there := f.take("cluster_template"); !given && !there {
		f.mandatory("cluster_template")
	}
	// Magnum fails with 500 when it is not given.
	atOnce, _ := f.integer("max_batch_size", 1, maxCount)
	groupIdent := optionalText(f, "nodegroup")
	if err := f.done(); err != nil {
		return answer{}, err
	}
	const everywhere = "cluster:upgrade_all_projects"
	k, g, err := s.findCluster(ctx, c, "cluster:upgrade", everywhere)
	if err != nil {
		return answer{}, err
	}
	t, err := s.Templates.Template(ctx, s.Policy.Scope(c.caller, everywhere), templateIdent)
	if err != nil {
		return answer{}, err
	}
	ng, err := s.NodeGroups.NodeGroup(ctx, g, k.UUID, textOr(groupIdent, magnum.DefaultWorker))
	if err != nil {
		return answer{}, err
	}
	if !ng.IsDefault && t.UUID != k.ClusterTemplateID {
		return answer{}, magnum.Conflict("Cluster Template is not valid for upgrade: Nodegroup %s can be upgraded only to match "+
			"cluster's template (%s).", ng.Name, k.ClusterTemplateID)
	}
	if !k.Status.AllowsUpdate() {
		return answer{}, magnum.Invalid("Upgrading a cluster when status is %q is not supported.", k.Status)
	}
	wanted := *t
	wanted.Labels = chooseLabels(t.Labels, nil, false)
	if err := s.tagFromImage(ctx, c, wanted.Labels, t.ImageID); err != nil {
		return answer{}, err
	}
	t = &wanted
	if err := checkSkew(kubernetesOf(k), t.Labels[label.KubeTag]); err != nil {
		return answer{}, err
	}
	after := chooseLabels(k.Labels, map[string]string{label.KubeTag: t.Labels[label.KubeTag]}, true)
	if err := s.addonsFor(t.NetworkDriver, after, kubernetesOf(k)); err != nil {
		return answer{}, err
	}
	if err := s.checkLaggards(ctx, g, k, t); err != nil {
		return answer{}, err
	}
	note, err := s.lookInto(ctx, g, k, t.Labels[label.KubeTag])
	if err != nil {
		return answer{}, err
	}
	if err := s.upgrade(ctx, c, g, k, t, ng, atOnce, note); err != nil {
		return answer{}, err
	}
	return c.accepted(k.UUID), nil
}

// upgrade writes what the controllers then make true. Only version and image move: a cluster keeps its other labels
// (magnum-cluster-api, driver.py), and its copy of the template moves as a whole. It is one write, which the cluster
// controller carries to the groups, so that it cannot stop half-way.
func (s *server) upgrade(
	ctx context.Context, c *call, g policy.Grant, k *magnum.Cluster, t *magnum.ClusterTemplate, only *magnum.NodeGroup, atOnce int,
	note string,
) error {
	if !only.IsDefault {
		return s.upgradeGroup(ctx, c, g, k, only, atOnce, note)
	}
	tag := t.Labels[label.KubeTag]
	groups, err := s.NodeGroups.NodeGroups(ctx, g, k.UUID)
	if err != nil {
		return err
	}
	next := k.NextUpgrade(atOnce)
	found, err := s.resolve(ctx, c, resources{
		image: t.ImageID, externalNetwork: t.ExternalNetworkID, kubeTag: tag,
		groups: slices.DeleteFunc(slices.Clone(groups), func(ng *magnum.NodeGroup) bool { return !ng.Follows(next) }),
	})
	if err != nil {
		return err
	}
	_, err = s.Clusters.UpdateCluster(ctx, g, k.UUID, func(now *magnum.Cluster) error {
		if !now.Status.AllowsUpdate() { // somebody was faster
			return magnum.Invalid("Upgrading a cluster when status is %q is not supported.", now.Status)
		}
		now.Labels = chooseLabels(now.Labels, map[string]string{label.KubeTag: tag}, true)
		now.Upgrade = now.NextUpgrade(atOnce)
		now.Upgrade.Note = note
		now.ClusterTemplateID, now.Template, now.OperationRequestID = t.UUID, *t, c.requestID
		now.Resolved.ImageID, now.Resolved.ImageOSDistro = found.ImageID, found.ImageOSDistro
		now.Resolved.HardwareDiskBus, now.Resolved.ExternalNetworkID = found.HardwareDiskBus, found.ExternalNetworkID
		return nil
	})
	return err
}

// upgradeGroup brings one further group to its cluster's version. A group that has the image of the cluster's template,
// now or before its last upgrade, gets that image as it is now; one with an image of its own gets its own, as it is
// now.
func (s *server) upgradeGroup(
	ctx context.Context, c *call, g policy.Grant, k *magnum.Cluster, ng *magnum.NodeGroup, atOnce int, note string,
) error {
	image := ng.ImageID
	if image == k.Upgrade.FromImage {
		image = k.Template.ImageID
	}
	found, err := s.resolve(ctx, c, resources{image: image, kubeTag: kubernetesOf(k), groups: []*magnum.NodeGroup{ng}})
	if err != nil {
		return err
	}
	_, err = s.NodeGroups.UpdateNodeGroup(ctx, g, ng.ClusterID, ng.UUID, func(now *magnum.NodeGroup) error {
		now.Upgrade, now.ImageID = now.Upgrade.Again(atOnce), image
		now.Upgrade.Note = note
		if _, has := now.Labels[label.KubeTag]; has { // a copy of the cluster's
			now.Labels[label.KubeTag] = kubernetesOf(k)
		}
		now.Resolved.ImageID, now.Resolved.ImageOSDistro = found.ImageID, found.ImageOSDistro
		now.Resolved.HardwareDiskBus = found.HardwareDiskBus
		return nil
	})
	return err
}

// checkLaggards refuses to go on to the next minor version while a group with an image of its own is still at the one
// before: Cluster API moves the control plane on only when every group has come to its version.
func (s *server) checkLaggards(ctx context.Context, g policy.Grant, k *magnum.Cluster, t *magnum.ClusterTemplate) error {
	from, okFrom := parseTag(kubernetesOf(k))
	to, okTo := parseTag(t.Labels[label.KubeTag])
	if !okFrom || !okTo || from[1] == to[1] {
		return nil
	}
	groups, err := s.NodeGroups.NodeGroups(ctx, g, k.UUID)
	if err != nil {
		return err
	}
	for _, ng := range groups {
		if tag := ng.Version; tag != "" && tag != kubernetesOf(k) && ng.Role != magnum.RoleMaster {
			return magnum.Invalid("Node group %s is still at Kubernetes %s, because it has an image of its own. Upgrade it by name first, to the "+
				"template that the cluster has now.", ng.Name, tag)
		}
	}
	return nil
}
