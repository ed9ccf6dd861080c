package simcloud

import (
	"cmp"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// keystoneTime is how Keystone writes dates.
const keystoneTime = "2006-01-02T15:04:05.000000Z"

func (c *Cloud) keystoneVersions(q *call) (reply, error) {
	return reply{status: http.StatusMultipleChoices, body: obj{"versions": obj{"values": []obj{keystoneDocument(q)}}}}, nil
}

func (c *Cloud) keystoneVersion(q *call) (reply, error) {
	return ok(obj{"version": keystoneDocument(q)})
}

func keystoneDocument(q *call) obj {
	return obj{
		"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
		"links":       []obj{{"rel": "self", "href": q.base + "/v3/"}},
		"media-types": []obj{{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}},
	}
}

// reference is Keystone's way to name something: by id, or by name in a domain.
type reference struct {
	ID     string     `json:"id"`
	Name   string     `json:"name"`
	Domain *reference `json:"domain"`
}

func (r *reference) fitsDomain(d domain) bool {
	return r != nil && (r.ID == d.ID && r.ID != "" || r.Name == d.Name && r.Name != "")
}

type authRequest struct {
	Auth struct {
		Identity struct {
			Methods  []string `json:"methods"`
			Password struct {
				User struct {
					reference
					Password string `json:"password"`
				} `json:"user"`
			} `json:"password"`
			Token      reference `json:"token"`
			Credential struct {
				reference
				Secret string    `json:"secret"`
				User   reference `json:"user"`
			} `json:"application_credential"`
		} `json:"identity"`
		Scope json.RawMessage `json:"scope"`
	} `json:"auth"`
}

type scopeRequest struct {
	Project *reference `json:"project"`
	Domain  *reference `json:"domain"`
	System  *struct {
		All bool `json:"all"`
	} `json:"system"`
}

// issueToken: who, by one of three methods; then for what.
func (c *Cloud) issueToken(q *call) (reply, error) {
	var in authRequest
	if err := q.decode(&in); err != nil {
		return reply{}, err
	}
	methods := in.Auth.Identity.Methods
	if len(methods) != 1 {
		return reply{}, fail(http.StatusBadRequest, "Expecting to find exactly one authentication method in identity.methods.")
	}
	var t ticket
	var err error
	switch methods[0] {
	case "password":
		t, err = c.byPassword(in)
	case "token":
		t, err = c.byToken(in)
	case "application_credential":
		t, err = c.byCredential(in)
	default:
		err = unauthorized()
	}
	if err != nil {
		return reply{}, err
	}
	if err := c.scope(&t, in.Auth.Scope); err != nil {
		return reply{}, err
	}
	now := c.now().UTC().Truncate(time.Microsecond)
	t.AuditID, t.IssuedAt = newAuditID(), now.UnixMicro()
	if limit := now.Add(time.Duration(c.seed.TokenLifetime)).UnixMicro(); t.ExpiresAt == 0 || limit < t.ExpiresAt {
		t.ExpiresAt = limit
	}
	who, good := c.caller(t)
	if !good {
		return reply{}, unauthorized()
	}
	token, err := c.seal.seal(t)
	if err != nil {
		return reply{}, err
	}
	q.header.Set("X-Subject-Token", token)
	q.header.Set("Vary", "X-Auth-Token")
	return reply{status: http.StatusCreated, body: c.tokenDocument(q, who)}, nil
}

func unauthorized() error { return fail(http.StatusUnauthorized, notAuthenticated) }

func (c *Cloud) byPassword(in authRequest) (ticket, error) {
	given := in.Auth.Identity.Password.User
	u, known := c.findUser(given.reference)
	if !known || subtle.ConstantTimeCompare([]byte(u.Password), []byte(given.Password)) != 1 {
		return ticket{}, unauthorized()
	}
	return ticket{UserID: u.ID, Methods: []string{"password"}, ProjectID: u.DefaultProject}, nil
}

// byToken makes a token from a token: for another scope, and never for longer.
func (c *Cloud) byToken(in authRequest) (ticket, error) {
	old, good := c.identify(in.Auth.Identity.Token.ID)
	if !good {
		return ticket{}, unauthorized()
	}
	t := ticket{UserID: old.UserID, ExpiresAt: old.ExpiresAt, Credential: old.Credential, ProjectID: old.ProjectID}
	t.Methods = append([]string{"token"}, old.Methods...)
	slices.Sort(t.Methods)
	t.Methods = slices.Compact(t.Methods)
	return t, nil
}

func (c *Cloud) byCredential(in authRequest) (ticket, error) {
	given := in.Auth.Identity.Credential
	cred, known := c.store.view().Credentials[given.ID]
	if given.ID == "" {
		u, found := c.findUser(given.User)
		for _, candidate := range c.store.view().Credentials {
			if found && candidate.UserID == u.ID && candidate.Name == given.Name {
				cred, known = candidate, true
			}
		}
	}
	if !known {
		return ticket{}, fail(http.StatusNotFound, "Could not find Application Credential: %s.", cmp.Or(given.ID, given.Name))
	}
	if cred.expired(c.now()) || !cred.fits(given.Secret) {
		return ticket{}, unauthorized()
	}
	t := ticket{
		UserID: cred.UserID, ProjectID: cred.ProjectID, Credential: cred.ID, Methods: []string{"application_credential"},
	}
	if !cred.ExpiresAt.IsZero() {
		t.ExpiresAt = cred.ExpiresAt.UnixMicro()
	}
	return t, nil
}

func (c *Cloud) findUser(r reference) (user, bool) {
	if r.ID != "" {
		return c.user(r.ID)
	}
	for _, u := range c.users {
		if u.Name == r.Name && r.Domain.fitsDomain(u.Domain) {
			return u, true
		}
	}
	return user{}, false
}

// scope puts the scope asked for into the ticket; none asked for leaves the user's default project, or the old token's
// scope.
func (c *Cloud) scope(t *ticket, raw json.RawMessage) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	if t.Credential != "" {
		return c.sameScope(t, raw)
	}
	t.ProjectID, t.System = "", false
	if string(raw) == `"unscoped"` {
		return nil
	}
	var want scopeRequest
	if err := json.Unmarshal(raw, &want); err != nil {
		return fail(http.StatusBadRequest, "Could not parse the scope: %v", err)
	}
	switch {
	case want.System != nil:
		t.System = true
	case want.Project != nil:
		for _, p := range c.projects {
			byName := want.Project.ID == "" && p.Name == want.Project.Name && want.Project.Domain.fitsDomain(p.Domain)
			if byName || p.ID == want.Project.ID {
				t.ProjectID = p.ID
			}
		}
		if t.ProjectID == "" {
			return unauthorized()
		}
	default:
		return fail(http.StatusUnauthorized, "Domain scope is not simulated.")
	}
	return nil
}

