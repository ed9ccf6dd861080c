package policy_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

const (
	demoProject  = "11111111111111111111111111111111"
	otherProject = "22222222222222222222222222222222"
)

func adminCreds() policy.Credentials {
	return policy.Credentials{UserID: "u-admin", ProjectID: otherProject, Roles: []string{"admin", "member", "reader"}}
}

func memberCreds() policy.Credentials {
	return policy.Credentials{UserID: "u-demo", ProjectID: demoProject, Roles: []string{"member", "reader"}}
}

func readerCreds() policy.Credentials {
	return policy.Credentials{UserID: "u-reader", ProjectID: demoProject, Roles: []string{"reader"}}
}

func newEnforcer(tb testing.TB, overrides ...policy.Rule) *policy.Enforcer {
	tb.Helper()
	e, err := policy.New(overrides...)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// answer acts as the API does: look the thing up within what the caller may see (404), then ask the rule (403).
func answer(e *policy.Enforcer, c policy.Credentials, allProjectsRule, rule string, owned policy.Target) int {
	if !e.Scope(c, allProjectsRule).Allows(owned.ProjectID) {
		return 404
	}
	grant, err := e.Authorize(c, rule, owned)
	if forbidden := (*policy.Forbidden)(nil); errors.As(err, &forbidden) {
		return 403
	}
	if !grant.Allows(owned.ProjectID) || grant.AllProjects() {
		return 500
	}
	return 200
}

// TestRoleMatrix repeats what was measured on Magnum master with enforce_new_defaults and enforce_scope. The cluster
// belongs to user demo of project demo; admin is of another project; reader is another user of the same project.
func TestRoleMatrix(t *testing.T) {
	owned := policy.Target{ProjectID: demoProject, UserID: "u-demo"}
	// own marks requests without a thing to look up: the target is the caller.
	const own = "own"
	cases := map[string]struct {
		reason string
		lookup string
		rule   string
		want   [3]int // admin, member, reader
	}{
		"GET clusters":             {"everybody lists", own, "cluster:get_all", [3]int{200, 200, 200}},
		"GET clusters detail":      {"everybody lists", own, "cluster:detail", [3]int{200, 200, 200}},
		"GET cluster":              {"an admin sees all", "cluster:get_one_all_projects", "cluster:get", [3]int{200, 200, 200}},
		"GET nodegroups":           {"an admin sees all", "nodegroup:get_all_all_projects", "nodegroup:get_all", [3]int{200, 200, 200}},
		"GET nodegroup":            {"an admin sees all", "nodegroup:get_one_all_projects", "nodegroup:get", [3]int{200, 200, 200}},
		"GET templates":            {"everybody lists", own, "clustertemplate:get_all", [3]int{200, 200, 200}},
		"GET template":             {"an admin sees all", "clustertemplate:get_one_all_projects", "clustertemplate:get", [3]int{200, 200, 200}},
		"GET stats":                {"everybody counts", own, "stats:get_all", [3]int{200, 200, 200}},
		"GET federations":          {"everybody lists", own, "federation:get_all", [3]int{200, 200, 200}},
		"POST cluster":             {"readers only read", own, "cluster:create", [3]int{200, 200, 403}},
		"POST template":            {"readers only read", own, "clustertemplate:create", [3]int{200, 200, 403}},
		"PATCH cluster":            {"an admin reaches all", "cluster:update_all_projects", "cluster:update", [3]int{200, 200, 403}},
		"DELETE cluster":           {"an admin reaches all", "cluster:delete_all_projects", "cluster:delete", [3]int{200, 200, 403}},
		"POST upgrade":             {"an admin reaches all", "cluster:upgrade_all_projects", "cluster:upgrade", [3]int{200, 200, 403}},
		"DELETE template":          {"an admin reaches all", "clustertemplate:delete_all_projects", "clustertemplate:delete", [3]int{200, 200, 403}},
		"POST resize":              {"Magnum never looks beyond the project", "", "cluster:resize", [3]int{404, 200, 403}},
		"POST nodegroup":           {"Magnum never looks beyond the project", "", "nodegroup:create", [3]int{404, 200, 403}},
		"PATCH nodegroup":          {"Magnum never looks beyond the project", "", "nodegroup:update", [3]int{404, 200, 403}},
		"PATCH template":           {"Magnum never looks beyond the project", "", "clustertemplate:update", [3]int{404, 200, 403}},
		"GET certificate":          {"only the user who owns the cluster", "", "certificate:get", [3]int{404, 200, 403}},
		"POST certificate":         {"the API turns this 404 into 400", "", "certificate:create", [3]int{404, 200, 403}},
		"PATCH certificate":        {"Magnum never looks beyond the project", "", "certificate:rotate_ca", [3]int{404, 200, 403}},
		"PATCH credential":         {"Magnum never looks beyond the project", "", "credential:rotate", [3]int{404, 200, 403}},
		"GET quotas":               {"quotas are the cloud's business", own, "quota:get_all", [3]int{200, 403, 403}},
		"POST quotas":              {"quotas are the cloud's business", own, "quota:create", [3]int{200, 403, 403}},
		"GET mservices":            {"processes are the cloud's business", own, "magnum-service:get_all", [3]int{200, 403, 403}},
		"GET quota of the project": {"one may know one's limit", "cluster:get_one_all_projects", "quota:get", [3]int{200, 200, 200}},
		"publish":                  {"only an admin makes templates public", own, "clustertemplate:publish", [3]int{200, 403, 403}},
		"PATCH health":             {"target is the caller, so any member", own, "cluster:update_health_status", [3]int{200, 200, 403}},
	}
	e := newEnforcer(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got [3]int
			for i, c := range []policy.Credentials{adminCreds(), memberCreds(), readerCreds()} {
				target, lookup := owned, tc.lookup
				if lookup == own {
					target, lookup = policy.Target{ProjectID: c.ProjectID, UserID: c.UserID}, ""
				}
				got[i] = answer(e, c, lookup, tc.rule, target)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: %s: -want +got\n%s", tc.rule, tc.reason, diff)
			}
		})
	}
}

