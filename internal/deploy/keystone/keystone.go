// Package keystone gives Magnum its account there: project, user, roles, the service and its endpoints, with the
// credentials of OpenStack-Ansible's administrator.
//
// What is there is Look's, what would change is Changes' (pure), and Register makes it so. An Account is all of that as
// a deployment uses it: Inspect before the plan, Apply after it.
package keystone

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/domains"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/endpoints"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/roles"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/services"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/users"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Keystone is the administrator's connection to it.
type Keystone struct {
	want      intent.MagnumService
	transport http.RoundTripper
	client    *gophercloud.ServiceClient
}

// patience bounds one request to Keystone.
const patience = 30 * time.Second

// Login connects as the administrator whose password OpenStack-Ansible keeps.
func Login(ctx context.Context, want intent.MagnumService, through http.RoundTripper) (*Keystone, error) {
	k := &Keystone{want: want, transport: through}
	provider, err := k.token(ctx, want.Admin, want.AdminPassword, "Default", want.AdminProject)
	if err != nil {
		return nil, fmt.Errorf("log in to Keystone at %s as %s: %w", want.AuthURL, want.Admin, plainly(err))
	}
	k.client = &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: k.url(), Type: "identity"}
	return k, nil
}

// url is Keystone's, as the hosts reach it: what the catalog says may be for others.
func (k *Keystone) url() string {
	return strings.TrimSuffix(strings.TrimSuffix(k.want.AuthURL, "/"), "/v3") + "/v3/"
}

func (k *Keystone) token(ctx context.Context, user string, password intent.Secret, domain, project string) (*gophercloud.ProviderClient, error) {
	provider, err := openstack.NewClient(k.url())
	if err != nil {
		return nil, err
	}
	provider.HTTPClient = http.Client{Transport: k.transport, Timeout: patience}
	opts := gophercloud.AuthOptions{IdentityEndpoint: k.url(), Username: user, Password: password.Reveal(), DomainName: domain}
	if project != "" {
		opts.Scope = &gophercloud.AuthScope{ProjectName: project, DomainName: "Default"}
	}
	return provider, openstack.AuthenticateV3(ctx, provider, &opts, gophercloud.EndpointOpts{})
}

// plainly leaves out of an error what gophercloud quotes: requests and their bodies, which may hold passwords.
func plainly(err error) error {
	var code gophercloud.ErrUnexpectedResponseCode
	switch {
	case errors.As(err, &code) && code.Actual == http.StatusUnauthorized:
		return errors.New("the name or the password is not accepted")
	case errors.As(err, &code):
		return fmt.Errorf("HTTP %d", code.Actual)
	}
	return err
}

// State is what Keystone has of Magnum; empty identifiers are not there.
type State struct {
	userDomain, projectDomain string
	project, user, service    string
	password                  bool              // the account's is the operator's
	roles                     map[string]string // identifiers by name, of those that exist
	assigned                  map[string]bool   // by identifier
	endpoints                 map[gophercloud.Availability]endpoints.Endpoint
}

// look is one thing that State holds.
type look struct {
	what string
	do   func(*Keystone, context.Context, *State) error
}

// Look asks Keystone. It changes nothing.
func (k *Keystone) Look(ctx context.Context) (State, error) {
	s := State{roles: map[string]string{}, assigned: map[string]bool{}, endpoints: map[gophercloud.Availability]endpoints.Endpoint{}}
	for _, l := range []look{
		{"domains", (*Keystone).lookDomains},
		{"the project", (*Keystone).lookProject},
		{"the user", (*Keystone).lookUser},
		{"roles", (*Keystone).lookRoles},
		{"the catalog", (*Keystone).lookCatalog},
	} {
		if err := l.do(k, ctx, &s); err != nil {
			return s, fmt.Errorf("ask Keystone for %s: %w", l.what, plainly(err))
		}
	}
	return s, nil
}

func (k *Keystone) lookDomains(ctx context.Context, s *State) error {
	var err error
	if s.userDomain, err = k.domain(ctx, k.want.UserDomain); err == nil {
		s.projectDomain, err = k.domain(ctx, k.want.ProjectDomain)
	}
	return err
}

