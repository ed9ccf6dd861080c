package policy_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

func TestChecks(t *testing.T) {
	all := policy.Credentials{
		UserID: "u1", UserName: "alice", UserDomainID: "d1", ProjectID: "p1", ProjectName: "demo", ProjectDomainID: "d2",
		Roles: []string{"Member", "k8s_p1"}, SystemScope: "all",
	}
	target := policy.Target{ProjectID: "p1", UserID: "u2"}
	cases := map[string]struct {
		reason string
		check  string
		want   bool
	}{
		"Empty":            {"an empty check accepts, as in oslo.policy", "", true},
		"Always":           {"@ accepts", "@", true},
		"Never":            {"! refuses", "!", false},
		"RoleCase":         {"Keystone's role names ignore case", "role:MEMBER", true},
		"RoleMissing":      {"a role the token does not list is not implied", "role:reader", false},
		"RoleTemplate":     {"a role may be built from the target", "role:k8s_%(project_id)s", true},
		"RoleOnly":         {"a whole field may be the role", "role:%(project_id)s", false},
		"RoleAbsent":       {"a role built from what is absent is no role", "role:x%(trustee_domain_id)s", false},
		"Project":          {"the same project", "project_id:%(project_id)s", true},
		"Tenant":           {"old names are understood", "tenant:%(tenant_id)s", true},
		"User":             {"another user", "user_id:%(user_id)s", false},
		"Literal":          {"a literal against the target", "'p1':%(project_id)s", true},
		"DoubleQuotes":     {"a literal in double quotes", `"p2":%(project_id)s`, false},
		"True":             {"Python's constants as text", "True:True", true},
		"Number":           {"numbers as text", "17:17", true},
		"CredentialText":   {"a credential against a text", "user_name:alice", true},
		"UserDomain":       {"a credential against a text", "user_domain_id:d1", true},
		"ProjectDomain":    {"a credential against a text", "project_domain_id:d2", true},
		"ProjectName":      {"a credential against a text", "project_name:dem", false},
		"SystemScope":      {"the scope is a credential", "system_scope:all", true},
		"Roles":            {"any element of a list", "roles:k8s_%(project_id)s", true},
		"RolesExact":       {"the generic check minds case", "roles:member", false},
		"Percent":          {"%% is a percent sign", "user_name:100%%", false},
		"Mixed":            {"text around a field", "'x-p1-y':x-%(project_id)s-y", true},
		"Longer":           {"a prefix is not equal", "'p11':%(project_id)s", false},
		"EmptyMatch":       {"nothing equals nothing", "user_name:", false},
		"AndOr":            {"and binds tighter than or", "@ or @ and !", true},
		"OrAnd":            {"and binds tighter than or", "! and ! or @", true},
		"NotAnd":           {"not binds tightest", "not ! and !", false},
		"NotNot":           {"twice not", "not not @", true},
		"Brackets":         {"brackets first", "(@ or @) and !", false},
		"BracketsSpaced":   {"brackets may stand alone", "( ( @ ) )", true},
		"OperatorCase":     {"operators in any case", "! OR (NOT ! And @)", true},
		"BracketsInCheck":  {"brackets of a field are not operators", "(project_id:%(project_id)s)", true},
		"Rule":             {"another rule", "rule:project_member", true},
		"IsAdmin":          {"is_admin is context_is_admin", "is_admin:True", false},
		"IsNotAdmin":       {"and can be asked the other way", "is_admin:False", true},
		"TrusteeDomain":    {"Magnum's old trustees never match", "not user_domain_id:%(trustee_domain_id)s", true},
		"ForeignAttribute": {"what we do not know of callers never matches", "domain_id:d1", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			e := newEnforcer(t, policy.Rule{Name: "test", Check: tc.check})
			if _, err := e.Authorize(all, "test", target); (err == nil) != tc.want {
				t.Errorf("%q: %s: passes %t, want %t", tc.check, tc.reason, err == nil, tc.want)
			}
		})
	}
}

