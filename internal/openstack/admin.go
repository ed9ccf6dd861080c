package openstack

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/applicationcredentials"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
)

// Admin acts as the service user. It can do little, on purpose.
type Admin struct {
	cloud *Cloud
}

// Admin makes a client for the service user.
func (c *Cloud) Admin() *Admin { return &Admin{cloud: c} }

// DeleteApplicationCredential deletes a user's credential by its name, and those that took its place, whose names begin
// with it; that they, or the user, are gone already is fine. ErrForbidden when the cloud lets only the user do it.
func (a *Admin) DeleteApplicationCredential(ctx context.Context, userID, name string) error {
	doing := fmt.Sprintf("delete application credential %q", name)
	service, err := a.cloud.service.get(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	client := &gophercloud.ServiceClient{ProviderClient: service.provider, Endpoint: a.cloud.keystone(), Type: "identity"}
	user := url.PathEscape(userID)
	pages, err := applicationcredentials.List(client, user, applicationcredentials.ListOpts{}).AllPages(ctx)
	if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return nil
	}
	if err != nil {
		return explain(doing, err)
	}
	list, err := applicationcredentials.ExtractApplicationCredentials(pages)
	if err != nil {
		return explain(doing, err)
	}
	for _, credential := range list {
		if credential.Name != name && !strings.HasPrefix(credential.Name, name+"-") {
			continue
		}
		err := applicationcredentials.Delete(ctx, client, user, credential.ID).ExtractErr()
		if err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			return explain(doing, err)
		}
	}
	return nil
}

// IdentityEndpoint is Keystone's address in the catalog, of the given endpoint type and region.
func (a *Admin) IdentityEndpoint(ctx context.Context, endpointType, region string) (string, error) {
	const doing = "find Keystone in the catalog"
	service, err := a.cloud.service.get(ctx)
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	address, err := service.catalog.endpoint("identity", endpointType, region)
	return address, explain(doing, err)
}

// ProjectExists tells whether Keystone knows the project.
func (a *Admin) ProjectExists(ctx context.Context, projectID string) (bool, error) {
	doing := fmt.Sprintf("look up project %q", projectID)
	service, err := a.cloud.service.get(ctx)
	if err != nil {
		return false, fmt.Errorf("%s: %w", doing, err)
	}
	client := &gophercloud.ServiceClient{ProviderClient: service.provider, Endpoint: a.cloud.keystone(), Type: "identity"}
	err = projects.Get(ctx, client, url.PathEscape(projectID)).Err
	if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return false, nil
	}
	return err == nil, explain(doing, err)
}
