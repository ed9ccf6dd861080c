package openstack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servergroups"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
)

// Credential is an application credential: what a cluster acts with in its project.
type Credential struct {
	ID     string
	Secret string
}

// String shows the id and not the secret.
func (c Credential) String() string { return "application credential " + c.ID }

// GoString is String: %#v must not show the secret either.
func (c Credential) GoString() string { return c.String() }

// LogValue is String for log/slog.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Project acts in the project of one cluster, with the cluster's application credential. Reconcilers use it: no method
// waits for the cloud to finish something, and every method can be called again.
type Project struct {
	cloud      *Cloud
	session    *session
	credential Credential
}

// sessionLifetime bounds how long a session is kept for reconcilers; its token renews itself.
const sessionLifetime = time.Hour

// ForProject logs in with the credential, or takes up the session of the last time. ErrUnauthorized when the credential
// is dead: it was deleted or has expired, or its user was removed, disabled or lost a role.
func (c *Cloud) ForProject(ctx context.Context, credential Credential) (*Project, error) {
	key := keyOf(credential.ID, credential.Secret)
	if known, ok := c.projects.get(key, c.now()); ok {
		return &Project{cloud: c, session: known, credential: credential}, nil
	}
	made, err := await[*session](ctx, c.flights.DoChan("project"+string(key[:]), func() (any, error) {
		ctx, cancel := detached(ctx, c.settings.Timeout)
		defer cancel()
		made, err := c.login(ctx, gophercloud.AuthOptions{
			ApplicationCredentialID: credential.ID, ApplicationCredentialSecret: credential.Secret,
		})
		if err != nil {
			return nil, explain("log in with "+credential.String(), loginRefusal(err), credential.Secret)
		}
		now := c.now()
		c.projects.put(key, made, now.Add(sessionLifetime), now)
		return made, nil
	}))
	if err != nil {
		return nil, err
	}
	return &Project{cloud: c, session: made, credential: credential}, nil
}

// loginRefusal makes one error of Keystone's two: a deleted credential is a 404 in some releases and a 401 in others.
func loginRefusal(err error) error {
	var code gophercloud.ErrUnexpectedResponseCode
	if !errors.As(err, &code) {
		return err
	}
	if refused := code.Actual == http.StatusNotFound || code.Actual == http.StatusUnauthorized; refused && fromKeystone(code) {
		return ErrUnauthorized
	}
	return loginFailure(err)
}

// String names the credential and not its secret.
func (p *Project) String() string { return "openstack project by " + p.credential.String() }

// GoString is String: %#v must not show the secret either.
func (p *Project) GoString() string { return p.String() }

// ProjectID is the project the credential belongs to.
func (p *Project) ProjectID() string { return p.session.projectID }

// Nova's `policies` list became one `policy` in 2.64, the first version in which a group has exactly one.
const serverGroupMicroversion = "2.64"

const serverGroupPage = 1000 // Nova's own osapi_max_limit

// EnsureServerGroup returns the id of the server group with this name, which it makes if there is none. A group that
// exists is left as it is, whatever its policy: a policy cannot be changed and the id is in the machines (Magnum driver
// 11, 14). Of several, which two processes made at the same moment, it is always the same one; the others go with the
// cluster.
func (p *Project) EnsureServerGroup(ctx context.Context, name, policy string) (id string, err error) {
	id, err = p.FindServerGroup(ctx, name)
	if !errors.Is(err, ErrNotFound) {
		return id, err
	}
	doing := fmt.Sprintf("create server group %q", name)
	client, err := p.compute()
	if err != nil {
		return "", p.explain(doing, err)
	}
	made, err := servergroups.Create(ctx, client, servergroups.CreateOpts{Name: name, Policy: policy}).Extract()
	if err != nil {
		return "", p.explain(doing, err)
	}
	return made.ID, nil
}

// FindServerGroup returns the id of the server group with this name or ErrNotFound.
func (p *Project) FindServerGroup(ctx context.Context, name string) (id string, err error) {
	ids, err := p.serverGroups(ctx, called(name))
	switch {
	case err != nil:
		return "", err
	case len(ids) == 0:
		return "", fmt.Errorf("find server group %q: %w", name, ErrNotFound)
	}
	return slices.Min(ids), nil
}

