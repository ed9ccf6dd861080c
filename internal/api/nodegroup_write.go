package api

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// groupInvalid refuses a node group that makes no sense. Magnum says 409 where everything else says 400.
func groupInvalid(attribute, group, why string) error {
	return magnum.Conflict("%s for %s is invalid (%s).", attribute, group, why)
}

func (s *server) createNodeGroup(ctx context.Context, c *call) (answer, error) {
	f, err := s.fields(c, "nodegroup")
	if err != nil {
		return answer{}, err
	}
	ng, merge := f.nodeGroup()
	if err := f.done(); err != nil {
		return answer{}, err
	}
	k, g, err := s.findCluster(ctx, c, "nodegroup:create", "")
	if err != nil {
		return answer{}, err
	}
	if err := s.checkNewGroup(ctx, g, k, &ng); err != nil {
		return answer{}, err
	}
	ng.UUID, ng.ClusterID, ng.ProjectID, ng.StackID = s.newUUID(), k.UUID, k.ProjectID, k.StackID
	ng.ImageID = textOr(ng.ImageID, k.Template.ImageID)
	ng.FlavorID = textOr(ng.FlavorID, k.FlavorID)
	if ng.DockerVolumeSize == 0 {
		ng.DockerVolumeSize = k.DockerVolumeSize
	}
	ng.Labels = chooseLabels(k.Labels, ng.Labels, merge)
	if err := s.judgeGroup(ctx, c, g, k, &ng); err != nil {
		return answer{}, err
	}
	ng.Version = kubernetesOf(k)
	stored, err := s.NodeGroups.CreateNodeGroup(ctx, g, ng)
	if err != nil {
		return answer{}, err
	}
	return c.nodeGroup(http.StatusAccepted, k, stored), nil
}

// judgeGroup tells everything that is wrong with a new group, and settles its bounds and what its names mean.
func (s *server) judgeGroup(ctx context.Context, c *call, g policy.Grant, k *magnum.Cluster, ng *magnum.NodeGroup) error {
	wrong := s.checkLabels(label.NodeGroup, ng.Labels)
	problems := []error{wrong, checkClustersLabels(k.Labels, ng.Labels)}
	if wrong == nil {
		problems = append(problems, s.checkGroupEffect(k, ng))
	} else {
		ng.Labels = label.Sound(ng.Labels)
	}
	fewest, most := label.Bounds(ng.Labels)
	ng.GiveBounds(fewest, most, autoscaled(k))
	problems = append(problems, checkGroup(ng, autoscaled(k)), s.checkGrowth(ctx, c, k, ng.NodeCount))
	all, err := s.fleetWith(ctx, g, k, ng)
	if err != nil {
		return err
	}
	ng.Resolved, err = s.resolve(ctx, c, resources{
		image: ng.ImageID, flavor: ng.FlavorID, needsDisk: !s.bootsFromVolume(ng.Labels),
		labels: ng.Labels, scope: label.NodeGroup, kubeTag: kubernetesOf(k),
		containerVolume: ng.DockerVolumeSize, doubtful: wrong != nil, fleet: &all,
	})
	return allAtOnce(append(problems, err)...)
}

// checkClustersLabels refuses labels of a node group that only a cluster as a whole can have, with another value than
// its cluster's: they would be shown and never act. A copy of the cluster's labels is what Magnum makes, and labels
// that nobody knows are anybody's.
func checkClustersLabels(clusters, labels map[string]string) error {
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		l, known := label.Lookup(name)
		if was, has := clusters[name]; !known || l.In(label.NodeGroup) || has && was == labels[name] {
			continue
		}
		problems = append(problems, "Label "+name+" is that of the whole cluster, and a node group cannot have another value.")
	}
	return newProblems(nil, problems)
}

