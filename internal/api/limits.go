package api

import (
	"context"
	"fmt"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// A fleet is all machines that a cluster is to have when a request has been followed.
type fleet struct {
	groups  []*magnum.NodeGroup         // with the sizes they are to have
	larger  []*magnum.NodeGroup         // those of them that are new or become larger
	grouped bool                        // some are new: Nova makes a server group for each
	flavors map[string]openstack.Flavor // that are known already, by the name they were asked for
}

// fleetWith are a cluster's groups with one that is new, or has another size than now.
func (s *server) fleetWith(ctx context.Context, g policy.Grant, k *magnum.Cluster, one *magnum.NodeGroup) (fleet, error) {
	groups, err := s.NodeGroups.NodeGroups(ctx, g, k.UUID)
	if err != nil {
		return fleet{}, err
	}
	all := fleet{groups: []*magnum.NodeGroup{one}, larger: []*magnum.NodeGroup{one}, grouped: true, flavors: map[string]openstack.Flavor{}}
	for _, ng := range groups {
		switch {
		case ng.UUID == one.UUID:
			all.grouped = false
		case !ng.Status.Deleting():
			all.groups = append(all.groups, ng)
		}
	}
	return all, nil
}

// flavor looks up what is not known yet. One that is gone, or that nobody can look up, counts nothing.
func (f *fleet) flavor(ctx context.Context, cloud Cloud, name string) openstack.Flavor {
	if known, is := f.flavors[name]; is {
		return known
	}
	flavor, err := cloud.Flavor(ctx, name)
	if err != nil {
		flavor = openstack.Flavor{}
	}
	f.flavors[name] = flavor
	return flavor
}

// check refuses what Nova's quotas can never hold. It is compared with the quotas themselves and not with what is free
// just now: what others use may be given back, and the quota decides again when machines are made.
func (f *fleet) check(ctx context.Context, cloud Cloud, l openstack.Limits) error {
	machines, cores, memory := 0, 0, 0
	for _, ng := range f.groups {
		n := ng.NodeCount
		machines += n
		if l.Cores >= 0 || l.RAM >= 0 {
			flavor := f.flavor(ctx, cloud, ng.FlavorID)
			cores, memory = cores+n*flavor.VCPUs, memory+n*flavor.RAM
		}
	}
	serverGroups := 0
	if f.grouped {
		serverGroups = len(f.groups)
	}
	beyond := func(asked, limit int) bool { return limit >= 0 && asked > limit }
	var problems []string
	for _, q := range []struct {
		asked, limit int
		what, quota  string
	}{
		{machines, l.Instances, "servers", "instances"},
		{cores, l.Cores, "VCPUs", "cores"},
		{memory, l.RAM, "MiB of memory", "ram"},
		{serverGroups, l.ServerGroups, "server groups, one for each node group,", "server_groups"},
	} {
		if beyond(q.asked, q.limit) {
			problems = append(problems, fmt.Sprintf("The cluster would have %d %s in all, and Nova's quota %s of your project is %d.",
				q.asked, q.what, q.quota, q.limit))
		}
	}
	for _, ng := range f.larger {
		if n := ng.NodeCount; beyond(n, l.ServerGroupMembers) {
			problems = append(problems, fmt.Sprintf("Node group %s would have %d nodes, which are in one server group, and Nova's quota "+
				"server_group_members of your project is %d.", ng.Name, n, l.ServerGroupMembers))
		}
	}
	if problems == nil {
		return nil
	}
	return magnum.Invalid("%s", sentences(append(problems, "Ask for less, or have the quota raised.")))
}

// checkLimits holds a group that becomes larger to Nova's quotas. They are those of the caller's project: nobody else's
// clusters are held to them. Where Nova does not answer, nothing is refused.
func (s *server) checkLimits(ctx context.Context, c *call, g policy.Grant, k *magnum.Cluster, ng *magnum.NodeGroup, nodes int) error {
	if nodes <= ng.NodeCount || k.ProjectID != c.caller.ProjectID {
		return nil
	}
	cloud := s.CloudFor(c.token, c.identity)
	limits, err := cloud.Limits(ctx)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	grown := *ng
	grown.NodeCount = nodes
	all, err := s.fleetWith(ctx, g, k, &grown)
	if err != nil {
		return err
	}
	return all.check(ctx, cloud, limits)
}

// newFleet are the groups that a new cluster begins with.
func newFleet(k *magnum.Cluster) *fleet {
	groups := []*magnum.NodeGroup{
		{Name: magnum.DefaultMaster, Role: magnum.RoleMaster, FlavorID: k.MasterFlavorID, NodeCount: k.MasterCount},
		{Name: magnum.DefaultWorker, Role: magnum.RoleWorker, FlavorID: k.FlavorID, NodeCount: k.NodeCount},
	}
	return &fleet{groups: groups, larger: groups, grouped: true, flavors: map[string]openstack.Flavor{}}
}
