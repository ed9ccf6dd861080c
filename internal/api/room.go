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

// What kubeadm wants of a machine of the control plane, and makes none of anything less (1.36: its preflight checks
// NumCPU and Mem).
const (
	leastVCPUs  = 2
	leastMemory = 1700 // MiB
)

// checkMasters refuses machines that kubeadm would make no master of.
func checkMasters(f openstack.Flavor) error {
	if f.ID == "" || f.VCPUs >= leastVCPUs && f.RAM >= leastMemory {
		return nil
	}
	return magnum.Invalid("Flavor %s has %s and %d MiB of memory, and kubeadm makes no master with less than %d VCPUs and %d MiB. "+
		"Choose another one with master_flavor_id.", f.Name, magnum.Count(f.VCPUs, "VCPU"), f.RAM, leastVCPUs, leastMemory)
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
		if want.needsDisk && f.Disk > 0 && f.Disk < image.MinDisk {
			problems = append(problems, fmt.Sprintf("Flavor %s has a disk of %d GiB, and image %s needs %d. Choose another flavor, or boot from a "+
				"volume with label %s.", f.Name, f.Disk, want.image, image.MinDisk, label.BootVolumeSize))
		}
	}
	if size := s.bootVolume(want.labels); !want.needsDisk && !want.doubtful && size > 0 && size < image.MinDisk {
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

// checkAddresses refuses more nodes than the network that is made for a cluster has addresses for.
func checkAddresses(k *magnum.Cluster, nodes int) error {
	if k.ExistingNetwork() {
		return nil // judged when it is looked up
	}
	return checkSubnetRoom(label.Of(k.Labels).String(label.FixedSubnetCIDR), nodes, k.MasterLBEnabled,
		"The label "+label.FixedSubnetCIDR+" of a new cluster chooses a larger one.")
}

// checkSubnetRoom refuses more nodes than a subnet could ever hold. Besides machines, the router and the load balancer
// of the API server have one address each, and the first and the last address of an IPv4 network belong to nobody.
// Neutron's own ports for DHCP are as many as its operator wants, and are not counted; nor are ports of others in an
// existing network.
func checkSubnetRoom(cidr string, nodes int, balanced bool, remedy string) error {
	network, err := netip.ParsePrefix(cidr)
	if err != nil || !network.Addr().Is4() {
		return nil //nolint:nilerr // Labels are judged elsewhere.
	}
	room := 1<<(32-network.Bits()) - 3
	if balanced {
		room--
	}
	if nodes > room {
		return magnum.Invalid("The network %s has room for %s, and %d are asked for. %s", cidr, magnum.Count(max(room, 0), "node"), nodes, remedy)
	}
	return nil
}

// checkGrowth is checkAddresses for a cluster that has nodes already: those it has are never refused. An existing
// network that cannot be looked up refuses nothing.
func (s *server) checkGrowth(ctx context.Context, c *call, k *magnum.Cluster, more int) error {
	if more <= 0 {
		return nil
	}
	nodes := k.MasterCount + k.NodeCount + more
	if k.Resolved.FixedNetworkID == "" {
		return checkAddresses(k, nodes)
	}
	list, err := s.CloudFor(c.token, c.identity).Subnets(ctx, k.Resolved.FixedNetworkID)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	list = slices.DeleteFunc(ofIPv4(list), func(n openstack.Subnet) bool {
		return k.Resolved.FixedSubnetID != "" && n.ID != k.Resolved.FixedSubnetID
	})
	if len(list) != 1 {
		return nil
	}
	return checkSubnetRoom(list[0].CIDR, nodes, k.MasterLBEnabled, "Remove other nodes first, or make another cluster in a larger network.")
}
