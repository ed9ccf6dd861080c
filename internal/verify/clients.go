package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clusters"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clustertemplates"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/external"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// Clients speak to the cloud as its user.
type Clients struct {
	Provider                      *gophercloud.ProviderClient
	Magnum, Nova, Glance, Neutron *gophercloud.ServiceClient
	Balancers, Volumes            bool // the catalog has Octavia, Cinder
}

// Connect finds the services of a cloud in its catalog.
func Connect(provider *gophercloud.ProviderClient, at gophercloud.EndpointOpts) (Clients, error) {
	c := Clients{Provider: provider}
	var problems []error
	for _, s := range []struct {
		name string
		to   **gophercloud.ServiceClient
		make func(*gophercloud.ProviderClient, gophercloud.EndpointOpts) (*gophercloud.ServiceClient, error)
	}{
		{"Magnum (container-infra)", &c.Magnum, openstack.NewContainerInfraV1},
		{"Nova (compute)", &c.Nova, openstack.NewComputeV2},
		{"Glance (image)", &c.Glance, openstack.NewImageV2},
		{"Neutron (network)", &c.Neutron, openstack.NewNetworkV2},
	} {
		made, err := s.make(provider, at)
		if err != nil {
			problems = append(problems, fmt.Errorf("the cloud's catalog has no %s: %w", s.name, err))
		}
		*s.to = made
	}
	if err := errors.Join(problems...); err != nil {
		return c, err
	}
	c.Magnum.Microversion = "1.7" // the first that resizes by an action
	_, err := openstack.NewLoadBalancerV2(provider, at)
	c.Balancers = err == nil
	_, err = openstack.NewBlockStorageV3(provider, at)
	c.Volumes = err == nil
	return c, nil
}

// Find looks at what the cloud has.
func Find(ctx context.Context, c Clients) (Found, error) {
	f := Found{Balancers: c.Balancers, Volumes: c.Volumes}
	var problems []error
	note := func(what string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("list %s: %w", what, err))
		}
	}
	var err error
	f.Admin, f.Project, err = who(c.Provider)
	note("roles", err)
	f.Externals, err = listExternals(ctx, c)
	note("external networks", err)
	f.Images, err = listImages(ctx, c)
	note("images", err)
	f.Flavors, err = listFlavors(ctx, c)
	note("flavors", err)
	f.Templates, err = listTemplates(ctx, c)
	note("cluster templates", err)
	f.Clusters, err = listClusters(ctx, c)
	note("clusters", err)
	f.Keypairs, err = listKeypairs(ctx, c)
	note("key pairs", err)
	return f, errors.Join(problems...)
}

func who(p *gophercloud.ProviderClient) (admin bool, project string, err error) {
	var told interface {
		ExtractRoles() ([]tokens.Role, error)
		ExtractProject() (*tokens.Project, error)
	}
	switch result := p.GetAuthResult().(type) {
	case tokens.CreateResult:
		told = result
	case tokens.GetResult:
		told = result
	default:
		return false, "", fmt.Errorf("keystone's answer to a login is a %T and no token", result)
	}
	roles, err := told.ExtractRoles()
	if err != nil {
		return false, "", err
	}
	in, err := told.ExtractProject()
	if err != nil {
		return false, "", err
	}
	if in == nil {
		return false, "", errors.New("the token has no project: name one in clouds.yaml")
	}
	return slices.ContainsFunc(roles, func(r tokens.Role) bool { return r.Name == "admin" }), in.ID, nil
}

// all reads a list to its end.
func all[T any](ctx context.Context, list pagination.Pager, extract func(pagination.Page) ([]T, error), name func(T) Thing) ([]Thing, error) {
	pages, err := list.AllPages(ctx)
	if err != nil {
		return nil, err
	}
	found, err := extract(pages)
	if err != nil {
		return nil, err
	}
	out := make([]Thing, 0, len(found))
	for _, t := range found {
		out = append(out, name(t))
	}
	return out, nil
}

func networkThing(n networks.Network) Thing { return Thing{n.ID, n.Name} }

func listExternals(ctx context.Context, c Clients) ([]Thing, error) {
	yes := true
	return all(ctx, networks.List(c.Neutron, external.ListOptsExt{ListOptsBuilder: networks.ListOpts{}, External: &yes}), networks.ExtractNetworks, networkThing)
}

func listImages(ctx context.Context, c Clients) ([]Thing, error) {
	return all(ctx, images.List(c.Glance, images.ListOpts{}), images.ExtractImages, func(i images.Image) Thing { return Thing{i.ID, i.Name} })
}

func listFlavors(ctx context.Context, c Clients) ([]Flavor, error) {
	pages, err := flavors.ListDetail(c.Nova, flavors.ListOpts{AccessType: flavors.AllAccess}).AllPages(ctx)
	if err != nil {
		return nil, err
	}
	list, err := flavors.ExtractFlavors(pages)
	out := make([]Flavor, 0, len(list))
	for _, f := range list {
		out = append(out, Flavor{Thing{f.ID, f.Name}, f.VCPUs, f.RAM, f.Disk})
	}
	return out, err
}

func listTemplates(ctx context.Context, c Clients) ([]Thing, error) {
	return all(ctx, clustertemplates.List(c.Magnum, clustertemplates.ListOpts{}), clustertemplates.ExtractClusterTemplates,
		func(t clustertemplates.ClusterTemplate) Thing { return Thing{t.UUID, t.Name} })
}

func listClusters(ctx context.Context, c Clients) ([]Thing, error) {
	return all(ctx, clusters.List(c.Magnum, clusters.ListOpts{}), clusters.ExtractClusters, func(k clusters.Cluster) Thing { return Thing{k.UUID, k.Name} })
}

func listKeypairs(ctx context.Context, c Clients) ([]Thing, error) {
	return all(ctx, keypairs.List(c.Nova, nil), keypairs.ExtractKeyPairs, func(k keypairs.KeyPair) Thing { return Thing{k.Name, k.Name} })
}