// sameScope: an application credential has its project and no other.
func (c *Cloud) sameScope(t *ticket, raw json.RawMessage) error {
	var want scopeRequest
	if slices.Contains(t.Methods, "token") && json.Unmarshal(raw, &want) == nil && want.Project != nil && want.Project.ID == t.ProjectID {
		return nil
	}
	return fail(http.StatusUnauthorized, "Application credentials cannot request a scope.")
}

func (c *Cloud) tokenDocument(q *call, who *caller) obj {
	t := obj{
		"methods":    who.Methods,
		"user":       obj{"id": who.user.ID, "name": who.user.Name, "domain": who.user.Domain.document(), "password_expires_at": nil},
		"audit_ids":  []string{who.AuditID},
		"issued_at":  time.UnixMicro(who.IssuedAt).UTC().Format(keystoneTime),
		"expires_at": who.expires().Format(keystoneTime),
	}
	if who.ProjectID != "" {
		t["project"] = obj{"id": who.project.ID, "name": who.project.Name, "domain": who.project.Domain.document()}
		t["is_domain"] = false
	}
	if who.System {
		t["system"] = obj{"all": true}
	}
	if cred, known := c.store.view().Credentials[who.Credential]; known {
		t["application_credential"] = obj{"id": cred.ID, "name": cred.Name, "restricted": !cred.Unrestricted}
	}
	if len(who.roles) > 0 {
		t["roles"] = roleDocuments(who.roles)
		if !q.URL.Query().Has("nocatalog") {
			t["catalog"] = c.catalog(q.base, who.ProjectID)
		}
	}
	return obj{"token": t}
}