func TestLoadOverrides(t *testing.T) {
	member, admin := memberCreds(), adminCreds()
	own := policy.Target{ProjectID: demoProject, UserID: "u-demo"}
	cases := map[string]struct {
		reason   string
		files    []policy.Source
		creds    policy.Credentials
		rule     string
		want     bool
		warnings []string
	}{
		"Comments": {
			reason: "the sample generator comments every line out",
			files:  []policy.Source{{Name: "p.yaml", Data: []byte("# \"cluster:create\": \"!\"\n\n")}},
			creds:  member, rule: "cluster:create", want: true,
		},
		"YAML": {
			reason: "an operator forbids creating",
			files:  []policy.Source{{Name: "p.yaml", Data: []byte("cluster:create: '!'\n")}},
			creds:  member, rule: "cluster:create",
		},
		"JSON": {
			reason: "policy.json with tabs",
			files:  []policy.Source{{Name: "p.json", Data: []byte("{\n\t\"cluster:create\":\t\"rule:context_is_admin\"\n}\n")}},
			creds:  member, rule: "cluster:create",
		},
		"Macro": {
			reason: "replacing a helper changes all rules that refer to it",
			files:  []policy.Source{{Name: "p.yaml", Data: []byte("project_member: role:clusters and project_id:%(project_id)s\n")}},
			creds:  member, rule: "cluster:create",
		},
		"Admin": {
			reason: "another role may be the administrator's",
			files:  []policy.Source{{Name: "p.yaml", Data: []byte("context_is_admin: role:member\n")}},
			creds:  member, rule: "quota:get_all", want: true,
		},
		"ScopeStays": {
			reason: "an override keeps the scope: oslo.policy takes it from the registered rule",
			files:  []policy.Source{{Name: "p.yaml", Data: []byte("cluster:create: '@'\n")}},
			creds:  policy.Credentials{Roles: []string{"admin"}, SystemScope: "all"}, rule: "cluster:create",
		},
		"ListOfLists": {
			reason: "or of ands",
			files:  []policy.Source{{Name: "p.json", Data: []byte(`{"cluster:create": [["role:x", "role:member"], ["role:member", "rule:is_user"]]}`)}},
			creds:  member, rule: "cluster:create", want: true,
		},
		"ListOfTexts": {
			reason: "a bare text in the list is a list of one",
			files:  []policy.Source{{Name: "p.json", Data: []byte(`{"cluster:create": ["role:x", "role:admin"]}`)}},
			creds:  member, rule: "cluster:create",
		},
		"EmptyList": {
			reason: "an empty list accepts",
			files:  []policy.Source{{Name: "p.json", Data: []byte(`{"quota:get_all": []}`)}},
			creds:  member, rule: "quota:get_all", want: true,
		},
		"EmptyInnerList": {
			reason: "a list of an empty list refuses",
			files:  []policy.Source{{Name: "p.json", Data: []byte(`{"quota:get_all": [[]]}`)}},
			creds:  admin, rule: "quota:get_all",
		},
		"LaterFile": {
			reason: "files of policy.d win over policy.yaml",
			files: []policy.Source{
				{Name: "a", Data: []byte("cluster:create: '!'\n")}, {Name: "b", Data: []byte("cluster:create: '@'\n")},
			},
			creds: member, rule: "cluster:create", want: true,
		},
		"UnknownName": {
			reason: "a misspelled rule is worth a warning, a helper is not",
			files:  []policy.Source{{Name: "p.yaml", Data: []byte("helper: '@'\ncluster:craete: '!'\nquota:get_all: rule:helper\n")}},
			creds:  member, rule: "quota:get_all", want: true,
			warnings: []string{"p.yaml:2: rule cluster:craete: is no rule of Magnum and no other rule refers to it"},
		},
		"Trustees": {
			reason: "files from the time of trusts still work",
			files: []policy.Source{{Name: "p.yaml", Data: []byte(
				"cluster_user: user_id:%(trustee_domain_id)s\ndeny_cluster_user: not domain_id:%(trustee_domain_id)s\n" +
					"cluster:create: rule:deny_cluster_user and not rule:cluster_user\n")}},
			creds: member, rule: "cluster:create", want: true,
			warnings: []string{
				"p.yaml:1: rule cluster_user: %(trustee_domain_id)s equals nothing: Jeroboam makes no trustee users",
				"p.yaml:2: rule deny_cluster_user: %(trustee_domain_id)s equals nothing: Jeroboam makes no trustee users",
				`p.yaml:2: rule deny_cluster_user: "domain_id:%(trustee_domain_id)s" never passes: Jeroboam does not know a caller's domain_id`,
			},
		},
		"Default": {
			reason: "rule default stands for rules nobody defined",
			files:  []policy.Source{{Name: "p.yaml", Data: []byte("default: role:member\nquota:get_all: rule:nowhere\n")}},
			creds:  member, rule: "quota:get_all", want: true,
		},
		"DefaultAsked": {
			reason: "also when they are asked for directly",
			files:  []policy.Source{{Name: "p.yaml", Data: []byte("default: role:member\n")}},
			creds:  member, rule: "future:thing", want: true,
		},
		"NoDefault": {reason: "without it they are forbidden", creds: admin, rule: "future:thing"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			e, err := policy.Load(policy.Settings{}, tc.files...)
			if err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			if _, err := e.Authorize(tc.creds, tc.rule, own); (err == nil) != tc.want {
				t.Errorf("%s: passes %t, want %t", tc.reason, err == nil, tc.want)
			}
			if diff := cmp.Diff(tc.warnings, e.Warnings()); diff != "" {
				t.Errorf("%s: warnings: -want +got\n%s", tc.reason, diff)
			}
		})
	}
}

