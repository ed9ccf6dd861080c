package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/endpoints"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/roles"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/services"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/users"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
	"github.com/gophercloud/gophercloud/v2/pagination"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// runInNetwork are the commands that this program gives itself inside the cloud's network, where Go cannot go after its
// start.
func runInNetwork(ctx context.Context, command string, limit time.Duration, args []string, out io.Writer) error {
	switch command {
	case "wait-keystone":
		return machine.WaitFor(ctx, limit, func() error { _, err := login(ctx, administrator()); return err })
	case "identity":
		return fillIdentity(ctx, world())
	case "resources":
		return fillResources(ctx, world())
	case "ready":
		return waitServices(ctx, limit, out)
	case "check":
		return tellServices(ctx, out)
	case "keypairs":
		return fillKeyPairs(ctx, args)
	}
	_, _ = io.WriteString(out, usage) // nobody to tell when standard output is gone
	return fmt.Errorf("no command %q", command)
}

func administrator() user { return named("admin") }

func named(name string) user {
	for _, u := range world().users {
		if u.name == name {
			return u
		}
	}
	panic("the world has no user " + name) // a typing mistake in this package
}

// login is a session of a user's.
func login(ctx context.Context, u user) (*gophercloud.ProviderClient, error) {
	client, err := openstack.NewClient(keystoneURL)
	if err != nil {
		return nil, err
	}
	client.HTTPClient = http.Client{Timeout: time.Minute} // the first answers of a cold service take their time
	return client, openstack.Authenticate(ctx, client, gophercloud.AuthOptions{
		IdentityEndpoint: keystoneURL, Username: u.name, Password: u.password(), DomainID: "default", AllowReauth: true,
		Scope: &gophercloud.AuthScope{ProjectName: u.project, DomainID: "default"},
	})
}

// identity is Keystone as far as it is being filled: what there is already is found by its name.
type identity struct {
	client                  *gophercloud.ServiceClient
	users, projects, roles_ map[string]string
}

// fillIdentity makes projects, users, roles and the catalog.
func fillIdentity(ctx context.Context, w operated) error {
	provider, err := login(ctx, administrator())
	if err != nil {
		return err
	}
	client, err := openstack.NewIdentityV3(provider, gophercloud.EndpointOpts{Region: region})
	if err != nil {
		return err
	}
	i := identity{client, map[string]string{}, map[string]string{}, map[string]string{}}
	if err := i.find(ctx); err != nil {
		return err
	}
	for _, u := range w.users {
		if err := i.user(ctx, u); err != nil {
			return fmt.Errorf("user %s: %w", u.name, err)
		}
	}
	for _, s := range w.services {
		if err := i.service(ctx, s); err != nil {
			return fmt.Errorf("catalog: %s: %w", s.name, err)
		}
	}
	return nil
}

func (i identity) find(ctx context.Context) error {
	return errors.Join(
		eachPage(ctx, users.List(i.client, nil), users.ExtractUsers, func(u users.User) { i.users[u.Name] = u.ID }),
		eachPage(ctx, projects.List(i.client, nil), projects.ExtractProjects, func(p projects.Project) { i.projects[p.Name] = p.ID }),
		eachPage(ctx, roles.List(i.client, nil), roles.ExtractRoles, func(r roles.Role) { i.roles_[r.Name] = r.ID }),
	)
}

func eachPage[T any](ctx context.Context, pager pagination.Pager, extract func(pagination.Page) ([]T, error), do func(T)) error {
	page, err := pager.AllPages(ctx)
	if err != nil {
		return err
	}
	all, err := extract(page)
	for _, one := range all {
		do(one)
	}
	return err
}

func (i identity) user(ctx context.Context, u user) error {
	if i.projects[u.project] == "" {
		p, err := projects.Create(ctx, i.client, projects.CreateOpts{Name: u.project, DomainID: "default"}).Extract()
		if err != nil {
			return err
		}
		i.projects[u.project] = p.ID
	}
	if i.users[u.name] == "" {
		made, err := users.Create(ctx, i.client, users.CreateOpts{Name: u.name, Password: u.password(), DomainID: "default"}).Extract()
		if err != nil {
			return err
		}
		i.users[u.name] = made.ID
	}
	for _, name := range u.roles {
		if i.roles_[name] == "" {
			r, err := roles.Create(ctx, i.client, roles.CreateOpts{Name: name}).Extract()
			if err != nil {
				return err
			}
			i.roles_[name] = r.ID
		}
		if err := roles.Assign(ctx, i.client, i.roles_[name], roles.AssignOpts{UserID: i.users[u.name], ProjectID: i.projects[u.project]}).ExtractErr(); err != nil {
			return err
		}
	}
	return nil
}

func (i identity) service(ctx context.Context, s service) error {
	made, err := services.Create(ctx, i.client, services.CreateOpts{Type: s.kind, Name: s.name}).Extract()
	if err != nil {
		return err
	}
	for _, side := range []gophercloud.Availability{gophercloud.AvailabilityPublic, gophercloud.AvailabilityInternal, gophercloud.AvailabilityAdmin} {
		if _, err := endpoints.Create(ctx, i.client, endpoints.CreateOpts{Availability: side, Region: region, URL: s.url, ServiceID: made.ID}).Extract(); err != nil {
			return err
		}
	}
	return nil
}

// fillResources makes flavors and the public network.
func fillResources(ctx context.Context, w operated) error {
	provider, err := login(ctx, administrator())
	if err != nil {
		return err
	}
	where := gophercloud.EndpointOpts{Region: region}
	compute, err := openstack.NewComputeV2(provider, where)
	if err != nil {
		return err
	}
	for _, f := range w.flavors {
		if _, err := flavors.Create(ctx, compute, flavors.CreateOpts{Name: f.name, VCPUs: f.vcpus, RAM: f.ram, Disk: &f.disk}).Extract(); err != nil {
			return fmt.Errorf("flavor %s: %w", f.name, err)
		}
	}
	network, err := openstack.NewNetworkV2(provider, where)
	if err != nil {
		return err
	}
	var made struct{ Network struct{ ID string } }
	_, err = network.Post(ctx, network.ServiceURL("networks"), map[string]any{"network": map[string]any{ //nolint:bodyclose // gophercloud reads it to its end
		"name": "public", "router:external": true, "provider:network_type": "flat", "provider:physical_network": "public",
	}}, &made, nil)
	if err != nil {
		return fmt.Errorf("network public: %w", err)
	}
	gate, dhcp := "10.78.0.1", false
	_, err = subnets.Create(ctx, network, subnets.CreateOpts{
		NetworkID: made.Network.ID, Name: "public", CIDR: public, IPVersion: gophercloud.IPv4, GatewayIP: &gate, EnableDHCP: &dhcp,
		AllocationPools: []subnets.AllocationPool{{Start: "10.78.0.50", End: "10.78.0.250"}},
	}).Extract()
	return err
}