// nodeGroup reads a new node group's attributes.
func (f *fields) nodeGroup() (ng magnum.NodeGroup, merge bool) {
	f.readOnly("id", "cluster_id", "project_id", "links", "node_addresses", "is_default", "stack_id", "version", "labels_overridden",
		"labels_added", "labels_skipped", "created_at", "updated_at")
	f.ignore("uuid", "status", "status_reason")
	ng.Name, _ = f.name("name")
	if v, there := f.take("name"); !there { // Magnum fails with 500
		f.wrong("name", v, "Mandatory field missing.")
	}
	ng.Role = magnum.RoleWorker
	if v, given := f.name("role"); given {
		ng.Role = v
	}
	ng.NodeCount = numberOr(1)(f.integer("node_count", 0, maxCount))
	ng.MinNodeCount, _ = f.integer("min_node_count", 0, maxCount)
	if v, given := f.integer("max_node_count", 0, maxCount); given {
		ng.MaxNodeCount = &v
	}
	ng.FlavorID, _ = f.name("flavor_id")
	ng.ImageID, _ = f.name("image_id")
	ng.DockerVolumeSize, _ = f.integer("docker_volume_size", 1, maxGiB)
	ng.Labels, _ = f.labels("labels")
	merge, _ = f.boolean("merge_labels")
	ng.NodeLabels, _ = f.labels("node_labels")
	ng.NodeTaints = f.taints("node_taints")
	return ng, merge
}

const maxTaints = 64

// taints reads a list of {key, value, effect}; what they may be is checked later, because that is another status.
func (f *fields) taints(name string) []magnum.Taint {
	v, ok := f.take(name)
	if !ok {
		return nil
	}
	items, ok := v.([]any)
	if !ok || len(items) > maxTaints {
		f.wrong(name, v, fmt.Sprintf("A list of at most %d taints is expected.", maxTaints))
		return nil
	}
	out := make([]magnum.Taint, 0, len(items))
	for _, item := range items {
		values, ok := item.(map[string]any)
		if !ok {
			f.wrong(name, item, "Each taint is a dictionary with key, effect and, if you like, value.")
			return nil
		}
		inner := &fields{arg: name, values: values, seen: map[string]bool{}, strict: f.strict}
		var t magnum.Taint
		t.Key, _ = inner.text("key", 0, 512)
		t.Value, _ = inner.text("value", 0, 512)
		t.Effect, _ = inner.text("effect", 0, 64)
		if err := inner.done(); err != nil {
			f.problems = append(f.problems, err.Error())
			return nil
		}
		out = append(out, t)
	}
	return out
}

// checkNewGroup holds a new group to its cluster (Magnum 1.14, in its order).
func (s *server) checkNewGroup(ctx context.Context, g policy.Grant, k *magnum.Cluster, ng *magnum.NodeGroup) error {
	if err := checkGroupState(k, "Creating"); err != nil {
		return err
	}
	if k.APIAddress == "" {
		return magnum.Conflict("Cluster API address is not available yet")
	}
	groups, err := s.NodeGroups.NodeGroups(ctx, g, k.UUID)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(groups, func(o *magnum.NodeGroup) bool { return o.Name == ng.Name }) {
		return magnum.Conflict("A node group with name %s already exists in the cluster %s.", ng.Name, k.UUID)
	}
	if ng.Role == magnum.RoleMaster {
		return magnum.Invalid("Creating master NodeGroups is currently not supported.")
	}
	if at := slices.IndexFunc(groups, func(o *magnum.NodeGroup) bool { return o.DeploymentName() == ng.DeploymentName() }); at >= 0 {
		return groupInvalid("name", ng.Name, fmt.Sprintf("node group %s has the same name in Kubernetes, %s", groups[at].Name, ng.DeploymentName()))
	}
	return nil
}

