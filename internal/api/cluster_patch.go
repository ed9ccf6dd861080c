package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

func clusterPatchRules() patchRules {
	return patchRules{
		internal: []string{
			"created_at", "id", "links", "updated_at", "uuid", "project_id", "user_id", "api_address", "node_addresses",
			"master_addresses", "stack_id", "cluster_id", "ca_cert_ref", "magnum_cert_ref", "trust_id", "trustee_user_name",
			"trustee_password", "trustee_user_id", "etcd_ca_cert_ref", "front_proxy_ca_cert_ref",
		},
		fixed:    []string{"cluster_template_id"},
		literals: []string{"labels", "health_status_reason"},
	}
}

// clusterDocument is a cluster as patches see it.
func clusterDocument(k *magnum.Cluster) document {
	return document{
		"name": orNull(k.Name), "cluster_template_id": orNull(k.ClusterTemplateID), "keypair": orNull(k.Keypair),
		"node_count": number(k.NodeCount), "master_count": number(k.MasterCount),
		"docker_volume_size": numberOrNull(k.DockerVolumeSize), "labels": dictionary(k.Labels),
		"master_flavor_id": orNull(k.MasterFlavorID), "flavor_id": orNull(k.FlavorID),
		"create_timeout": number(k.CreateTimeout), "status": orNull(string(k.Status)), "status_reason": orNull(k.StatusReason),
		"health_status": orNull(string(k.Health)), "health_status_reason": dictionary(k.HealthReason),
		"discovery_url": orNull(k.DiscoveryURL), "coe_version": orNull(k.COEVersion),
		"container_version": orNull(k.ContainerVersion), "fixed_network": orNull(k.FixedNetwork),
		"fixed_subnet": orNull(k.FixedSubnet), "floating_ip_enabled": k.FloatingIPEnabled, "master_lb_enabled": k.MasterLBEnabled,
	}
}

// patchCluster changes the number of workers, what is known of the health, or labels that say who may reach the
// cluster. Nothing else of a cluster can change (A4; labels are Jeroboam's own).
func (s *server) patchCluster(ctx context.Context, c *call) (answer, error) {
	if err := c.rollback(); err != nil {
		return answer{}, err
	}
	p, err := s.patch(c, clusterPatchRules())
	if err != nil {
		return answer{}, err
	}
	k, g, err := s.findCluster(ctx, c, "cluster:update", "cluster:update_all_projects")
	if err != nil {
		return answer{}, err
	}
	wanted := clusterDocument(k)
	if err := p.apply(wanted); err != nil {
		return answer{}, err
	}
	if wanted["node_count"] == nil {
		wanted["node_count"] = number(1) // removed: the default (Magnum 1.14)
	}
	// The "update cluster" of magnum-ui makes text of every value. Magnum 1.14 refuses that, so that the button does
	// nothing there.
	text, form := wanted["node_count"].(string)
	if n, err := strconv.Atoi(text); form && err == nil {
		wanted["node_count"] = number(n)
	}
	changed := clusterDocument(k).changed(wanted)
	refused := slices.DeleteFunc(slices.Clone(changed), func(name string) bool {
		return slices.Contains([]string{"node_count", "health_status", "health_status_reason", "labels"}, name)
	})
	if len(refused) > 0 {
		return answer{}, magnum.Invalid("cannot change cluster property(ies) %s.", strings.Join(refused, ", "))
	}
	f := wanted.fields("cluster", s.Config.MaxLabels)
	health, _ := f.enum("health_status", string(magnum.Healthy), string(magnum.Unhealthy), string(magnum.HealthUnknown))
	reason, _ := f.labels("health_status_reason")
	labels, _ := f.labels("labels")
	atLeast := 0
	if c.version < 10 && slices.Contains(changed, "node_count") {
		atLeast = 1
	}
	nodes, _ := f.integer("node_count", atLeast, maxCount)
	if len(f.problems) > 0 {
		return answer{}, magnum.Invalid("%s", sentences(f.problems))
	}
	if p.names("node_count") {
		if changed, err = s.meantWorkers(ctx, g, k, nodes, changed, form, len(p) == 1); err != nil {
			return answer{}, err
		}
	}
	writes, err := s.clusterWrites(ctx, c, g, k, changed, clusterPatch{labels, magnum.Health(health), reason, nodes})
	if err != nil {
		return answer{}, err
	}
	for _, write := range writes {
		if err := write(); err != nil {
			return answer{}, err
		}
	}
	return c.accepted(k.UUID), nil
}

