package simcloud

import (
	"net/http"
	"slices"
	"strings"
)

// collection answers a Keystone list, filtered by the query.
func collection(q *call, name string, items []obj) (reply, error) {
	return ok(obj{
		name: notNull(filtered(items, q.URL.Query())), "links": obj{"self": q.base + q.URL.Path, "next": nil, "previous": nil},
	})
}

// one answers the item with the id of the path.
func one(q *call, name string, items []obj) (reply, error) {
	id := q.PathValue("id")
	for _, item := range items {
		if item["id"] == id {
			return ok(obj{name: item})
		}
	}
	return reply{}, fail(http.StatusNotFound, "Could not find %s: %s.", name, id)
}

func self(q *call, kind, id string) obj { return obj{"self": q.base + "/v3/" + kind + "/" + id} }

func (c *Cloud) projectDocuments(q *call, keep func(project) bool) []obj {
	var list []obj
	for _, p := range c.everyProject() {
		if keep(p) {
			list = append(list, p.document(q))
		}
	}
	return list
}

func (p project) document(q *call) obj {
	return obj{
		"id": p.ID, "name": p.Name, "domain_id": p.Domain.ID, "parent_id": p.Domain.ID, "description": p.Description, "enabled": true,
		"is_domain": false, "tags": []string{}, "options": obj{}, "links": self(q, "projects", p.ID),
	}
}

func (c *Cloud) listProjects(q *call) (reply, error) {
	return collection(q, "projects", c.projectDocuments(q, func(project) bool { return true }))
}

func (c *Cloud) showProject(q *call) (reply, error) {
	if !q.who.sees(q.PathValue("id")) {
		return reply{}, fail(http.StatusForbidden, notAllowed)
	}
	return one(q, "project", c.projectDocuments(q, func(project) bool { return true }))
}

func (c *Cloud) ownProjects(q *call) (reply, error) {
	return collection(q, "projects", c.projectDocuments(q, func(p project) bool { return len(q.who.user.rolesOn(p.ID)) > 0 }))
}

func (c *Cloud) projectsOfUser(q *call) (reply, error) {
	u, err := c.ownUser(q)
	if err != nil {
		return reply{}, err
	}
	return collection(q, "projects", c.projectDocuments(q, func(p project) bool { return len(u.rolesOn(p.ID)) > 0 }))
}

func (c *Cloud) ownDomains(q *call) (reply, error) { return collection(q, "domains", nil) }

func (c *Cloud) ownSystem(q *call) (reply, error) {
	system := []obj{}
	if len(q.who.user.rolesOn("")) > 0 {
		system = append(system, obj{"all": true})
	}
	return ok(obj{"system": system, "links": obj{"self": q.base + q.URL.Path}})
}

func (u user) document(q *call) obj {
	d := obj{
		"id": u.ID, "name": u.Name, "domain_id": u.Domain.ID, "enabled": true, "password_expires_at": nil, "options": obj{},
		"links": self(q, "users", u.ID),
	}
	if u.DefaultProject != "" {
		d["default_project_id"] = u.DefaultProject
	}
	return d
}

func (c *Cloud) listUsers(q *call) (reply, error) {
	var list []obj
	for _, u := range c.users {
		list = append(list, u.document(q))
	}
	return collection(q, "users", list)
}

// ownUser is the user of the path, for themselves and for admins.
func (c *Cloud) ownUser(q *call) (user, error) {
	id := q.PathValue("user")
	if id != q.who.UserID && !q.who.admin() {
		return user{}, fail(http.StatusForbidden, notAllowed)
	}
	u, known := c.user(id)
	if !known {
		return user{}, fail(http.StatusNotFound, "Could not find user: %s.", id)
	}
	return u, nil
}

func (c *Cloud) showUser(q *call) (reply, error) {
	u, err := c.ownUser(q)
	if err != nil {
		return reply{}, err
	}
	return ok(obj{"user": u.document(q)})
}

func (c *Cloud) domainDocuments(q *call) []obj {
	var list []obj
	for _, d := range c.domains {
		list = append(list, obj{
			"id": d.ID, "name": d.Name, "description": "", "enabled": true, "tags": []string{}, "options": obj{},
			"links": self(q, "domains", d.ID),
		})
	}
	return list
}

func (c *Cloud) listDomains(q *call) (reply, error) {
	return collection(q, "domains", c.domainDocuments(q))
}

func (c *Cloud) showDomain(q *call) (reply, error) { return one(q, "domain", c.domainDocuments(q)) }

