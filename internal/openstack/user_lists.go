package openstack

import (
	"context"
	"fmt"

	volumezones "github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/availabilityzones"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumetypes"
	zones "github.com/gophercloud/gophercloud/v2/openstack/compute/v2/availabilityzones"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

func subnetOf(s subnets.Subnet) Subnet {
	return Subnet{ID: s.ID, Name: s.Name, NetworkID: s.NetworkID, CIDR: s.CIDR, IPVersion: s.IPVersion}
}

// Has tells whether the cloud's region has a service, [LoadBalancer] for example.
func (u *User) Has(ctx context.Context, service string) (bool, error) {
	entries, err := u.catalog(ctx)
	return entries.has(service, u.cloud.region(service)), u.explain("look for "+service+" in the catalog", err)
}

// Subnets lists the subnets of a network that the user sees.
func (u *User) Subnets(ctx context.Context, networkID string) ([]Subnet, error) {
	doing := fmt.Sprintf("list the subnets of network %q", networkID)
	client, err := u.client(ctx, Networks)
	if err != nil {
		return nil, u.explain(doing, err)
	}
	pages, err := subnets.List(client, subnets.ListOpts{NetworkID: networkID}).AllPages(ctx)
	if err != nil {
		return nil, u.explain(doing, err)
	}
	list, err := subnets.ExtractSubnets(pages)
	if err != nil {
		return nil, u.explain(doing, err)
	}
	out := make([]Subnet, 0, len(list))
	for _, s := range list {
		out = append(out, subnetOf(s))
	}
	return out, nil
}

// VolumeTypes lists the volume types the user may use, by name and by id: Cinder takes either. ErrNotFound when the
// cloud has no Cinder.
func (u *User) VolumeTypes(ctx context.Context) ([]string, error) {
	const doing = "list volume types"
	client, err := u.client(ctx, Volumes)
	if err != nil {
		return nil, u.explain(doing, err)
	}
	pages, err := volumetypes.List(client, volumetypes.ListOpts{}).AllPages(ctx)
	if err != nil {
		return nil, u.explain(doing, err)
	}
	list, err := volumetypes.ExtractVolumeTypes(pages)
	if err != nil {
		return nil, u.explain(doing, err)
	}
	var names []string
	for _, t := range list {
		names = append(names, t.Name, t.ID)
	}
	return names, nil
}

// VolumeZones lists Cinder's availability zones. ErrNotFound when the cloud has no Cinder.
func (u *User) VolumeZones(ctx context.Context) ([]string, error) {
	const doing = "list availability zones of volumes"
	client, err := u.client(ctx, Volumes)
	if err != nil {
		return nil, u.explain(doing, err)
	}
	names, err := listed(ctx, volumezones.List(client), volumezones.ExtractAvailabilityZones, func(z volumezones.AvailabilityZone) string { return z.ZoneName })
	return names, u.explain(doing, err)
}

// Zones lists Nova's availability zones.
func (u *User) Zones(ctx context.Context) ([]string, error) {
	const doing = "list availability zones of servers"
	client, err := u.client(ctx, Compute)
	if err != nil {
		return nil, u.explain(doing, err)
	}
	names, err := listed(ctx, zones.List(client), zones.ExtractAvailabilityZones, func(z zones.AvailabilityZone) string { return z.ZoneName })
	return names, u.explain(doing, err)
}

// NetworkIDs lists the networks that the user sees and servers can have an address in.
func (u *User) NetworkIDs(ctx context.Context) ([]string, error) {
	const doing = "list networks"
	client, err := u.client(ctx, Networks)
	if err != nil {
		return nil, u.explain(doing, err)
	}
	extract := func(page pagination.Page) (list []externalNetwork, err error) {
		return list, networks.ExtractNetworksInto(page, &list)
	}
	ids, err := listed(ctx, networks.List(client, networks.ListOpts{}), extract, serversNetwork)
	return ids, u.explain(doing, err)
}

// serversNetwork is the id of a network that servers can have an address in. Nova attaches nobody but administrators to
// an external network that is not shared (network/neutron.py: ExternalNetworkAttachForbidden).
func serversNetwork(n externalNetwork) string {
	if len(n.Subnets) == 0 || n.External && !n.Shared {
		return ""
	}
	return n.ID
}

// SecurityGroupIDs lists the security groups that the user sees.
func (u *User) SecurityGroupIDs(ctx context.Context) ([]string, error) {
	const doing = "list security groups"
	client, err := u.client(ctx, Networks)
	if err != nil {
		return nil, u.explain(doing, err)
	}
	ids, err := listed(ctx, groups.List(client, groups.ListOpts{}), groups.ExtractGroups, func(g groups.SecGroup) string { return g.ID })
	return ids, u.explain(doing, err)
}

// listed reads all pages of a list and keeps one text of each entry; of those without a text, nothing.
func listed[T any](ctx context.Context, pager pagination.Pager, extract func(pagination.Page) ([]T, error), text func(T) string) ([]string, error) {
	pages, err := pager.AllPages(ctx)
	if err != nil {
		return nil, err
	}
	list, err := extract(pages)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, entry := range list {
		if t := text(entry); t != "" {
			out = append(out, t)
		}
	}
	return out, nil
}