// meantWorkers settles whether a patch that names the node count changes it, where the cluster shows another number
// than the default group's, which a patch means: the sum of all workers.
//
// Magnum 1.14 compares with the sum alone. A request whose number happens to be the sum is accepted there and does
// nothing, and Terraform, which means the default group, never comes to an end. So a patch of nothing else asks for
// that size. Beside other changes the sum is what the client has read and sends back: no change. And a form, which
// shows the sum, cannot mean the default group: any other number is refused.
func (s *server) meantWorkers(
	ctx context.Context, g policy.Grant, k *magnum.Cluster, nodes int, changed []string, form, alone bool,
) ([]string, error) {
	ng, err := s.NodeGroups.NodeGroup(ctx, g, k.UUID, magnum.DefaultWorker)
	if err != nil || ng.NodeCount == k.NodeCount {
		return changed, err
	}
	switch another := slices.Contains(changed, "node_count"); {
	case another && form:
		return nil, magnum.Invalid("The node_count %d is ambiguous, because the cluster's %d nodes are in several node groups. Resize one of the groups.",
			nodes, k.NodeCount)
	case !another && !form && alone && ng.NodeCount != nodes:
		return append(changed, "node_count"), nil
	}
	return changed, nil
}

// clusterPatch is what a patch asks of a cluster.
type clusterPatch struct {
	labels       map[string]string
	health       magnum.Health
	healthReason map[string]string
	nodes        int
}

// clusterWrites checks every part of a patch before the first is written, so that a refused part leaves the others
// undone. The node count is written last: it starts work that cannot be taken back.
func (s *server) clusterWrites(
	ctx context.Context, c *call, g policy.Grant, k *magnum.Cluster, changed []string, want clusterPatch,
) ([]func() error, error) {
	var writes []func() error
	if slices.Contains(changed, "labels") {
		write, err := s.relabel(ctx, c, g, k, want.labels)
		if err != nil {
			return nil, err
		}
		writes = append(writes, write)
	}
	if slices.ContainsFunc(changed, func(name string) bool { return strings.HasPrefix(name, "health_") }) {
		write, err := s.putHealth(ctx, c, g, k, want.health, want.healthReason)
		if err != nil {
			return nil, err
		}
		writes = append(writes, write)
	}
	if slices.Contains(changed, "node_count") {
		write, err := s.resizeWorkers(ctx, c, g, k, want.nodes)
		if err != nil {
			return nil, err
		}
		writes = append(writes, write)
	}
	return writes, nil
}