func (c *Cloud) roles(q *call) []obj {
	list := roleDocuments(roleNames)
	for _, role := range list {
		id, _ := role["id"].(string)
		role["domain_id"], role["description"], role["options"], role["links"] = nil, nil, obj{}, self(q, "roles", id)
	}
	return list
}

func (c *Cloud) listRoles(q *call) (reply, error) { return collection(q, "roles", c.roles(q)) }

func (c *Cloud) showRole(q *call) (reply, error) { return one(q, "role", c.roles(q)) }

// listRoleAssignments knows the filters user.id, role.id, scope.project.id and scope.system, and the flags effective
// and include_names.
func (c *Cloud) listRoleAssignments(q *call) (reply, error) {
	query := q.URL.Query()
	fits := func(filter, value string) bool { return !query.Has(filter) || query.Get(filter) == value }
	list := []obj{}
	for _, u := range c.users {
		for _, g := range u.Grants {
			if !fits("user.id", u.ID) || !fits("scope.project.id", g.ProjectID) || query.Has("scope.system") && g.ProjectID != "" {
				continue
			}
			names := []string{g.Role}
			if query.Has("effective") {
				names = withImplied(names)
			}
			for _, name := range names {
				if fits("role.id", keystoneID("role", name)) {
					list = append(list, c.assignment(q, u, g, name))
				}
			}
		}
	}
	return ok(obj{"role_assignments": list, "links": obj{"self": q.base + q.URL.Path, "next": nil, "previous": nil}})
}

func (c *Cloud) assignment(q *call, u user, g grant, role string) obj {
	where, scope := "system", obj{"system": obj{"all": true}}
	r, who := obj{"id": keystoneID("role", role)}, obj{"id": u.ID}
	p, onProject := c.project(g.ProjectID)
	if onProject {
		where, scope = "projects/"+p.ID, obj{"project": obj{"id": p.ID}}
	}
	if q.URL.Query().Has("include_names") {
		r["name"], who["name"], who["domain"] = role, u.Name, u.Domain.document()
		if onProject {
			scope = obj{"project": obj{"id": p.ID, "name": p.Name, "domain": p.Domain.document()}}
		}
	}
	link := q.base + "/v3/" + where + "/users/" + u.ID + "/roles/" + keystoneID("role", role)
	return obj{"role": r, "user": who, "scope": scope, "links": obj{"assignment": link}}
}

func (c *Cloud) serviceDocuments(q *call) []obj {
	var list []obj
	for _, s := range c.services(q.base, "") {
		id := keystoneID("service", s.kind)
		list = append(list, obj{
			"id": id, "type": s.kind, "name": s.name, "description": "", "enabled": true, "links": self(q, "services", id),
		})
	}
	return list
}

func (c *Cloud) listServices(q *call) (reply, error) {
	return collection(q, "services", c.serviceDocuments(q))
}

func (c *Cloud) showService(q *call) (reply, error) { return one(q, "service", c.serviceDocuments(q)) }

func (c *Cloud) endpointDocuments(q *call) []obj {
	var list []obj
	for _, s := range c.services(q.base, "$(project_id)s") {
		for _, e := range c.endpoints(s) {
			id, _ := e["id"].(string)
			e["service_id"], e["enabled"], e["links"] = keystoneID("service", s.kind), true, self(q, "endpoints", id)
			list = append(list, e)
		}
	}
	return list
}

func (c *Cloud) listEndpoints(q *call) (reply, error) {
	return collection(q, "endpoints", c.endpointDocuments(q))
}

func (c *Cloud) showEndpoint(q *call) (reply, error) {
	return one(q, "endpoint", c.endpointDocuments(q))
}

func (c *Cloud) regionDocuments(q *call) []obj {
	id := c.seed.Region
	return []obj{{"id": id, "description": "", "parent_region_id": nil, "links": self(q, "regions", id)}}
}

func (c *Cloud) listRegions(q *call) (reply, error) {
	return collection(q, "regions", c.regionDocuments(q))
}

func (c *Cloud) showRegion(q *call) (reply, error) { return one(q, "region", c.regionDocuments(q)) }

// rolesNamed turns role references of a request into names; ok is false when one is unknown.
func rolesNamed(references []reference) (names []string, good bool) {
	for _, r := range references {
		i := slices.IndexFunc(roleNames, func(name string) bool {
			return r.ID != "" && keystoneID("role", name) == r.ID || r.ID == "" && strings.EqualFold(name, r.Name)
		})
		if i < 0 {
			return nil, false
		}
		names = append(names, roleNames[i])
	}
	return names, true
}