func TestLoadReportsEverything(t *testing.T) {
	files := []policy.Source{
		{Name: "policy.yaml", Data: []byte(`a1: role:member and
a2: (role:member
a3: role:member)
a4: role:member role:admin
a5: and role:member
a6: member
a7: http://example.com/%(project_id)s
a8: rule:nowhere
a9: owner_id:%(project_id)s
b1: project_id:%(owner)s
b2: project_id:%(project_id)
b3: is_admin:1
b4: rule:b5
b5: not rule:b4
b6:
b7: 5
b8: {x: y}
a1: "@"
b9: [["role:x", "bad"], ["worse"], [["role:x"]]]
context_is_admin: is_admin:True
'"': "'literal'"
c1: "  "
c2: "not"
`)},
		{Name: "broken.json", Data: []byte("{\n\"a\": \"@\",\n")},
		{Name: "list.yaml", Data: []byte("- a\n- b\n")},
	}
	_, err := policy.Load(policy.Settings{}, files...)
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		`policy.yaml:15: rule b6: has no check; write "@" to allow everybody, "!" to allow nobody`,
		`policy.yaml:16: rule b7: a check is a text or a list of lists of texts`,
		`policy.yaml:17: rule b8: a check is a text or a list of lists of texts`,
		`policy.yaml:18: rule a1: is there already, in line 1`,
		`policy.yaml:19: rule b9: a check is a text or a list of lists of texts`,
		`broken.json:2: did not find expected node content`,
		`list.yaml:1: a policy file is a mapping of rule names to checks`,
		`policy.yaml:1: rule a1: a check is missing at the end`,
		`policy.yaml:2: rule a2: a bracket is not closed`,
		`policy.yaml:3: rule a3: ")" does not belong here`,
		`policy.yaml:4: rule a4: "role:admin" does not belong here`,
		`policy.yaml:5: rule a5: a check is missing before "and"`,
		`policy.yaml:6: rule a6: "member" is no check: write kind:match, such as role:member`,
		`policy.yaml:7: rule a7: "http://example.com/%(project_id)s" asks another server, which Jeroboam does not do: write the condition into the rule`,
		`policy.yaml:9: rule a9: "owner_id:%(project_id)s": a caller has no owner_id; known are role, rule, is_admin, user_id, user_name, user_domain_id, project_id, project_name, project_domain_id, roles and system_scope`,
		`policy.yaml:10: rule b1: "project_id:%(owner)s": a target has no owner; known are project_id and user_id`,
		`policy.yaml:11: rule b2: "project_id:%(project_id": write %(name)s for an attribute of the target and %% for a percent sign`,
		`policy.yaml:12: rule b3: "is_admin:1": write is_admin:True or is_admin:False`,
		`policy.yaml:21: rule ": "'literal'" is no check: write kind:match, such as role:member`,
		`policy.yaml:22: rule c1: a check is missing at the end`,
		`policy.yaml:23: rule c2: a check is missing at the end`,
		`policy.yaml:20: rule context_is_admin: rule:context_is_admin leads back to itself`,
		`policy.yaml:8: rule a8: rule:nowhere is not defined`,
		`policy.yaml:14: rule b5: rule:b4 leads back to itself`,
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("one run shows everything an operator has to fix: -want +got\n%s", diff)
	}
}