// relabel checks a change of labels, and returns what writes it. Only those that say who may reach a cluster can
// change; others are fixed when the cluster is made, as in Magnum.
func (s *server) relabel(ctx context.Context, c *call, g policy.Grant, k *magnum.Cluster, labels map[string]string) (func() error, error) {
	var fixed, unknown, changed []string
	for name := range merged(k.Labels, labels) {
		was, had := k.Labels[name]
		switch now, has := labels[name]; {
		case was == now && had == has:
		case !label.Mutable(name):
			fixed = append(fixed, name)
		case !slices.Contains(k.MutableLabels, name):
			unknown = append(unknown, name)
		default:
			changed = append(changed, name)
		}
	}
	slices.Sort(fixed)
	switch {
	case len(fixed) > 0:
		return nil, magnum.Invalid("cannot change cluster property(ies) labels. Labels that are fixed when a cluster is made: %s.",
			magnum.Shorten(strings.Join(fixed, ", "), 500))
	case len(unknown) > 0:
		slices.Sort(unknown)
		return nil, magnum.Invalid("The cluster is older than the label %s. Upgrade it first, to its own template.", strings.Join(unknown, ", "))
	case !k.Status.AllowsResize():
		return nil, magnum.Conflict("Updating a cluster when status is %q is not supported.", k.Status)
	}
	if err := s.checkNewLabels(label.Cluster, k.Labels, labels); err != nil {
		return nil, err
	}
	if slices.Contains(changed, label.APIServerAllowedCIDRs) {
		if err := s.checkAllowed(labels, k.MasterLBEnabled); err != nil {
			return nil, err
		}
	}
	return func() error {
		_, err := s.Clusters.UpdateCluster(ctx, g, k.UUID, func(now *magnum.Cluster) error {
			if !now.Status.AllowsResize() { // somebody was faster
				return magnum.Conflict("Updating a cluster when status is %q is not supported.", now.Status)
			}
			for _, name := range changed { // and no other: somebody may have changed that meanwhile
				if v, has := labels[name]; has {
					now.Labels[name] = v
				} else {
					delete(now.Labels, name)
				}
			}
			now.OperationRequestID = c.requestID
			return nil
		})
		return err
	}, nil
}

// merged has the keys of both.
func merged(a, b map[string]string) map[string]string {
	out := maps.Clone(b)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, a)
	return out
}

// rollback is an argument that nothing here can act on: Cluster API keeps going forward. It exists from 1.3 on.
func (c *call) rollback() error {
	if !c.query.Has("rollback") {
		return nil
	}
	if c.version < 3 {
		return unknownArgument("rollback")
	}
	if text := c.query.Get("rollback"); text != "" {
		if _, ok := toBoolean(text); !ok {
			return invalidInput("rollback", text, "A boolean is expected.")
		}
	}
	return nil
}

// putHealth checks that the caller may report health, and returns what keeps the report of an outside health checker
// (magnum-auto-healer). It is no change of the cluster: its state does not matter and does not move.
func (s *server) putHealth(
	ctx context.Context, c *call, g policy.Grant, k *magnum.Cluster, health magnum.Health, reason map[string]string,
) (func() error, error) {
	if _, err := s.Policy.Authorize(c.caller, "cluster:update_health_status", c.self()); err != nil {
		return nil, err
	}
	return func() error {
		_, err := s.Clusters.UpdateCluster(ctx, g, k.UUID, func(now *magnum.Cluster) error {
			now.Health, now.HealthReason, now.OperationRequestID = health, reason, c.requestID
			return nil
		})
		return err
	}, nil
}

// resizeWorkers checks a cluster's node count, and returns what writes it: it was compared with the sum over all groups
// and goes to the default group (Magnum 1.14).
func (s *server) resizeWorkers(ctx context.Context, c *call, g policy.Grant, k *magnum.Cluster, nodes int) (func() error, error) {
	// Magnum answers 202 and only logs that the state forbids it; a client should know.
	if !k.Status.AllowsUpdate() {
		return nil, magnum.Conflict("Updating a cluster when status is %q is not supported.", k.Status)
	}
	ng, err := s.NodeGroups.NodeGroup(ctx, g, k.UUID, magnum.DefaultWorker)
	if err != nil {
		return nil, err
	}
	if err := allAtOnce(checkSize(ng, nodes), s.checkGrowth(ctx, c, k, nodes-ng.NodeCount), s.checkLimits(ctx, c, g, k, ng, nodes)); err != nil {
		return nil, err
	}
	return func() error { return s.resizeGroup(ctx, g, ng, nodes, nil) }, nil
}

func (s *server) deleteCluster(ctx context.Context, c *call) (answer, error) {
	k, g, err := s.findCluster(ctx, c, "cluster:delete", "cluster:delete_all_projects")
	if err != nil {
		return answer{}, err
	}
	if err := s.Clusters.DeleteCluster(ctx, g, k.UUID); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}
