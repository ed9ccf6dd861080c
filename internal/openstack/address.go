package openstack

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
)

// EnsureFloatingIP returns the address of the project's floating IP with this description, which it makes on the
// external network if there is none. The description is what it is found by: Neutron takes it with the request that
// creates, unlike tags, so that no floating IP is lost between two requests.
func (p *Project) EnsureFloatingIP(ctx context.Context, networkID, description string) (address string, err error) {
	have, err := p.floatingIPs(ctx, description)
	if err != nil {
		return "", err
	}
	if len(have) > 0 { // more than one only when two processes raced: both choose the same, and all go with the cluster
		return have[0].FloatingIP, nil
	}
	doing := fmt.Sprintf("create a floating IP on network %s", networkID)
	client, err := p.client("network")
	if err != nil {
		return "", p.explain(doing, err)
	}
	made, err := floatingips.Create(ctx, client, floatingips.CreateOpts{FloatingNetworkID: networkID, Description: description}).Extract()
	if err != nil {
		return "", p.explain(doing, err)
	}
	return made.FloatingIP, nil
}

// DeleteFloatingIPs deletes every floating IP of the project with this description; none is fine.
func (p *Project) DeleteFloatingIPs(ctx context.Context, description string) error {
	list, err := p.floatingIPs(ctx, description)
	if err != nil || len(list) == 0 {
		return err
	}
	const doing = "delete floating IPs"
	client, err := p.client("network")
	if err != nil {
		return p.explain(doing, err)
	}
	for _, f := range list {
		err := floatingips.Delete(ctx, client, f.ID).ExtractErr()
		if err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			return p.explain(fmt.Sprintf("delete floating IP %s", f.FloatingIP), err)
		}
	}
	return nil
}

// floatingIPs are those of the project with this description, in a fixed order.
func (p *Project) floatingIPs(ctx context.Context, description string) ([]floatingips.FloatingIP, error) {
	doing := fmt.Sprintf("find the floating IP %q", description)
	client, err := p.client("network")
	if err != nil {
		return nil, p.explain(doing, err)
	}
	list, err := floatingIPs(ctx, client, floatingips.ListOpts{ProjectID: p.session.projectID, Description: description})
	if err != nil {
		return nil, p.explain(doing, err)
	}
	list = slices.DeleteFunc(list, func(f floatingips.FloatingIP) bool { return f.Description != description })
	slices.SortFunc(list, func(a, b floatingips.FloatingIP) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// floatingIPs reads all pages of a list.
func floatingIPs(ctx context.Context, client *gophercloud.ServiceClient, which floatingips.ListOpts) ([]floatingips.FloatingIP, error) {
	pages, err := floatingips.List(client, which).AllPages(ctx)
	if err != nil {
		return nil, err
	}
	return floatingips.ExtractFloatingIPs(pages)
}
