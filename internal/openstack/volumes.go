package openstack

import (
	"context"
	"net/http"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumetypes"
)

// VolumeType is one of Cinder's volume types that a project may use.
type VolumeType struct {
	Name    string
	Default bool // volumes that name no type get it
}

// HasLoadBalancers tells whether the project's catalog has an Octavia.
func (p *Project) HasLoadBalancers() bool { return p.has(LoadBalancer) }

// HasVolumes tells whether the project's catalog has a Cinder.
func (p *Project) HasVolumes() bool { return p.has(Volumes) }

func (p *Project) has(service string) bool {
	_, err := p.session.catalog.endpoint(service, p.cloud.settings.Endpoints[service].Type, p.cloud.region(service))
	return err == nil
}

// VolumeTypes lists the volume types that the project may use.
func (p *Project) VolumeTypes(ctx context.Context) ([]VolumeType, error) {
	const doing = "list volume types"
	client, err := p.client(Volumes)
	if err != nil {
		return nil, p.explain(doing, err)
	}
	pages, err := volumetypes.List(client, nil).AllPages(ctx)
	if err != nil {
		return nil, p.explain(doing, err)
	}
	types, err := volumetypes.ExtractVolumeTypes(pages)
	if err != nil {
		return nil, p.explain(doing, err)
	}
	// Cinder: GET /types/default is the default type, a 404 where there is none.
	standard, err := volumetypes.Get(ctx, client, "default").Extract()
	if err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return nil, p.explain(doing, err)
	}
	out := make([]VolumeType, len(types))
	for i, t := range types {
		out[i] = VolumeType{Name: t.Name, Default: err == nil && t.ID == standard.ID}
	}
	return out, nil
}
