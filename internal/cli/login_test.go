package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
)

// TestLoginByEnvironment: what openrc files set, as python-openstackclient understands it.
func TestLoginByEnvironment(t *testing.T) {
	const url = "https://cloud.example.test:5000/v3"
	at := gophercloud.AuthOptions{IdentityEndpoint: url}
	with := func(change func(*gophercloud.AuthOptions)) gophercloud.AuthOptions {
		out := at
		change(&out)
		return out
	}
	for _, c := range []struct {
		reason, set string
		want        gophercloud.AuthOptions
		endpoint    gophercloud.EndpointOpts
		problem     string
	}{
		{
			"OpenStack-Ansible's openrc: domains of the user and of the project", `OS_ENDPOINT_TYPE=internalURL OS_INTERFACE=internalURL OS_USERNAME=admin
			OS_PASSWORD=a:#"b OS_PROJECT_NAME=admin OS_TENANT_NAME=old OS_AUTH_TYPE=password OS_USER_DOMAIN_NAME=Users OS_PROJECT_DOMAIN_NAME=Projects OS_REGION_NAME=RegionOne`,
			with(func(a *gophercloud.AuthOptions) {
				a.Username, a.Password, a.TenantName, a.DomainName = "admin", `a:#"b`, "admin", "Users"
				a.Scope = &gophercloud.AuthScope{ProjectName: "admin", DomainName: "Projects"}
			}),
			gophercloud.EndpointOpts{Region: "RegionOne", Availability: gophercloud.AvailabilityInternal},
			"",
		},
		{
			"no domain is the domain default", "OS_USERNAME=me OS_PASSWORD=p OS_PROJECT_NAME=mine",
			with(func(a *gophercloud.AuthOptions) {
				a.Username, a.Password, a.TenantName, a.DomainID = "me", "p", "mine", "default"
				a.Scope = &gophercloud.AuthScope{ProjectName: "mine", DomainID: "default"}
			}),
			gophercloud.EndpointOpts{Availability: gophercloud.AvailabilityPublic},
			"",
		},
		{
			"one domain for both", "OS_USERNAME=me OS_PASSWORD=p OS_PROJECT_NAME=mine OS_DOMAIN_NAME=Both",
			with(func(a *gophercloud.AuthOptions) {
				a.Username, a.Password, a.TenantName, a.DomainName = "me", "p", "mine", "Both"
				a.Scope = &gophercloud.AuthScope{ProjectName: "mine", DomainName: "Both"}
			}),
			gophercloud.EndpointOpts{Availability: gophercloud.AvailabilityPublic},
			"",
		},
		{
			"a project by its id", "OS_USER_ID=u OS_PASSWORD=p OS_PROJECT_ID=f00",
			with(func(a *gophercloud.AuthOptions) {
				a.UserID, a.Password, a.TenantID = "u", "p", "f00"
				a.Scope = &gophercloud.AuthScope{ProjectID: "f00"}
			}),
			gophercloud.EndpointOpts{Availability: gophercloud.AvailabilityPublic},
			"",
		},
		{
			"an application credential has its project", "OS_APPLICATION_CREDENTIAL_ID=i OS_APPLICATION_CREDENTIAL_SECRET=s OS_PROJECT_NAME=another OS_AUTH_TYPE=v3applicationcredential",
			with(func(a *gophercloud.AuthOptions) { a.ApplicationCredentialID, a.ApplicationCredentialSecret = "i", "s" }),
			gophercloud.EndpointOpts{Availability: gophercloud.AvailabilityPublic},
			"",
		},
		{
			"a token", "OS_TOKEN=t OS_PROJECT_NAME=mine OS_PROJECT_DOMAIN_ID=d",
			with(func(a *gophercloud.AuthOptions) {
				a.TokenID, a.TenantName = "t", "mine"
				a.Scope = &gophercloud.AuthScope{ProjectName: "mine", DomainID: "d"}
			}),
			gophercloud.EndpointOpts{Availability: gophercloud.AvailabilityPublic},
			"",
		},
		{"nobody", "OS_INSECURE=perhaps", at, gophercloud.EndpointOpts{}, "OS_USERNAME is not set, nor OS_USER_ID, OS_TOKEN or OS_APPLICATION_CREDENTIAL_ID; OS_INSECURE is neither true nor false: perhaps"},
		{"no password", "OS_USERNAME=me", at, gophercloud.EndpointOpts{}, "OS_PASSWORD is not set"},
		{"half a credential", "OS_APPLICATION_CREDENTIAL_NAME=n", at, gophercloud.EndpointOpts{}, "needs OS_APPLICATION_CREDENTIAL_SECRET; an application credential by name needs OS_USERNAME"},
		{"an authority that is not there", "OS_USERNAME=me OS_PASSWORD=p OS_CACERT=/nowhere.pem", at, gophercloud.EndpointOpts{}, "/nowhere.pem"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			for _, name := range []string{
				"OS_CLOUD", "OS_CACERT", "OS_CERT", "OS_KEY", "OS_INTERFACE", "OS_REGION_NAME", "OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_NAME",
				"OS_PROJECT_ID", "OS_USER_DOMAIN_NAME", "OS_PROJECT_DOMAIN_NAME", "OS_DOMAIN_NAME", "OS_TOKEN",
			} {
				t.Setenv(name, "") // of whoever runs the test
			}
			t.Setenv("OS_AUTH_URL", url)
			for _, pair := range strings.Fields(c.set) {
				name, value, _ := strings.Cut(pair, "=")
				t.Setenv(name, value)
			}
			auth, endpoint, _, err := account("")
			if c.problem != "" {
				if err == nil || !strings.Contains(err.Error(), c.problem) {
					t.Errorf("want %q, have %v", c.problem, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, auth); diff != "" {
				t.Errorf("who logs in (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.endpoint, endpoint); diff != "" {
				t.Errorf("where (-want +got):\n%s", diff)
			}
		})
	}
}
