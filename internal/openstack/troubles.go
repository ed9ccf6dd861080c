package openstack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	catalogs "github.com/gophercloud/gophercloud/v2/openstack/identity/v3/catalog"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
)

// Works tells whether Keystone still takes the credential. ErrUnauthorized when it does not. Of a token whose
// credential is gone Keystone says, by its release, that it cannot find the credential (404) or that the token is not
// good (401); only a login tells that from a token that is not good for another reason.
func (p *Project) Works(ctx context.Context) error {
	const doing = "ask Keystone whether the credential works"
	client, err := openstack.NewIdentityV3(p.session.provider, gophercloud.EndpointOpts{})
	if err != nil {
		return p.explain(doing, err)
	}
	_, err = catalogs.List(client).AllPages(ctx)
	told := p.explain(doing, err)
	var code gophercloud.ErrUnexpectedResponseCode
	if errors.As(err, &code) && errors.Is(loginRefusal(code), ErrUnauthorized) {
		p.forget()
		_, err = p.cloud.ForProject(ctx, p.credential)
		return p.explain(doing, err)
	}
	return told
}

// ServerFault is why Nova gave a server up, in its own words; "" when it says nothing or has no such server.
func (p *Project) ServerFault(ctx context.Context, id string) (string, error) {
	const doing = "ask Nova for a server"
	client, err := p.client(Compute)
	if err != nil {
		return "", p.explain(doing, err)
	}
	server, err := servers.Get(ctx, client, id).Extract()
	if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return "", nil
	}
	if err != nil {
		return "", p.explain(doing, err)
	}
	return scrub(server.Fault.Message, []string{p.credential.Secret}), nil
}

// ServerConsole is the end of what a server has written to its console; "" when there is no such server, or nothing of
// it is kept.
func (p *Project) ServerConsole(ctx context.Context, id string) (string, error) {
	const doing, lines = "ask Nova for the console of a server", 200
	client, err := p.client(Compute)
	if err != nil {
		return "", p.explain(doing, err)
	}
	text, err := servers.ShowConsoleOutput(ctx, client, id, servers.ShowConsoleOutputOpts{Length: lines}).Extract()
	if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return "", nil
	}
	return text, p.explain(doing, err)
}

// LoadBalancerState is a load balancer's provisioning status and since when it has it; "" when there is none with this
// name.
func (p *Project) LoadBalancerState(ctx context.Context, name string) (status string, since time.Time, err error) {
	const doing = "ask Octavia for a load balancer"
	client, err := p.client(LoadBalancer)
	if err != nil {
		return "", time.Time{}, p.explain(doing, err)
	}
	pages, err := loadbalancers.List(client, loadbalancers.ListOpts{Name: name, ProjectID: p.session.projectID}).AllPages(ctx)
	if err != nil {
		return "", time.Time{}, p.explain(doing, err)
	}
	all, err := loadbalancers.ExtractLoadBalancers(pages)
	if err != nil || len(all) == 0 {
		return "", time.Time{}, p.explain(doing, err)
	}
	lb := all[0]
	if lb.UpdatedAt.After(lb.CreatedAt) {
		return lb.ProvisioningStatus, lb.UpdatedAt, nil
	}
	return cmp.Or(lb.ProvisioningStatus, "UNKNOWN"), lb.CreatedAt, nil
}

// ServerGone tells that Nova has no server of this id. One that can be restored is not gone. Anybody on the way may say
// 404, such as a load balancer that does not know the path; only Nova says which server it could not find.
func (p *Project) ServerGone(ctx context.Context, id string) (bool, error) {
	const doing = "ask Nova whether a server is gone"
	client, err := p.client(Compute)
	if err != nil {
		return false, p.explain(doing, err)
	}
	_, err = servers.Get(ctx, client, id).Extract()
	var refused gophercloud.ErrUnexpectedResponseCode
	if !errors.As(err, &refused) || refused.Actual != http.StatusNotFound {
		return false, p.explain(doing, err)
	}
	var said struct {
		ItemNotFound struct {
			Message string `json:"message"`
		} `json:"itemNotFound"`
	}
	if json.Unmarshal(refused.Body, &said) != nil || !strings.Contains(said.ItemNotFound.Message, id) {
		return false, p.explain(doing, fmt.Errorf("%w: HTTP 404, and not of Nova", ErrUnavailable))
	}
	return true, nil
}

// wholeList is the first microversion in which Nova lists servers of a cell that does not answer, as UNKNOWN and
// without their names, and only to those who ask for no name. Before it, and with a filter, they are left out and
// nobody is told.
const wholeList = "2.69"

// ServersNamed are the names of the project's servers that begin so: all of them, or an error.
func (p *Project) ServersNamed(ctx context.Context, prefix string) ([]string, error) {
	const doing = "list servers"
	client, err := p.client(Compute)
	if err != nil {
		return nil, p.explain(doing, err)
	}
	client.Microversion = wholeList
	pages, err := servers.ListSimple(client, servers.ListOpts{}).AllPages(ctx)
	if err != nil {
		return nil, p.explain(doing, err)
	}
	all, err := servers.ExtractServers(pages)
	if err != nil {
		return nil, p.explain(doing, err)
	}
	var names []string
	for _, s := range all {
		if s.Name == "" {
			return nil, p.explain(doing, fmt.Errorf("%w: Nova cannot say which server %s is", ErrUnavailable, s.ID))
		}
		if strings.HasPrefix(s.Name, prefix) {
			names = append(names, s.Name)
		}
	}
	return names, nil
}
