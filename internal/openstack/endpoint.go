package openstack

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/gophercloud/gophercloud/v2"
)

// The kinds of services that are called, as the catalog names them.
const (
	Compute      = "compute"
	Images       = "image"
	Networks     = "network"
	LoadBalancer = "load-balancer"
	Volumes      = "block-storage"
	identity     = "identity"
)

// Endpoint says which endpoint of a service is called and who vouches for it: an operator's [nova_client],
// [glance_client] and so on. A zero value is the public endpoint in the region of [Settings], checked as Keystone is.
type Endpoint struct {
	Region   string // empty: Settings.Region
	Type     string // publicURL, internalURL, adminURL, with or without "URL"; empty: public
	CAFile   string // empty: Settings.CAFile
	CertFile string // of a client certificate, with KeyFile
	KeyFile  string
	Insecure bool
}

// ownTLS tells whether the service is checked in a way of its own.
func (e Endpoint) ownTLS() bool { return e.CAFile != "" || e.CertFile != "" || e.Insecure }

// problems are what is wrong with the endpoints, each with the service it is about.
func (s *Settings) endpointProblems() []error {
	var problems []error
	for _, service := range slices.Sorted(maps.Keys(s.Endpoints)) {
		e := s.Endpoints[service]
		if _, err := availability(e.Type); err != nil {
			problems = append(problems, fmt.Errorf("%s service: %w", service, err))
		}
		if (e.CertFile == "") != (e.KeyFile == "") {
			problems = append(problems, fmt.Errorf("%s service: a client certificate needs cert_file and key_file, one is missing", service))
		}
	}
	return problems
}

// ownClients makes the HTTP clients of services that are checked in a way of their own.
func (c *Cloud) ownClients() error {
	c.own = map[string]http.Client{}
	for service, e := range c.settings.Endpoints {
		if !e.ownTLS() {
			continue
		}
		transport, err := newTransport(trust{
			caFile: cmp.Or(e.CAFile, c.settings.CAFile), certFile: e.CertFile, keyFile: e.KeyFile, insecure: e.Insecure, of: service,
		})
		if err != nil {
			return err
		}
		c.own[service] = http.Client{Transport: transport, Timeout: c.settings.Timeout}
	}
	return nil
}

// serviceClient makes a client for a service of the catalog, at the endpoint the operator chose.
func (c *Cloud) serviceClient(entries catalog, provider *gophercloud.ProviderClient, service string) (*gophercloud.ServiceClient, error) {
	e := c.settings.Endpoints[service]
	if own, ok := c.own[service]; ok {
		provider = sharing(provider, own)
	}
	return entries.client(provider, service, e.Type, c.region(service))
}

// region is where a service is looked for.
func (c *Cloud) region(service string) string {
	return cmp.Or(c.settings.Endpoints[service].Region, c.settings.Region)
}

// sharing makes a provider client that sends through another HTTP client and has the same token. When the token has
// died it lets the original log in again, which does so once for all.
func sharing(original *gophercloud.ProviderClient, through http.Client) *gophercloud.ProviderClient {
	copied := &gophercloud.ProviderClient{
		IdentityBase: original.IdentityBase, IdentityEndpoint: original.IdentityEndpoint, HTTPClient: through,
		UserAgent: original.UserAgent,
	}
	copied.UseTokenLock()
	copied.CopyTokenFrom(original)
	if original.ReauthFunc != nil {
		copied.ReauthFunc = func(ctx context.Context) error {
			if err := original.Reauthenticate(ctx, copied.TokenID); err != nil {
				return err
			}
			copied.CopyTokenFrom(original)
			return nil
		}
	}
	return copied
}
