package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
)

// TestLoginByEnvironment: what openrc files set, as python-openstackclient understands it.
func TestLoginByEnvironment(t *testing.T) {
	const url = "https://cloud.example.test:5000/v3"
	type options = gophercloud.AuthOptions
	type within = gophercloud.AuthScope // only its domain
	byPassword := func(name, password, project string, user, scope within) options {
		scope.ProjectName = project
		return options{
			IdentityEndpoint: url, Username: name, Password: password, TenantName: project, DomainID: user.DomainID, DomainName: user.DomainName, Scope: &scope,
		}
	}
	public := gophercloud.EndpointOpts{Availability: gophercloud.AvailabilityPublic}
	for _, c := range []struct {
		reason, set string
		want        options
		endpoint    gophercloud.EndpointOpts
		problem     string
	}{
		{
			"OpenStack-Ansible's openrc: domains of the user and of the project", `OS_ENDPOINT_TYPE=adminURL OS_INTERFACE=internalURL OS_USERNAME=admin
			OS_PASSWORD=a:#"b OS_PROJECT_NAME=admin OS_TENANT_NAME=old OS_AUTH_TYPE=password OS_USER_DOMAIN_NAME=Users OS_PROJECT_DOMAIN_NAME=Projects OS_REGION_NAME=RegionOne`,
			byPassword("admin", `a:#"b`, "admin", within{DomainName: "Users"}, within{DomainName: "Projects"}),
			gophercloud.EndpointOpts{Region: "RegionOne", Availability: gophercloud.AvailabilityInternal},
			"",
		},
		{
			"no domain is the domain default; an interface of an older file", "OS_USERNAME=me OS_PASSWORD=p OS_PROJECT_NAME=mine OS_ENDPOINT_TYPE=internalURL",
			byPassword("me", "p", "mine", within{DomainID: "default"}, within{DomainID: "default"}),
			gophercloud.EndpointOpts{Availability: gophercloud.AvailabilityInternal},
			"",
		},
		{
			"one domain for both", "OS_USERNAME=me OS_PASSWORD=p OS_PROJECT_NAME=mine OS_DOMAIN_NAME=Both",
			byPassword("me", "p", "mine", within{DomainName: "Both"}, within{DomainName: "Both"}), public, "",
		},
		{
			"a project by its id", "OS_USER_ID=u OS_PASSWORD=p OS_PROJECT_ID=f00",
			options{IdentityEndpoint: url, UserID: "u", Password: "p", TenantID: "f00", Scope: &gophercloud.AuthScope{ProjectID: "f00"}},
			public, "",
		},
		{
			"an application credential has its project", `OS_APPLICATION_CREDENTIAL_ID=i OS_APPLICATION_CREDENTIAL_SECRET=s OS_PROJECT_NAME=another
			OS_SYSTEM_SCOPE=all OS_AUTH_TYPE=v3applicationcredential`,
			options{IdentityEndpoint: url, ApplicationCredentialID: "i", ApplicationCredentialSecret: "s"},
			public, "",
		},
		{
			"one by its name is known with its user", "OS_APPLICATION_CREDENTIAL_NAME=n OS_APPLICATION_CREDENTIAL_SECRET=s OS_USERNAME=me OS_DOMAIN_NAME=Both",
			options{IdentityEndpoint: url, ApplicationCredentialName: "n", ApplicationCredentialSecret: "s", Username: "me", DomainName: "Both"},
			public, "",
		},
		{
			"a token", "OS_TOKEN=t OS_PROJECT_NAME=mine OS_PROJECT_DOMAIN_ID=d",
			options{IdentityEndpoint: url, TokenID: "t", TenantName: "mine", Scope: &gophercloud.AuthScope{ProjectName: "mine", DomainID: "d"}},
			public, "",
		},
		{"nobody", "OS_INSECURE=perhaps", options{}, public, "OS_USERNAME is not set, nor OS_USER_ID, OS_TOKEN or OS_APPLICATION_CREDENTIAL_ID; OS_INSECURE is neither true nor false: perhaps"},
		{"no password", "OS_USERNAME=me", options{}, public, "OS_PASSWORD is not set"},
		{"half a credential", "OS_APPLICATION_CREDENTIAL_NAME=n", options{}, public, "needs OS_APPLICATION_CREDENTIAL_SECRET; an application credential by name needs OS_USERNAME"},
		{"an authority that is not there", "OS_USERNAME=me OS_PASSWORD=p OS_CACERT=/nowhere.pem", options{}, public, "/nowhere.pem"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			for _, pair := range os.Environ() {
				if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "OS_") {
					t.Setenv(name, "") // of whoever runs the test
				}
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