func (k *Keystone) domain(ctx context.Context, name string) (string, error) {
	page, err := domains.List(k.client, domains.ListOpts{Name: name}).AllPages(ctx)
	if err != nil {
		return "", err
	}
	all, err := domains.ExtractDomains(page)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("there is no domain %s", name)
	}
	if err != nil {
		return "", err
	}
	return all[0].ID, nil
}

func (k *Keystone) lookProject(ctx context.Context, s *State) error {
	page, err := projects.List(k.client, projects.ListOpts{Name: k.want.Project, DomainID: s.projectDomain}).AllPages(ctx)
	if err != nil {
		return err
	}
	all, err := projects.ExtractProjects(page)
	if len(all) > 0 {
		s.project = all[0].ID
	}
	return err
}

// lookUser tries the password, because Keystone tells it to nobody.
func (k *Keystone) lookUser(ctx context.Context, s *State) error {
	page, err := users.List(k.client, users.ListOpts{Name: k.want.User, DomainID: s.userDomain}).AllPages(ctx)
	if err != nil {
		return err
	}
	all, err := users.ExtractUsers(page)
	if err != nil || len(all) == 0 {
		return err
	}
	s.user = all[0].ID
	_, err = k.token(ctx, k.want.User, k.want.Password, k.want.UserDomain, "")
	if gophercloud.ResponseCodeIs(err, http.StatusUnauthorized) {
		return nil
	}
	s.password = err == nil
	return err
}

func (k *Keystone) lookRoles(ctx context.Context, s *State) error {
	page, err := roles.List(k.client, roles.ListOpts{}).AllPages(ctx)
	if err != nil {
		return err
	}
	all, err := roles.ExtractRoles(page)
	if err != nil {
		return err
	}
	for _, r := range all {
		if slices.Contains(k.want.Roles, r.Name) && r.DomainID == "" {
			s.roles[r.Name] = r.ID
		}
	}
	if s.user == "" || s.project == "" {
		return nil
	}
	page, err = roles.ListAssignments(k.client, roles.ListAssignmentsOpts{UserID: s.user, ScopeProjectID: s.project}).AllPages(ctx)
	if err != nil {
		return err
	}
	assignments, err := roles.ExtractRoleAssignments(page)
	for _, a := range assignments {
		s.assigned[a.Role.ID] = true
	}
	return err
}

func (k *Keystone) lookCatalog(ctx context.Context, s *State) error {
	page, err := services.List(k.client, services.ListOpts{ServiceType: k.want.Type}).AllPages(ctx)
	if err != nil {
		return err
	}
	all, err := services.ExtractServices(page)
	if err != nil || len(all) == 0 {
		return err
	}
	if len(all) > 1 {
		return fmt.Errorf("there are %d services of type %s, and clients would find any of them: delete all but one", len(all), k.want.Type)
	}
	s.service = all[0].ID
	page, err = endpoints.List(k.client, endpoints.ListOpts{ServiceID: s.service}).AllPages(ctx)
	if err != nil {
		return err
	}
	found, err := endpoints.ExtractEndpoints(page)
	for _, e := range found {
		if e.Region == k.want.Region {
			s.endpoints[e.Availability] = e
		}
	}
	return err
}

// urls are the endpoints in the order in which they are made.
func urls(want intent.MagnumService) []struct {
	of  gophercloud.Availability
	url string
} {
	return []struct {
		of  gophercloud.Availability
		url string
	}{
		{gophercloud.AvailabilityInternal, want.InternalURL}, {gophercloud.AvailabilityAdmin, want.AdminURL}, {gophercloud.AvailabilityPublic, want.PublicURL},
	}
}

// work is one change in Keystone, and how it is made.
type work struct {
	change plan.Change
	do     func(*Keystone, context.Context, *State) error
}

// place is where changes in Keystone are, in a plan; Step is what a run says that it is doing there.
const (
	place = "keystone"
	Step  = "register Magnum in Keystone"
)

// Changes are what Register would do.
func Changes(want intent.MagnumService, s State) []plan.Change {
	var out []plan.Change
	for _, w := range works(want, s) {
		out = append(out, w.change)
	}
	return out
}

