package api

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

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
	if err := s.checkLabels(label.NodeGroup, ng.Labels); err != nil {
		return answer{}, err
	}
	ng.Resolved, err = s.resolve(ctx, c, resources{
		image: ng.ImageID, flavor: ng.FlavorID, masterFlavor: ng.FlavorID, needsDisk: !s.bootsFromVolume(ng.Labels),
	})
	if err != nil {
		return answer{}, err
	}
	ng.Resolved.MasterFlavorName = ""
	ng.Version = k.Labels[label.KubeTag]
	stored, err := s.NodeGroups.CreateNodeGroup(ctx, g, ng)
	if err != nil {
		return answer{}, err
	}
	return c.nodeGroup(http.StatusAccepted, k, stored), nil
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
	if !magnum.ValidNodeGroupName(ng.Name) {
		return groupInvalid("name", short(ng.Name, 100), "a name has at most 63 lower case letters, digits, '-' and '.', "+
			"and begins and ends with a letter or digit")
	}
	if !labelText.MatchString(ng.Role) {
		return groupInvalid("role", ng.Name, "a role becomes part of node labels: letters, digits, '-', '_' and '.', at most 63")
	}
	return checkGroup(ng)
}

// checkGroup holds a group to itself, whether it is new or was patched.
func checkGroup(ng *magnum.NodeGroup) error {
	if most := ng.MaxNodeCount; most != nil {
		if *most < ng.MinNodeCount {
			return groupInvalid("min_node_count", ng.Name, fmt.Sprintf("min_node_count (%d) should be less or equal to max_node_count (%d)",
				ng.MinNodeCount, *most))
		}
		if ng.NodeCount > *most {
			return groupInvalid("node_count", ng.Name, fmt.Sprintf("node_count (%d) should be less or equal to max_node_count (%d)",
				ng.NodeCount, *most))
		}
	}
	if ng.NodeCount < ng.MinNodeCount {
		return groupInvalid("node_count", ng.Name, fmt.Sprintf("min_node_count (%d) should be less or equal to node_count (%d)",
			ng.MinNodeCount, ng.NodeCount))
	}
	if ng.Role == magnum.RoleMaster && len(ng.NodeLabels)+len(ng.NodeTaints) > 0 {
		return groupInvalid("node_labels or node_taints", ng.Name, "masters cannot have them")
	}
	for _, k := range slices.Sorted(maps.Keys(ng.NodeLabels)) {
		if why := nodeLabelProblem(k, ng.NodeLabels[k]); why != "" {
			return groupInvalid("node_labels", ng.Name, why)
		}
	}
	for _, t := range ng.NodeTaints {
		if why := taintProblem(t); why != "" {
			return groupInvalid("node_taints", ng.Name, why)
		}
	}
	return nil
}

var (
	labelText   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	labelPrefix = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

func nodeLabelProblem(k, v string) string {
	if !qualified(k) || v != "" && !labelText.MatchString(v) {
		return fmt.Sprintf("%q: %q is not a Kubernetes label", short(k, 100), short(v, 100))
	}
	if prefix, _, has := strings.Cut(k, "/"); has && reserved(prefix) && !kubeletMaySet(k, prefix) {
		return fmt.Sprintf("%q is in a namespace that Kubernetes keeps to itself", short(k, 100))
	}
	return ""
}

// qualified tells whether a key is "name" or "domain/name" as Kubernetes wants it.
func qualified(key string) bool {
	prefix, name, has := strings.Cut(key, "/")
	if !has {
		return labelText.MatchString(key)
	}
	return len(prefix) <= 253 && labelPrefix.MatchString(prefix) && labelText.MatchString(name)
}

func reserved(prefix string) bool {
	for _, domain := range []string{"kubernetes.io", "k8s.io"} {
		if prefix == domain || strings.HasSuffix(prefix, "."+domain) {
			return true
		}
	}
	return false
}

// kubeletMaySet is the kubelet's own list (k8s.io/kubelet, pkg/apis/well_known_labels.go).
func kubeletMaySet(key, prefix string) bool {
	for _, domain := range []string{"kubelet.kubernetes.io", "node.kubernetes.io"} {
		if prefix == domain || strings.HasSuffix(prefix, "."+domain) {
			return true
		}
	}
	return slices.Contains([]string{
		"kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch",
		"beta.kubernetes.io/os", "beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type",
		"topology.kubernetes.io/zone", "topology.kubernetes.io/region",
		"failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
	}, key)
}

func taintProblem(t magnum.Taint) string {
	switch {
	case t.Key == "" || !qualified(t.Key):
		return fmt.Sprintf("%q is not the key of a taint", short(t.Key, 100))
	case t.Value != "" && !labelText.MatchString(t.Value):
		return fmt.Sprintf("%q is not the value of a taint", short(t.Value, 100))
	case !slices.Contains([]string{"NoSchedule", "PreferNoSchedule", "NoExecute"}, t.Effect):
		return fmt.Sprintf("the effect %q is not one of NoSchedule, PreferNoSchedule, NoExecute", short(t.Effect, 100))
	}
	return ""
}

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
		doc := nodeGroupDocument(now)
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
		return checkGroup(now)
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
