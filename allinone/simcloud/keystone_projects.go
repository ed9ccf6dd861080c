package simcloud

import (
	"net/http"
	"slices"
	"strings"
)

// everyProject is the seed's projects and those that admins have made since, by name.
func (c *Cloud) everyProject() []project {
	made := make([]project, 0, len(c.store.view().Projects))
	for _, p := range c.store.view().Projects {
		made = append(made, p)
	}
	slices.SortFunc(made, func(a, b project) int { return strings.Compare(a.Name, b.Name) })
	return slices.Concat(c.projects, made)
}

// createProject makes a project that nobody has a role on, as Keystone does. It is what quotas are given to.
func (c *Cloud) createProject(q *call) (reply, error) {
	var in struct {
		Project struct {
			Name, Description string
			DomainID          string `json:"domain_id"`
		}
	}
	if err := q.decode(&in); err != nil {
		return reply{}, err
	}
	if in.Project.Name == "" {
		return reply{}, fail(http.StatusBadRequest, "Invalid input for field 'name': '' should be non-empty")
	}
	home := c.domains[0]
	if id := in.Project.DomainID; id != "" {
		i := slices.IndexFunc(c.domains, func(d domain) bool { return d.ID == id })
		if i < 0 {
			return reply{}, fail(http.StatusBadRequest, "Could not find domain: %s.", id)
		}
		home = c.domains[i]
	}
	made := project{ID: strings.ReplaceAll(newID(), "-", ""), Name: in.Project.Name, Description: in.Project.Description, Domain: home}
	err := c.store.update(func(s *state) error {
		if slices.ContainsFunc(c.everyProject(), func(p project) bool { return p.Name == made.Name && p.Domain == home }) {
			return fail(http.StatusConflict,
				"Conflict occurred attempting to store project - it is not permitted to have two projects with the same name in the same domain : %s.", made.Name)
		}
		s.Projects[made.ID] = made
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: obj{"project": made.document(q)}}, nil
}

// deleteProject deletes what createProject made. The seed's projects stay: users have roles on them.
func (c *Cloud) deleteProject(q *call) (reply, error) {
	id := q.PathValue("id")
	err := c.store.update(func(s *state) error {
		if _, made := s.Projects[id]; made {
			delete(s.Projects, id)
			return nil
		}
		if _, seeded := c.project(id); seeded {
			return fail(http.StatusForbidden, "The project %s comes from the file of the simulated cloud and stays.", id)
		}
		return fail(http.StatusNotFound, "Could not find project: %s.", id)
	})
	return reply{status: http.StatusNoContent}, err
}