// works are the changes in their order: what others refer to comes first.
func works(want intent.MagnumService, s State) []work {
	var out []work
	add := func(kind, name string, a plan.Action, summary string, do func(*Keystone, context.Context, *State) error) {
		out = append(out, work{plan.Change{Place: place, Group: place, Kind: kind, Name: name, Action: a, Summary: summary}, do})
	}
	if s.project == "" {
		add("project", want.Project, plan.Create, "in the domain "+want.ProjectDomain, (*Keystone).makeProject)
	}
	switch {
	case s.user == "":
		add("user", want.User, plan.Create, "in the domain "+want.UserDomain, (*Keystone).makeUser)
	case !s.password:
		add("user", want.User, plan.Update, "its password becomes magnum_service_password", (*Keystone).setPassword)
	}
	for _, name := range want.Roles {
		id, there := s.roles[name]
		if !there {
			add("role", name, plan.Create, "", func(k *Keystone, ctx context.Context, s *State) error { return k.makeRole(ctx, s, name) })
		}
		if !there || !s.assigned[id] {
			add("role assignment", name, plan.Create, "for "+want.User+" in "+want.Project, func(k *Keystone, ctx context.Context, s *State) error {
				return roles.Assign(ctx, k.client, s.roles[name], roles.AssignOpts{UserID: s.user, ProjectID: s.project}).ExtractErr()
			})
		}
	}
	if s.service == "" {
		add("service", want.Type, plan.Create, "named "+want.Name, (*Keystone).makeService)
	}
	for _, e := range urls(want) {
		have, there := s.endpoints[e.of]
		switch {
		case !there:
			add("endpoint", string(e.of), plan.Create, e.url, func(k *Keystone, ctx context.Context, s *State) error {
				opts := endpoints.CreateOpts{Availability: e.of, Name: want.Name, Region: want.Region, URL: e.url, ServiceID: s.service}
				return endpoints.Create(ctx, k.client, opts).Err
			})
		case have.URL != e.url:
			add("endpoint", string(e.of), plan.Update, have.URL+" -> "+e.url, func(k *Keystone, ctx context.Context, _ *State) error {
				return endpoints.Update(ctx, k.client, have.ID, endpoints.UpdateOpts{URL: e.url}).Err
			})
		}
	}
	return out
}

// Register makes what is not there, after another look: what a run that was killed has made is not made twice.
func (k *Keystone) Register(ctx context.Context, say func(plan.Change)) error {
	s, err := k.Look(ctx)
	if err != nil {
		return err
	}
	for _, w := range works(k.want, s) {
		say(w.change)
		if err := w.do(k, ctx, &s); err != nil {
			return fmt.Errorf("%s the %s %s in Keystone: %w", w.change.Action, w.change.Kind, w.change.Name, plainly(err))
		}
	}
	return nil
}

func (k *Keystone) makeProject(ctx context.Context, s *State) error {
	p, err := projects.Create(ctx, k.client, projects.CreateOpts{Name: k.want.Project, DomainID: s.projectDomain, Description: "services of OpenStack"}).Extract()
	if err == nil {
		s.project = p.ID
	}
	return err
}

func (k *Keystone) makeUser(ctx context.Context, s *State) error {
	u, err := users.Create(ctx, k.client, users.CreateOpts{
		Name: k.want.User, DomainID: s.userDomain, Password: k.want.Password.Reveal(), DefaultProjectID: s.project, Enabled: gophercloud.Enabled,
	}).Extract()
	if err == nil {
		s.user = u.ID
	}
	return err
}

func (k *Keystone) setPassword(ctx context.Context, s *State) error {
	return users.Update(ctx, k.client, s.user, users.UpdateOpts{Password: k.want.Password.Reveal()}).Err
}

func (k *Keystone) makeRole(ctx context.Context, s *State, name string) error {
	r, err := roles.Create(ctx, k.client, roles.CreateOpts{Name: name}).Extract()
	if err == nil {
		s.roles[name] = r.ID
	}
	return err
}

func (k *Keystone) makeService(ctx context.Context, s *State) error {
	v, err := services.Create(ctx, k.client, services.CreateOpts{
		Type: k.want.Type, Enabled: gophercloud.Enabled, Extra: map[string]any{"name": k.want.Name, "description": k.want.Description},
	}).Extract()
	if err == nil {
		s.service = v.ID
	}
	return err
}
