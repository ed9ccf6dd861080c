package openstack

import (
	"context"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/sharedfilesystems/v2/sharetypes"
)

// shares is Manila's kind in the catalog.
const shares = "share"

// HasShares tells whether the project's catalog has a Manila.
func (p *Project) HasShares() bool { return p.has(shares) }

// ShareTypes lists the names of the share types that the project may use.
func (p *Project) ShareTypes(ctx context.Context) ([]string, error) {
	const doing = "list share types"
	client, err := p.client(shares)
	if err != nil {
		return nil, p.explain(doing, err)
	}
	names, err := shareTypes(ctx, client)
	if err != nil {
		return nil, p.explain(doing, err)
	}
	return names, nil
}

func shareTypes(ctx context.Context, client *gophercloud.ServiceClient) ([]string, error) {
	pages, err := sharetypes.List(client, nil).AllPages(ctx)
	if err != nil {
		return nil, err
	}
	types, err := sharetypes.ExtractShareTypes(pages)
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = t.Name
	}
	return out, err
}
