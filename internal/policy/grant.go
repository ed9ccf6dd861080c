package policy

// Grant is proof that policy was asked. Its fields are not exported, so that no other package can make one that allows
// anything; the zero Grant allows nothing. A function that touches tenant data takes a Grant and holds to Allows.
type Grant struct {
	project string
	user    string
	all     bool
}

// Allows says whether things of the project may be touched. The empty project is nobody's: only a grant for all
// projects covers it.
func (g Grant) Allows(projectID string) bool {
	return g.all || (projectID != "" && g.project == projectID)
}

// Project is the project the grant is for: the target's after Authorize, the caller's own after Scope, "" for System.
func (g Grant) Project() string { return g.project }

// AllProjects says whether the grant covers every project.
func (g Grant) AllProjects() bool { return g.all }

// UserID is the caller, "" for System.
func (g Grant) UserID() string { return g.user }

// System gives a grant for all projects that no caller asked for. It is for work the service does on its own account:
// controllers, start-up, adoption of existing clusters. A code path that serves a request must not use it, with one
// exception: counting or comparing where nothing of another project reaches the caller, such as a name that must be
// unique. The reason is for the reader of the code and must not be empty.
func System(reason string) Grant {
	if reason == "" {
		panic("policy.System needs a reason")
	}
	return Grant{all: true}
}