func TestLimits(t *testing.T) {
	double := []policy.Rule{{Name: "r0", Check: "rule:r1 or rule:r1"}}
	for i := range 24 {
		next := string(rune('a'+i)) + "x"
		double[i].Check = "rule:" + next + " or rule:" + next
		double = append(double, policy.Rule{Name: next, Check: "!"})
	}
	if _, err := policy.New(double...); err == nil || !strings.Contains(err.Error(), "leads to more than 10000 checks") {
		t.Errorf("doubling is noticed before it is evaluated, got %v", err)
	}
	deep := strings.Repeat("(", 1000) + "@" + strings.Repeat(")", 1000)
	if _, err := policy.New(policy.Rule{Name: "deep", Check: deep}); err == nil {
		t.Error("brackets without end are refused")
	}
	list := policy.Rule{Name: "bad", Check: "nonsense"}
	if _, err := policy.New(list); err == nil || err.Error() != `rule bad: "nonsense" is no check: write kind:match, such as role:member` {
		t.Errorf("rules without a file are named without one, got %v", err)
	}
}

func TestGrant(t *testing.T) {
	e := newEnforcer(t)
	own := policy.Target{ProjectID: demoProject, UserID: "u-demo"}
	authorized, err := e.Authorize(memberCreds(), "cluster:create", own)
	if err != nil {
		t.Fatal(err)
	}
	type view struct {
		Own, Other, Nobodys, All bool
		Project, User            string
	}
	cases := map[string]struct {
		reason string
		grant  policy.Grant
		want   view
	}{
		"Zero":       {"nobody was asked", policy.Grant{}, view{}},
		"Authorized": {"the target's project only", authorized, view{Own: true, Project: demoProject, User: "u-demo"}},
		"Scope": {
			"a member sees the own project", e.Scope(memberCreds(), "cluster:get_all_all_projects"),
			view{Own: true, Project: demoProject, User: "u-demo"},
		},
		"ScopeAdmin": {
			"an administrator sees all", e.Scope(adminCreds(), "cluster:get_all_all_projects"),
			view{Own: true, Other: true, Nobodys: true, All: true, Project: otherProject, User: "u-admin"},
		},
		"ScopeAdminHere": {
			"without a rule not even an administrator does", e.Scope(adminCreds(), ""),
			view{Other: true, Project: otherProject, User: "u-admin"},
		},
		"ScopeSystem": {
			"a system administrator sees all through rules that ask no scope",
			e.Scope(policy.Credentials{UserID: "s", Roles: []string{"admin"}, SystemScope: "all"}, "cluster:get_all_all_projects"),
			view{Own: true, Other: true, Nobodys: true, All: true, User: "s"},
		},
		"ScopeNobody": {"no project, nothing", e.Scope(policy.Credentials{UserID: "x"}, "cluster:get_all_all_projects"), view{User: "x"}},
		"System":      {"the service itself", policy.System("test"), view{Own: true, Other: true, Nobodys: true, All: true}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := tc.grant
			got := view{g.Allows(demoProject), g.Allows(otherProject), g.Allows(""), g.AllProjects(), g.Project(), g.UserID()}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.reason, diff)
			}
		})
	}
}

func TestForbiddenText(t *testing.T) {
	_, err := newEnforcer(t).Authorize(readerCreds(), "cluster:create", policy.Target{ProjectID: demoProject})
	if forbidden := (*policy.Forbidden)(nil); !errors.As(err, &forbidden) || forbidden.Rule != "cluster:create" {
		t.Fatalf("callers branch on the type, got %#v", err)
	}
	if got, want := err.Error(), "Policy doesn't allow cluster:create to be performed."; got != want {
		t.Errorf("clients see Magnum's text: got %q, want %q", got, want)
	}
}

func TestIsAdmin(t *testing.T) {
	e := newEnforcer(t)
	if !e.IsAdmin(adminCreds()) || e.IsAdmin(memberCreds()) {
		t.Error("role admin makes the administrator")
	}
}

