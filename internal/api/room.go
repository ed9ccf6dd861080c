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

// checkRoom refuses an image that does not fit into the machines that it is for: those of flavors, or those of groups
// that are there. The first of an upgrade's new machines would be refused, and the upgrade would stand still.
func (s *server) checkRoom(ctx context.Context, cloud Cloud, image openstack.Image, want resources, flavors ...openstack.Flavor) error {
	var problems []string
	if want.groups == nil {
		problems = s.misfits(image, want, flavors...)
	} else if image.MinDisk > 0 || image.MinRAM > 0 {
		var err error
		if problems, err = s.groupsMisfits(ctx, cloud, image, want); err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		return magnum.Invalid("%s", sentences(problems))
	}
	return nil
}

// misfits says why an image does not fit into machines: Nova would refuse each of them (compute/api.py:
// FlavorMemoryTooSmall, FlavorDiskSmallerThanMinDisk), and Cinder a volume that is smaller than the image.
func (s *server) misfits(image openstack.Image, want resources, flavors ...openstack.Flavor) []string {
	var problems []string
	for _, f := range flavors {
		if f.ID == "" {
			continue // not asked for
		}
		if f.RAM < image.MinRAM {
			problems = append(problems, fmt.Sprintf("Flavor %s has %d MiB of memory, and image %s needs %d.", f.Name, f.RAM, want.image, image.MinRAM))
		}
		if want.needsDisk && f.Disk < image.MinDisk {
			problems = append(problems, fmt.Sprintf("Flavor %s has a disk of %d GiB, and image %s needs %d. Choose another flavor, or boot from a "+
				"volume with label %s.", f.Name, f.Disk, want.image, image.MinDisk, label.BootVolumeSize))
		}
	}
	if size := s.bootVolume(want.labels); !want.needsDisk && size > 0 && size < image.MinDisk {
		problems = append(problems, fmt.Sprintf("The boot volume of %d GiB is too small for image %s, which needs %d. Choose another size with label %s.",
			size, want.image, image.MinDisk, label.BootVolumeSize))
	}
	return problems
}

// groupsMisfits is misfits for groups that are there, each problem once. A flavor that is gone, or hidden from the
// caller, is not judged.
func (s *server) groupsMisfits(ctx context.Context, cloud Cloud, image openstack.Image, want resources) ([]string, error) {
	flavors := map[string]openstack.Flavor{}
	var problems []string
	for _, ng := range want.groups {
		f, known := flavors[ng.FlavorID]
		if !known {
			var err error
			f, err = cloud.Flavor(ctx, ng.FlavorID)
			if err != nil && !errors.Is(err, openstack.ErrNotFound) && !errors.Is(err, openstack.ErrForbidden) && !errors.Is(err, openstack.ErrAmbiguous) {
				return nil, missing(err, "flavor", ng.FlavorID, http.StatusBadRequest)
			}
			flavors[ng.FlavorID] = f
		}
		// Nova compares no disk of a flavor that has none.
		machines := resources{image: want.image, labels: ng.Labels, needsDisk: f.Disk > 0 && !s.bootsFromVolume(ng.Labels)}
		for _, p := range s.misfits(image, machines, f) {
			if !slices.Contains(problems, p) {
				problems = append(problems, p)
			}
		}
	}
	return problems, nil
}

// checkAddresses refuses more nodes than the network that is made for a cluster has addresses for. Besides machines,
// the router and the load balancer of the API server have one each, and the first and the last address of an IPv4
// network belong to nobody. Neutron's own ports for DHCP are as many as its operator wants, and are not counted; nor is
// an existing network, which others use too.
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
