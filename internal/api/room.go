package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

// checkGroupsRoom refuses an upgrade to an image that does not fit into the machines of the groups it reaches: the first of their new
// machines would be refused, and the upgrade would stand still. A flavor that is gone, or hidden from the caller, is not judged.
func (s *server) checkGroupsRoom(ctx context.Context, c *call, groups []*magnum.NodeGroup, name string) error {
	cloud := s.CloudFor(c.token, c.identity)
	image, err := cloud.Image(ctx, name)
	if err != nil {
		return missing(err, "image", name, http.StatusBadRequest)
	}
	if image.MinDisk == 0 && image.MinRAM == 0 {
		return nil
	}
	flavors := map[string]openstack.Flavor{}
	seen := map[string]bool{}
	var problems []string
	for _, ng := range groups {
		f, known := flavors[ng.FlavorID]
		if !known {
			f, err = cloud.Flavor(ctx, ng.FlavorID)
			if err != nil && !errors.Is(err, openstack.ErrNotFound) && !errors.Is(err, openstack.ErrForbidden) && !errors.Is(err, openstack.ErrAmbiguous) {
				return missing(err, "flavor", ng.FlavorID, http.StatusBadRequest)
			}
			flavors[ng.FlavorID] = f
		}
		// Nova compares no disk of a flavor that has none.
		want := resources{image: name, labels: ng.Labels, needsDisk: f.Disk > 0 && !s.bootsFromVolume(ng.Labels)}
		var told *magnum.Error
		if err := s.checkRoom(image, want, f); errors.As(err, &told) && !seen[told.Detail] {
			seen[told.Detail] = true
			problems = append(problems, told.Detail)
		}
	}
	if len(problems) > 0 {
		return magnum.Invalid("%s", sentences(problems))
	}
	return nil
}

// checkAddresses refuses more nodes than the network that is made for a cluster has addresses for. Besides machines, the router and the
// load balancer of the API server have one each, and the first and the last address of an IPv4 network belong to nobody. Neutron's own ports
// for DHCP are as many as its operator wants, and are not counted; nor is an existing network, which others use too.
func checkAddresses(k *magnum.Cluster, nodes int) error {
	if k.Resolved.FixedNetworkID != "" || k.FixedNetwork != "" || k.FixedSubnet != "" {
		return nil
	}
	text := label.Of(k.Labels).String(label.FixedSubnetCIDR)
	network, err := netip.ParsePrefix(text)
	if err != nil || !network.Addr().Is4() {
		return nil //nolint:nilerr // Labels are judged elsewhere.
	}
	room := 1<<(32-network.Bits()) - 3
	if k.MasterLBEnabled {
		room--
	}
	if nodes > room {
		return magnum.Invalid("The network %s has room for %d nodes, and %d are asked for. The label %s of a new cluster chooses a larger one.",
			text, max(room, 0), nodes, label.FixedSubnetCIDR)
	}
	return nil
}

// checkGrowth is checkAddresses for a cluster that has nodes already: those it has are never refused.
func checkGrowth(k *magnum.Cluster, more int) error {
	if more <= 0 {
		return nil
	}
	return checkAddresses(k, k.MasterCount+k.NodeCount+more)
}