// DeleteServerGroup deletes every server group with this name; none is fine.
func (p *Project) DeleteServerGroup(ctx context.Context, name string) error {
	return p.deleteServerGroups(ctx, fmt.Sprintf("delete server group %q", name), called(name))
}

// DeleteServerGroups deletes every server group of a stack: its own and those of its node groups.
func (p *Project) DeleteServerGroups(ctx context.Context, stack string) error {
	return p.deleteServerGroups(ctx, fmt.Sprintf("delete the server groups of %s", stack), func(n string) bool {
		return n == stack || strings.HasPrefix(n, stack+"-")
	})
}

func called(name string) func(string) bool { return func(n string) bool { return n == name } }

func (p *Project) deleteServerGroups(ctx context.Context, doing string, match func(name string) bool) error {
	ids, err := p.serverGroups(ctx, match)
	if err != nil {
		return err
	}
	client, err := p.compute()
	if err != nil {
		return p.explain(doing, err)
	}
	for _, id := range ids {
		err := servergroups.Delete(ctx, client, id).ExtractErr()
		if err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			return p.explain(doing, err)
		}
	}
	return nil
}

func (p *Project) serverGroups(ctx context.Context, match func(name string) bool) (ids []string, err error) {
	const doing = "list server groups"
	client, err := p.compute()
	if err != nil {
		return nil, p.explain(doing, err)
	}
	for offset := 0; ; offset += serverGroupPage {
		page, err := servergroups.List(client, servergroups.ListOpts{Limit: serverGroupPage, Offset: offset}).AllPages(ctx)
		if err != nil {
			return nil, p.explain(doing, err)
		}
		groups, err := servergroups.ExtractServerGroups(page)
		if err != nil {
			return nil, p.explain(doing, err)
		}
		for _, g := range groups {
			if match(g.Name) {
				ids = append(ids, g.ID)
			}
		}
		if len(groups) < serverGroupPage {
			return ids, nil
		}
	}
}

// DeleteLoadBalancers asks for the deletion of every load balancer that the cluster's cloud controller manager made for
// a Service, with its floating IP, and names those that are still there. It does not wait: come back until there are
// none.
func (p *Project) DeleteLoadBalancers(ctx context.Context, clusterUUID string) (remaining []string, err error) {
	doing := "delete the load balancers of cluster " + clusterUUID
	client, err := p.client(LoadBalancer)
	if errors.Is(err, ErrNotFound) {
		return nil, p.Works(ctx) // No Octavia, no load balancers: nobody else would tell that the credential is dead.
	}
	if err != nil {
		return nil, p.explain(doing, err)
	}
	pages, err := loadbalancers.List(client, loadbalancers.ListOpts{ProjectID: p.session.projectID}).AllPages(ctx)
	if err != nil {
		return nil, p.explain(doing, err)
	}
	all, err := loadbalancers.ExtractLoadBalancers(pages)
	if err != nil {
		return nil, p.explain(doing, err)
	}
	// Magnum driver 1.7: OCCM describes its load balancers so.
	ours := regexp.MustCompile(`^Kubernetes .+ from cluster ` + regexp.QuoteMeta(clusterUUID) + `\b`)
	var problems []error
	for _, lb := range all {
		if lb.ProvisioningStatus == "DELETED" || !ours.MatchString(lb.Description) {
			continue
		}
		remaining = append(remaining, fmt.Sprintf("%s %s (%s)", lb.Name, lb.ID, lb.ProvisioningStatus))
		if err := p.deleteLoadBalancer(ctx, client, lb, clusterUUID); err != nil {
			problems = append(problems, err)
		}
	}
	return remaining, errors.Join(problems...)
}

// deleteLoadBalancer lets the floating IP go first: the load balancer is what leads us to it.
func (p *Project) deleteLoadBalancer(ctx context.Context, client *gophercloud.ServiceClient, lb loadbalancers.LoadBalancer, clusterUUID string) error {
	doing := fmt.Sprintf("delete load balancer %s (%q)", lb.ID, lb.Name)
	if err := p.deleteFloatingIPs(ctx, lb.VipPortID, clusterUUID); err != nil {
		return p.explain(doing, err)
	}
	// Somebody who deletes a router by hand has to take addresses off first. One whose load balancer went before is not
	// looked for: its owner may have kept it (keep-floatingip), with the same description. ServiceAddresses names it.
	if err := p.DeleteFloatingIPs(ctx, "Floating IP for "+lb.Description); err != nil {
		return err
	}
	if lb.ProvisioningStatus == "PENDING_DELETE" {
		return nil
	}
	err := loadbalancers.Delete(ctx, client, lb.ID, loadbalancers.DeleteOpts{Cascade: true}).ExtractErr()
	// A conflict is a load balancer on which Octavia is working: it counts as remaining, and its time comes.
	if err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) && !gophercloud.ResponseCodeIs(err, http.StatusConflict) {
		return p.explain(doing, err)
	}
	return nil
}