func TestDefaultsAreDocumented(t *testing.T) {
	if w := newEnforcer(t).Warnings(); len(w) > 0 {
		t.Errorf("Magnum's own rules give warnings: %v", w)
	}
	seen := make(map[string]bool)
	for _, d := range policy.Defaults() {
		if seen[d.Name] {
			t.Errorf("%s stands there twice", d.Name)
		}
		seen[d.Name] = true
		if !strings.HasSuffix(d.Description, ".") {
			t.Errorf("%s has no description", d.Name)
		}
		if strings.Contains(d.Name, ":") != (len(d.Operations) > 0) {
			t.Errorf("%s: rules of the API name their requests, helpers have none", d.Name)
		}
		if admin := d.Check == "rule:context_is_admin"; strings.Contains(d.Name, ":") && admin == d.ProjectScope {
			t.Errorf("%s: all rules but the administrator's are for projects", d.Name)
		}
	}
}

// TestConcurrent is for the race detector.
func TestConcurrent(t *testing.T) {
	e := newEnforcer(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, d := range policy.Defaults() {
				_, _ = e.Authorize(memberCreds(), d.Name, policy.Target{ProjectID: demoProject, UserID: "u-demo"})
			}
		})
	}
	wg.Wait()
}

func TestAllocations(t *testing.T) {
	e := newEnforcer(t)
	c, target := memberCreds(), policy.Target{ProjectID: demoProject, UserID: "u-demo"}
	if n := testing.AllocsPerRun(100, func() { _, _ = e.Authorize(c, "certificate:create", target) }); n != 0 {
		t.Errorf("a check that passes allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { e.Scope(c, "cluster:get_one_all_projects") }); n != 0 {
		t.Errorf("a scope allocates %v times", n)
	}
}

func BenchmarkAuthorize(b *testing.B) {
	e := newEnforcer(b)
	c, target := memberCreds(), policy.Target{ProjectID: demoProject, UserID: "u-demo"}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = e.Authorize(c, "certificate:create", target)
	}
}

// TestSettings: operators who put the new defaults off keep what was allowed before Magnum 17, and a rule of their own
// stays as it is.
func TestSettings(t *testing.T) {
	reader := policy.Credentials{UserID: "u", ProjectID: "p", Roles: []string{"reader"}}
	noRole := policy.Credentials{UserID: "u", ProjectID: "p"}
	system := policy.Credentials{UserID: "u", SystemScope: "all", Roles: []string{"admin"}}
	stranger := policy.Credentials{UserID: "u", ProjectID: "elsewhere", Roles: []string{"member"}}
	own := policy.Target{ProjectID: "p", UserID: "u"}
	override := policy.Source{Name: "policy.yaml", Data: []byte(`"admin_or_project_reader": "role:reader"`)}
	for name, tc := range map[string]struct {
		reason   string
		settings policy.Settings
		files    []policy.Source
		who      policy.Credentials
		rule     string
		allowed  bool
	}{
		"new, reader creates":    {reason: "the default", who: reader, rule: "cluster:create"},
		"old, reader creates":    {"before Magnum 17 there were no readers", policy.Settings{OldDefaults: true}, nil, reader, "cluster:create", true},
		"old, no role":           {"nor members", policy.Settings{OldDefaults: true}, nil, noRole, "nodegroup:delete", true},
		"old, stranger":          {"but projects", policy.Settings{OldDefaults: true}, nil, stranger, "cluster:create", false},
		"old, admin only":        {"what only administrators may has no older form", policy.Settings{OldDefaults: true}, nil, noRole, "quota:create", false},
		"old, owner":             {"certificates were the owner's", policy.Settings{OldDefaults: true}, nil, noRole, "certificate:create", true},
		"old, replaced":          {"oslo.policy: a rule of the operator's is not widened", policy.Settings{OldDefaults: true}, []policy.Source{override}, noRole, "stats:get_all", false},
		"scope":                  {reason: "the default", who: system, rule: "cluster:get_all"},
		"any scope":              {"the roles alone count", policy.Settings{AnyScope: true}, nil, system, "cluster:get_all", true},
		"any scope, no new role": {"and they do count", policy.Settings{AnyScope: true}, nil, noRole, "cluster:get_all", false},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := policy.Load(tc.settings, tc.files...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.Authorize(tc.who, tc.rule, own); (err == nil) != tc.allowed {
				t.Errorf("%s: got %v, want allowed %t", tc.reason, err, tc.allowed)
			}
		})
	}
	e, err := policy.Load(policy.Settings{}, override)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"admin_or_project_reader"}, e.Changed()); diff != "" {
		t.Error(diff)
	}
}