// TestStrangers checks every rule of Magnum against callers who should get nowhere.
func TestStrangers(t *testing.T) {
	owned := policy.Target{ProjectID: demoProject, UserID: "u-demo"}
	cases := map[string]struct {
		reason string
		creds  policy.Credentials
		target policy.Target
		admin  bool // passes rules without project scope
	}{
		"OtherProject": {
			reason: "a member of another project",
			creds:  policy.Credentials{UserID: "u2", ProjectID: otherProject, Roles: []string{"member", "reader"}}, target: owned,
		},
		"NoRoles": {
			reason: "the owner without a role",
			creds:  policy.Credentials{UserID: "u-demo", ProjectID: demoProject}, target: owned,
		},
		"Nobody": {
			reason: "nothing equals nothing: an empty project is no project",
			creds:  policy.Credentials{Roles: []string{"member", "reader"}},
		},
		"NoTarget": {
			reason: "a target without a project belongs to nobody",
			creds:  memberCreds(),
		},
		"System": {
			reason: "a system scoped administrator may do the cloud's business, but not a project's",
			creds:  policy.Credentials{UserID: "u-admin", Roles: []string{"admin"}, SystemScope: "all"}, target: owned, admin: true,
		},
		"Domain": {
			reason: "a domain scoped token has no project either",
			creds:  policy.Credentials{UserID: "u-admin", Roles: []string{"admin"}}, target: owned, admin: true,
		},
	}
	e := newEnforcer(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for _, d := range policy.Defaults() {
				if len(d.Operations) == 0 {
					continue
				}
				grant, err := e.Authorize(tc.creds, d.Name, tc.target)
				if want := tc.admin && !d.ProjectScope; (err == nil) != want {
					t.Errorf("%s: %s: passes: %t, want %t", tc.reason, d.Name, err == nil, want)
				}
				if err != nil && grant != (policy.Grant{}) {
					t.Errorf("%s: %s: a refusal came with a grant", tc.reason, d.Name)
				}
			}
		})
	}
}