func (d domain) document() obj { return obj{"id": d.ID, "name": d.Name} }

func roleDocuments(names []string) []obj {
	roles := make([]obj, 0, len(names))
	for _, name := range names {
		roles = append(roles, obj{"id": keystoneID("role", name), "name": name})
	}
	return roles
}

// subject is the token a request is about: anybody may ask about their own, admins and services about all.
func (c *Cloud) subject(q *call) (*caller, error) {
	subject := q.Header.Get("X-Subject-Token")
	if subject == "" {
		return nil, fail(http.StatusBadRequest, "Missing X-Subject-Token header.")
	}
	if subject != q.Header.Get("X-Auth-Token") && !q.who.admin() && !q.who.is("service") {
		return nil, fail(http.StatusForbidden, notAllowed)
	}
	who, good := c.identify(subject)
	if !good {
		return nil, fail(http.StatusNotFound, "Could not find token.")
	}
	return who, nil
}

func (c *Cloud) showToken(q *call) (reply, error) {
	who, err := c.subject(q)
	if err != nil {
		return reply{}, err
	}
	q.header.Set("X-Subject-Token", q.Header.Get("X-Subject-Token"))
	return ok(c.tokenDocument(q, who))
}

func (c *Cloud) revokeToken(q *call) (reply, error) {
	who, err := c.subject(q)
	if err != nil {
		return reply{}, err
	}
	now := c.now()
	err = c.store.update(func(s *state) error {
		for id, until := range s.Revoked {
			if now.After(until) {
				delete(s.Revoked, id)
			}
		}
		s.Revoked[who.AuditID] = who.expires()
		return nil
	})
	return reply{status: http.StatusNoContent}, err
}

// serviceEntry is one service of the catalog.
type serviceEntry struct{ kind, name, path string }

func (c *Cloud) services(base, projectID string) []serviceEntry {
	return []serviceEntry{
		{"identity", "keystone", base + "/v3"},
		{"compute", "nova", base + "/compute/v2.1"},
		{"image", "glance", base + "/image"},
		{"network", "neutron", base + "/network"},
		{"volumev3", "cinderv3", base + "/volume/v3/" + projectID},
		{"load-balancer", "octavia", base + "/load-balancer"},
		{"container-infra", "magnum", c.options.ContainerInfraURL},
	}
}

func (c *Cloud) catalog(base, projectID string) []obj {
	var entries []obj
	for _, s := range c.services(base, projectID) {
		entries = append(entries, obj{
			"id": keystoneID("service", s.kind), "type": s.kind, "name": s.name, "endpoints": c.endpoints(s),
		})
	}
	return entries
}

func (c *Cloud) endpoints(s serviceEntry) []obj {
	var list []obj
	for _, side := range []string{"public", "internal", "admin"} {
		list = append(list, obj{
			"id": keystoneID("endpoint", s.kind+"/"+side), "interface": side, "region": c.seed.Region, "region_id": c.seed.Region,
			"url": s.path,
		})
	}
	return list
}

func (c *Cloud) showCatalog(q *call) (reply, error) {
	if len(q.who.roles) == 0 {
		return reply{}, fail(http.StatusForbidden, notAllowed)
	}
	return ok(obj{"catalog": c.catalog(q.base, q.who.ProjectID), "links": obj{"self": q.base + q.URL.Path}})
}