// ServiceAddresses are the floating IPs that the cluster's cloud controller manager made for Services, with the Service
// of each. What is there without a load balancer may be kept on purpose or left: its description is the same.
func (p *Project) ServiceAddresses(ctx context.Context, clusterUUID string) ([]string, error) {
	doing := "find the addresses of services of cluster " + clusterUUID
	client, err := p.client(Networks)
	if errors.Is(err, ErrNotFound) {
		return nil, nil // no Neutron, no floating IPs
	}
	if err != nil {
		return nil, p.explain(doing, err)
	}
	list, err := floatingIPs(ctx, client, floatingips.ListOpts{ProjectID: p.session.projectID})
	if err != nil {
		return nil, p.explain(doing, err)
	}
	var found []string
	for _, ip := range list {
		if !ofService(ip.Description, clusterUUID) {
			continue
		}
		service, _, _ := strings.Cut(strings.TrimPrefix(ip.Description, ofServices+"external service "), " ")
		found = append(found, fmt.Sprintf("%s (%s)", ip.FloatingIP, service))
	}
	slices.Sort(found)
	return found, nil
}

// ofServices is how cloud-provider-openstack begins the description of an address: "Floating IP for Kubernetes external
// service NAMESPACE/NAME from cluster NAME".
const ofServices = "Floating IP for Kubernetes "

func ofService(description, clusterUUID string) bool {
	return strings.HasPrefix(description, ofServices) && strings.Contains(description, " from cluster "+clusterUUID)
}

// deleteFloatingIPs deletes the addresses that the cloud controller manager made for the cluster. One that its owner
// reserved, for a Service with keep-floatingip or loadBalancerIP, is theirs: it only comes off.
func (p *Project) deleteFloatingIPs(ctx context.Context, portID, clusterUUID string) error {
	if portID == "" {
		return nil
	}
	client, err := p.client(Networks)
	if err != nil {
		return err
	}
	list, err := floatingIPs(ctx, client, floatingips.ListOpts{PortID: portID})
	if err != nil {
		return err
	}
	for _, ip := range list {
		if !ofService(ip.Description, clusterUUID) {
			continue
		}
		err := floatingips.Delete(ctx, client, ip.ID).ExtractErr()
		if err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			return err
		}
	}
	return nil
}

// IdentityEndpoint is Keystone's address in the catalog, of the given endpoint type and region.
func (p *Project) IdentityEndpoint(endpointType, region string) (string, error) {
	address, err := p.session.catalog.endpoint("identity", endpointType, region)
	return address, p.explain("find Keystone in the catalog", err)
}

// explain also forgets a session that cannot renew itself, so that the next reconcile logs in and learns why. A refused
// renewal is the refusal of a login: ErrUnauthorized when the credential is dead.
func (p *Project) explain(doing string, err error) error {
	var reauth *gophercloud.ErrUnableToReauthenticate
	if errors.As(err, &reauth) {
		p.forget()
		return explain(doing+": log in again", loginRefusal(reauth.ErrReauth), p.credential.Secret)
	}
	told := explain(doing, err, p.credential.Secret)
	if errors.Is(told, ErrUnauthorized) {
		p.forget()
	}
	return told
}

// forget makes the next one who wants the project log in.
func (p *Project) forget() { p.cloud.projects.drop(keyOf(p.credential.ID, p.credential.Secret)) }

func (p *Project) client(service string) (*gophercloud.ServiceClient, error) {
	return p.cloud.serviceClient(p.session.catalog, p.session.provider, service)
}

func (p *Project) compute() (*gophercloud.ServiceClient, error) {
	client, err := p.client(Compute)
	if err != nil {
		return nil, err
	}
	client.Microversion = serverGroupMicroversion
	return client, nil
}
