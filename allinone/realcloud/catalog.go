package realcloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/endpoints"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/services"
)

// Magnum's service in the catalog: the type is what clients look for, the name is what people read.
const (
	serviceType = "container-infra"
	serviceName = "magnum"
)

// Register makes Keystone's catalog say that the Magnum API is at url, in the entry's region, and tells whether it had
// to be changed. Doing it again changes nothing.
func (e *Entry) Register(ctx context.Context, url string) (changed bool, err error) {
	defer func() {
		if gophercloud.ResponseCodeIs(err, http.StatusForbidden) {
			err = fmt.Errorf("the user of cloud %q may not change Keystone's catalog; name an administrator's entry with --admin-cloud-name: %w", e.Name, err)
		}
	}()
	provider, err := e.Login(ctx)
	if err != nil {
		return false, err
	}
	keystone, err := openstack.NewIdentityV3(provider, e.endpoint)
	if err != nil {
		return false, err
	}
	service, created, err := ensureService(ctx, keystone)
	if err != nil {
		return false, err
	}
	have, err := endpointsOf(ctx, keystone, service, e.endpoint.Region)
	if err != nil {
		return false, err
	}
	changed = created
	for _, i := range []gophercloud.Availability{gophercloud.AvailabilityPublic, gophercloud.AvailabilityInternal, gophercloud.AvailabilityAdmin} {
		old, found := have[i]
		switch {
		case found && old.URL == url:
			continue
		case found:
			_, err = endpoints.Update(ctx, keystone, old.ID, endpoints.UpdateOpts{URL: url}).Extract()
		default:
			_, err = endpoints.Create(ctx, keystone, endpoints.CreateOpts{
				Availability: i, Name: serviceName, Region: e.endpoint.Region, ServiceID: service, URL: url,
			}).Extract()
		}
		if err != nil {
			return changed, fmt.Errorf("register the %s endpoint: %w", i, err)
		}
		changed = true
	}
	return changed, nil
}

func ensureService(ctx context.Context, keystone *gophercloud.ServiceClient) (id string, created bool, err error) {
	page, err := services.List(keystone, services.ListOpts{ServiceType: serviceType}).AllPages(ctx)
	if err != nil {
		return "", false, fmt.Errorf("list services: %w", err)
	}
	found, err := services.ExtractServices(page)
	if err != nil {
		return "", false, fmt.Errorf("list services: %w", err)
	}
	switch len(found) {
	case 0:
		s, err := services.Create(ctx, keystone, services.CreateOpts{Type: serviceType, Extra: map[string]any{"name": serviceName}}).Extract()
		if err != nil {
			return "", false, fmt.Errorf("create the service %s: %w", serviceType, err)
		}
		return s.ID, true, nil
	case 1:
		return found[0].ID, false, nil
	}
	//nolint:staticcheck // a name
	return "", false, errors.New("Keystone has more than one service of type " + serviceType + ": clients would find either; delete all but one")
}

// endpointsOf are a service's endpoints in one region; a catalog without regions has one, the empty one.
func endpointsOf(ctx context.Context, keystone *gophercloud.ServiceClient, service, region string) (map[gophercloud.Availability]endpoints.Endpoint, error) {
	page, err := endpoints.List(keystone, endpoints.ListOpts{ServiceID: service}).AllPages(ctx)
	if err != nil {
		return nil, fmt.Errorf("list endpoints: %w", err)
	}
	all, err := endpoints.ExtractEndpoints(page)
	if err != nil {
		return nil, fmt.Errorf("list endpoints: %w", err)
	}
	out := map[gophercloud.Availability]endpoints.Endpoint{}
	for _, p := range all {
		if p.Region == region {
			out[p.Availability] = p
		}
	}
	return out, nil
}
