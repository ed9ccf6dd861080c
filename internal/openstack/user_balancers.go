package openstack

import (
	"context"
	"fmt"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/providers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// What a load balancer can be made of, and the address it can have. Octavia lets nobody see these lists whose token has
// none of its own roles, if its operator chose those (ErrForbidden), and many clouds have no Octavia (ErrNotFound).

// LoadBalancerProviders lists the providers that Octavia has enabled, by name.
func (u *User) LoadBalancerProviders(ctx context.Context) ([]string, error) {
	const doing = "list providers of load balancers"
	client, err := u.client(ctx, LoadBalancer)
	if err != nil {
		return nil, u.explain(doing, err)
	}
	names, err := listed(ctx, providers.List(client, nil), providers.ExtractProviders, func(p providers.Provider) string { return p.Name })
	return names, u.explain(doing, err)
}

// LoadBalancerFlavors lists Octavia's enabled flavors by name, which is what Cluster API's provider finds them by: an
// id means nothing to it (cluster-api-provider-openstack 0.13, getOrCreateAPILoadBalancer).
func (u *User) LoadBalancerFlavors(ctx context.Context) ([]string, error) {
	const doing = "list flavors of load balancers"
	client, err := u.client(ctx, LoadBalancer)
	if err != nil {
		return nil, u.explain(doing, err)
	}
	names, err := listed(ctx, flavors.List(client, nil), flavors.ExtractFlavors, func(f flavors.Flavor) string {
		if !f.Enabled {
			return ""
		}
		return f.Name
	})
	return names, u.explain(doing, err)
}

// LoadBalancerZones lists Octavia's enabled availability zones. ErrNotFound also when Octavia is older than they are
// (API 2.14).
func (u *User) LoadBalancerZones(ctx context.Context) ([]string, error) {
	const doing = "list availability zones of load balancers"
	client, err := u.client(ctx, LoadBalancer)
	if err != nil {
		return nil, u.explain(doing, err)
	}
	pager := pagination.NewPager(client, client.ServiceURL("lbaas", "availabilityzones"), func(r pagination.PageResult) pagination.Page {
		return balancerZonePage{pagination.LinkedPageBase{PageResult: r}}
	})
	names, err := listed(ctx, pager, balancerZones, func(z balancerZone) string {
		if !z.Enabled {
			return ""
		}
		return z.Name
	})
	return names, u.explain(doing, err)
}

type balancerZone struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
}

// balancerZonePage is a page of a list that gophercloud does not know (Octavia's API 2.14, GET
// /v2/lbaas/availabilityzones).
type balancerZonePage struct{ pagination.LinkedPageBase }

// NextPageURL is where the list goes on; empty at its end.
func (p balancerZonePage) NextPageURL() (string, error) {
	var s struct {
		Links []gophercloud.Link `json:"availability_zones_links"`
	}
	if err := p.ExtractInto(&s); err != nil {
		return "", err
	}
	return gophercloud.ExtractNextURL(s.Links)
}

// IsEmpty tells whether the page has no entry.
func (p balancerZonePage) IsEmpty() (bool, error) {
	list, err := balancerZones(p)
	return len(list) == 0, err
}

func balancerZones(p pagination.Page) ([]balancerZone, error) {
	var s struct {
		Zones []balancerZone `json:"availability_zones"`
	}
	page, ok := p.(balancerZonePage)
	if !ok {
		return nil, fmt.Errorf("a page of availability zones is a %T", p)
	}
	err := page.ExtractInto(&s)
	return s.Zones, err
}

// FloatingIP is an address of an external network that a project has.
type FloatingIP struct {
	Address   string
	NetworkID string // the external network
	InUse     bool   // it leads to a port
}

// FloatingIP finds a floating IP of the user's project by its address. ErrNotFound also when another project has it.
func (u *User) FloatingIP(ctx context.Context, address string) (FloatingIP, error) {
	doing := fmt.Sprintf("find floating IP %q", address)
	client, err := u.client(ctx, Networks)
	if err != nil {
		return FloatingIP{}, u.explain(doing, err)
	}
	list, err := floatingIPs(ctx, client, floatingips.ListOpts{FloatingIP: address})
	if err != nil {
		return FloatingIP{}, u.explain(doing, err)
	}
	for _, f := range list { // an administrator sees everybody's
		if f.FloatingIP == address && f.ProjectID == u.identity.ProjectID {
			return FloatingIP{Address: f.FloatingIP, NetworkID: f.FloatingNetworkID, InUse: f.PortID != ""}, nil
		}
	}
	return FloatingIP{}, u.explain(doing, ErrNotFound)
}