// checkGroup holds a group to itself, whether it is new or was patched: the rules are package magnum's, which whoever
// writes the group for Cluster API asks too. A group that the autoscaler sizes is brought up to a minimum that it does
// not have.
func checkGroup(ng *magnum.NodeGroup, autoscaled bool) error {
	faults := magnum.CheckNodeGroup(ng)
	if !autoscaled || ng.NodeCount >= ng.MinNodeCount {
		faults = append(faults, magnum.CheckNodeCount(ng)...)
	}
	if ng.Resize != ng.Resized { // a size that was asked for and is not there yet is within the bounds as well
		asked := *ng
		asked.NodeCount = ng.Asked
		faults = append(faults, magnum.CheckNodeCount(&asked)...)
	}
	if len(faults) == 0 {
		return nil
	}
	return groupInvalid(faults[0].Attribute, magnum.Shorten(ng.Name, 100), faults[0].Why)
}

func autoscaled(k *magnum.Cluster) bool { return label.Of(k.Labels).Bool(label.AutoScalingEnabled) }

func nodeGroupPatchRules() patchRules {
	return patchRules{
		internal: []string{
			"id", "uuid", "name", "cluster_id", "project_id", "docker_volume_size", "labels", "links", "flavor_id",
			"image_id", "node_addresses", "node_count", "role", "is_default", "stack_id", "status", "status_reason", "version",
			"merge_labels", "labels_overridden", "labels_added", "labels_skipped", "created_at", "updated_at",
		},
		literals: []string{"node_labels", "node_taints"},
	}
}

func nodeGroupDocument(ng *magnum.NodeGroup) document {
	taints := make([]any, 0, len(ng.NodeTaints))
	for _, t := range ng.NodeTaints {
		taints = append(taints, map[string]any{"key": t.Key, "value": orNull(t.Value), "effect": t.Effect})
	}
	doc := document{
		"min_node_count": number(ng.MinNodeCount), "max_node_count": nil,
		"node_labels": dictionary(ng.NodeLabels), "node_taints": taints,
	}
	if ng.MaxNodeCount != nil {
		doc["max_node_count"] = number(*ng.MaxNodeCount)
	}
	return doc
}

// patchNodeGroup changes a group's bounds, node labels and taints. Its size is the matter of actions/resize.
func (s *server) patchNodeGroup(ctx context.Context, c *call) (answer, error) {
	p, err := s.patch(c, nodeGroupPatchRules())
	if err != nil {
		return answer{}, err
	}
	k, g, err := s.findCluster(ctx, c, "nodegroup:update", "")
	if err != nil {
		return answer{}, err
	}
	ng, err := s.NodeGroups.NodeGroup(ctx, g, k.UUID, c.r.PathValue("nodegroup"))
	if err != nil {
		return answer{}, err
	}
	if err := checkGroupState(k, "Updating"); err != nil {
		return answer{}, err
	}
	changed, err := s.NodeGroups.UpdateNodeGroup(ctx, g, k.UUID, ng.UUID, func(now *magnum.NodeGroup) error {
		doc, had := nodeGroupDocument(now), now.MaxNodeCount != nil
		if err := p.apply(doc); err != nil {
			return err
		}
		f := doc.fields("nodegroup", s.Config.MaxLabels)
		now.MinNodeCount, _ = f.integer("min_node_count", 0, maxCount)
		now.MaxNodeCount = nil
		if most, given := f.integer("max_node_count", 0, maxCount); given {
			now.MaxNodeCount = &most
		}
		now.NodeLabels, _ = f.labels("node_labels")
		now.NodeTaints = f.taints("node_taints")
		if err := f.done(); err != nil {
			return err
		}
		if autoscaled(k) && had && now.MaxNodeCount == nil {
			return groupInvalid("max_node_count", magnum.Shorten(now.Name, 100), "a group that the autoscaler sizes has a maximum: replace it")
		}
		return checkGroup(now, autoscaled(k))
	})
	if err != nil {
		return answer{}, err
	}
	shown := *changed
	if shown.StackID == "" {
		shown.StackID = k.StackID
	}
	return c.nodeGroup(http.StatusAccepted, k, &shown), nil
}
