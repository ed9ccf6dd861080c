package cli

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"go.yaml.in/yaml/v3"
)

// login logs in as a user of OpenStack does: to a cloud of clouds.yaml, or where the variables OS_AUTH_URL and its like
// say.
func login(ctx context.Context, cloud string) (*gophercloud.ProviderClient, gophercloud.EndpointOpts, error) {
	auth, endpoint, tls, err := account(cloud)
	if err != nil {
		return nil, endpoint, err
	}
	auth.AllowReauth = auth.TokenID == "" // what takes hours outlives a token
	provider, err := config.NewProviderClient(ctx, auth, config.WithTLSConfig(tls))
	if err != nil {
		where := "at " + auth.IdentityEndpoint
		if cloud != "" {
			where = "to the cloud " + cloud
		}
		return nil, endpoint, fmt.Errorf("log in %s: %w", where, err)
	}
	return provider, endpoint, nil
}

// account is who logs in, and where.
func account(cloud string) (gophercloud.AuthOptions, gophercloud.EndpointOpts, *tls.Config, error) {
	fail := func(err error) (gophercloud.AuthOptions, gophercloud.EndpointOpts, *tls.Config, error) {
		return gophercloud.AuthOptions{}, gophercloud.EndpointOpts{}, nil, err
	}
	from, options := "clouds.yaml", []clouds.ParseOption{clouds.WithCloudName(cloud)}
	if cloud == "" {
		c, err := environmentsCloud()
		if err != nil {
			return fail(err)
		}
		text, err := yaml.Marshal(clouds.Clouds{Clouds: map[string]clouds.Cloud{environment: c}})
		if err != nil {
			return fail(err)
		}
		from, options = "the environment's OS_ variables", []clouds.ParseOption{clouds.WithCloudName(environment), clouds.WithCloudsYAML(bytes.NewReader(text))}
	}
	auth, endpoint, tls, err := clouds.Parse(options...)
	if err != nil {
		return fail(fmt.Errorf("%s: %w", from, err))
	}
	return auth, endpoint, tls, nil
}

// environment is the name of the cloud that variables make, as openstacksdk calls it.
const environment = "envvars"

// environmentsCloud is the cloud of the variables that an openrc file sets, as python-openstackclient understands them:
// a user and a project have domains of their own, and the domain "default" where none is named. The region, the
// interface and files of certificates are not in it: clouds.Parse takes their variables for any cloud.
func environmentsCloud() (clouds.Cloud, error) {
	if os.Getenv("OS_AUTH_URL") == "" {
		return clouds.Cloud{}, errors.New("which cloud? name one of clouds.yaml with --os-cloud or OS_CLOUD, or set OS_AUTH_URL and what belongs to it")
	}
	get := os.Getenv
	a := clouds.AuthInfo{
		AuthURL: get("OS_AUTH_URL"), Token: get("OS_TOKEN"), Username: get("OS_USERNAME"), UserID: cmp.Or(get("OS_USER_ID"), get("OS_USERID")), Password: get("OS_PASSWORD"),
		ApplicationCredentialID: get("OS_APPLICATION_CREDENTIAL_ID"), ApplicationCredentialName: get("OS_APPLICATION_CREDENTIAL_NAME"),
		ApplicationCredentialSecret: get("OS_APPLICATION_CREDENTIAL_SECRET"), SystemScope: get("OS_SYSTEM_SCOPE"), TrustID: get("OS_TRUST_ID"),
		ProjectName: cmp.Or(get("OS_PROJECT_NAME"), get("OS_TENANT_NAME")), ProjectID: cmp.Or(get("OS_PROJECT_ID"), get("OS_TENANT_ID")),
		UserDomainName: get("OS_USER_DOMAIN_NAME"), UserDomainID: get("OS_USER_DOMAIN_ID"),
		ProjectDomainName: get("OS_PROJECT_DOMAIN_NAME"), ProjectDomainID: get("OS_PROJECT_DOMAIN_ID"),
		DomainName: get("OS_DOMAIN_NAME"), DomainID: get("OS_DOMAIN_ID"),
	}
	problems := lacking(a)
	c := clouds.Cloud{AuthInfo: &a, Interface: get("OS_ENDPOINT_TYPE")} // of older files; OS_INTERFACE comes first
	if text := get("OS_INSECURE"); text != "" {
		insecure, err := strconv.ParseBool(text)
		if err != nil {
			problems = append(problems, "OS_INSECURE is neither true nor false: "+text)
		}
		verify := !insecure
		c.Verify = &verify
	}
	if len(problems) > 0 {
		return c, fmt.Errorf("the environment's OS_ variables: %s", strings.Join(problems, "; "))
	}
	scope(&a, cmp.Or(get("OS_DEFAULT_DOMAIN_ID"), get("OS_DEFAULT_DOMAIN"), "default"))
	return c, nil
}

// lacking is what somebody who logs in this way has not said.
func lacking(a clouds.AuthInfo) (problems []string) {
	who := cmp.Or(a.Username, a.UserID)
	switch {
	case a.Token != "":
	case a.ApplicationCredentialID != "", a.ApplicationCredentialName != "":
		if a.ApplicationCredentialSecret == "" {
			problems = append(problems, "an application credential needs OS_APPLICATION_CREDENTIAL_SECRET")
		}
		if a.ApplicationCredentialID == "" && who == "" {
			problems = append(problems, "an application credential by name needs OS_USERNAME or OS_USER_ID")
		}
	case who == "":
		problems = append(problems, "OS_USERNAME is not set, nor OS_USER_ID, OS_TOKEN or OS_APPLICATION_CREDENTIAL_ID")
	case a.Password == "":
		problems = append(problems, "OS_PASSWORD is not set")
	}
	return problems
}

// scope completes domains with the one that stands for those nobody names. An application credential has its project,
// and Keystone takes no other scope beside it.
func scope(a *clouds.AuthInfo, domain string) {
	if a.Username != "" && cmp.Or(a.UserDomainName, a.UserDomainID, a.DomainName, a.DomainID) == "" {
		a.UserDomainID = domain
	}
	if a.ApplicationCredentialID != "" || a.ApplicationCredentialName != "" {
		if a.UserDomainName == "" && a.UserDomainID == "" {
			a.UserDomainName, a.UserDomainID = a.DomainName, a.DomainID
		}
		a.ProjectName, a.ProjectID, a.DomainName, a.DomainID, a.SystemScope = "", "", "", "", ""
	}
	if a.ProjectName != "" && cmp.Or(a.ProjectDomainName, a.ProjectDomainID, a.DomainName, a.DomainID) == "" {
		a.ProjectDomainID = domain
	}
}
