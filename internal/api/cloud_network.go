package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

// fixedNetwork finds the network and the subnet that machines are put into. A subnet alone names its network; Magnum
// and the Python driver ignore such a subnet and make a new network. What Cluster API could not use, or would use for
// addresses that pods or services have, is refused here (cluster-api-provider-openstack 0.13: one subnet, or at most
// two when only the network is named).
func fixedNetwork(ctx context.Context, cloud Cloud, want resources) (network, subnet string, err error) {
	var named openstack.Network
	if want.fixedNetwork != "" {
		if named, err = cloud.Network(ctx, want.fixedNetwork, false); err != nil {
			return "", "", missing(err, "network", want.fixedNetwork, http.StatusBadRequest)
		}
	}
	if want.fixedSubnet == "" {
		return named.ID, "", subnetsFit(ctx, cloud, named, want)
	}
	s, err := cloud.Subnet(ctx, want.fixedSubnet)
	switch {
	case err != nil:
		return "", "", missing(err, "fixed subnet", want.fixedSubnet, http.StatusBadRequest)
	case named.ID != "" && named.ID != s.NetworkID:
		return "", "", magnum.Invalid("Fixed subnet %s is not on network %s. Name a subnet of that network, or leave fixed_network out.",
			want.fixedSubnet, want.fixedNetwork)
	case s.IPVersion == 6:
		return "", "", magnum.Invalid("Fixed subnet %s has IPv6 addresses only. Nodes need IPv4 addresses.", want.fixedSubnet)
	}
	if named.ID == "" {
		named, err = cloud.Network(ctx, s.NetworkID, false)
		if errors.Is(err, openstack.ErrNotFound) {
			return "", "", magnum.Invalid("The network of fixed subnet %s is external, or not yours to use. Machines are put into a network of "+
				"your project.", want.fixedSubnet)
		}
		if err != nil {
			return "", "", missing(err, "network", s.NetworkID, http.StatusBadRequest)
		}
	}
	if err := apart(s, want); err != nil {
		return "", "", err
	}
	return named.ID, s.ID, roomFor(s, want)
}

// subnetsFit judges a network without a named subnet by the subnets that Cluster API would find there.
func subnetsFit(ctx context.Context, cloud Cloud, n openstack.Network, want resources) error {
	list, err := cloud.Subnets(ctx, n.ID)
	if err != nil {
		return missing(err, "network", want.fixedNetwork, http.StatusBadRequest)
	}
	ipv4 := ofIPv4(list)
	for _, s := range ipv4 {
		if err := apart(s, want); err != nil {
			return err
		}
	}
	switch {
	case len(list) == 0:
		return magnum.Invalid("Network %s has no subnet. Nodes would get no address there.", want.fixedNetwork)
	case len(ipv4) == 0:
		return magnum.Invalid("Network %s has IPv6 addresses only. Nodes need IPv4 addresses.", want.fixedNetwork)
	case len(list) > 2:
		return magnum.Invalid("Network %s has %d subnets. Choose one with fixed_subnet.", want.fixedNetwork, len(list))
	case len(ipv4) == 1:
		return roomFor(ipv4[0], want)
	}
	return nil
}

// ofIPv4 are the subnets that nodes can have addresses of.
func ofIPv4(list []openstack.Subnet) []openstack.Subnet {
	return slices.DeleteFunc(slices.Clone(list), func(s openstack.Subnet) bool { return s.IPVersion == 6 })
}

// roomFor refuses the only subnet of more nodes than it can hold.
func roomFor(s openstack.Subnet, want resources) error {
	return checkSubnetRoom(s.CIDR, want.nodes, want.balanced, "Choose a larger one with fixed_network or fixed_subnet.")
}

// apart refuses a subnet whose addresses pods or services have too: nodes could not be told from them.
func apart(s openstack.Subnet, want resources) error {
	nodes, err := netip.ParsePrefix(s.CIDR)
	if err != nil || want.doubtful {
		return nil //nolint:nilerr // Neutron's own text is not ours to judge.
	}
	labels := label.Of(want.labels)
	for _, other := range []struct{ name, of string }{{label.Pool(want.networkDriver), "pods"}, {label.ServiceRange, "services"}} {
		text := labels.String(other.name)
		if taken, err := netip.ParsePrefix(text); err == nil && taken.Overlaps(nodes) {
			return magnum.Invalid("Subnet %s has the addresses %s, which overlap those of %s, %s. Choose others with label %s.",
				textOr(s.Name, s.ID), s.CIDR, other.of, text, other.name)
		}
	}
	return nil
}

// freeAddress finds the floating IP that an API server is to have. Cluster API's provider asks Neutron for one of that
// address where there is none, which only administrators may do, and takes one that leads elsewhere away from there
// (cluster-api-provider-openstack 0.13).
func freeAddress(ctx context.Context, cloud Cloud, address string) (openstack.FloatingIP, error) {
	f, err := cloud.FloatingIP(ctx, address)
	switch {
	case errors.Is(err, openstack.ErrForbidden):
		return f, nil
	case errors.Is(err, openstack.ErrNotFound):
		return f, magnum.Invalid("Label %s is %s, which is no floating IP of your project. Create one first (openstack floating ip create), or "+
			"leave the label out.", label.APIServerFloatingIP, address)
	case err != nil:
		return f, fmt.Errorf("look up floating IP %s: %w", address, err)
	case f.InUse:
		return f, magnum.Invalid("Label %s is %s, which is in use. Choose a floating IP that is free.", label.APIServerFloatingIP, address)
	}
	return f, nil
}

// checkFloatingIP refuses a floating IP that another cluster of the project was promised, and may not have taken yet.
func (k *creation) checkFloatingIP(ctx context.Context) error {
	address := k.cluster.Labels[label.APIServerFloatingIP]
	if address == "" {
		return nil
	}
	own, err := k.Clusters.Clusters(ctx, k.grant)
	if err != nil {
		return err
	}
	for _, other := range own {
		if other.ProjectID == k.cluster.ProjectID && other.Labels[label.APIServerFloatingIP] == address {
			return magnum.Invalid("Label %s is %s, which cluster %s has. Choose a floating IP that is free.", label.APIServerFloatingIP, address,
				textOr(other.Name, other.UUID))
		}
	}
	return nil
}
