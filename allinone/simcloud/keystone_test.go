package simcloud

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLogin(t *testing.T) {
	r := start(t)
	cases := map[string]struct {
		reason  string
		body    string
		status  int
		project any
		roles   []string
	}{
		"Project":      {"By names.", passwordAuth("demo", "demo", onProject("demo")), 201, "demo", []string{"member", "reader"}},
		"Default":      {"Without a scope, the default project.", passwordAuth("reader", "reader", ""), 201, "demo", []string{"reader"}},
		"Unscoped":     {"Asked for explicitly.", passwordAuth("demo", "demo", `"unscoped"`), 201, nil, nil},
		"NoDefault":    {"Without a scope and a default project.", passwordAuth("magnum", "magnum", ""), 201, nil, nil},
		"Admin":        {"admin implies member and reader.", passwordAuth("admin", "admin", ""), 201, "admin", []string{"admin", "member", "reader"}},
		"System":       {"System scope.", passwordAuth("admin", "admin", `{"system": {"all": true}}`), 201, nil, []string{"admin", "member", "reader"}},
		"NoSystem":     {"demo has no role on the system.", passwordAuth("demo", "demo", `{"system": {"all": true}}`), 401, nil, nil},
		"BadPassword":  {"Wrong password.", passwordAuth("demo", "x", onProject("demo")), 401, nil, nil},
		"Unknown":      {"Unknown user: the same answer.", passwordAuth("nobody", "x", onProject("demo")), 401, nil, nil},
		"OtherProject": {"No role there.", passwordAuth("demo", "demo", onProject("other")), 401, nil, nil},
		"NoProject":    {"No such project.", passwordAuth("demo", "demo", onProject("nowhere")), 401, nil, nil},
		"Malformed":    {"No JSON.", `{"auth": `, 400, nil, nil},
		"NoMethod":     {"No method.", `{"auth": {"identity": {"methods": []}}}`, 400, nil, nil},
		"OddMethod":    {"A method we do not have.", `{"auth": {"identity": {"methods": ["totp"]}}}`, 401, nil, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := r.want(tc.status, "", "POST", "/v3/auth/tokens", tc.body)
			if tc.status != 201 {
				if g.at("error", "code") != float64(tc.status) || g.at("error", "message") == "" {
					t.Errorf("%s\nnot Keystone's error body: %s", tc.reason, g.text)
				}
				return
			}
			if diff := cmp.Diff(tc.project, g.at("token", "project", "name")); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
			var roles []string
			for i := range 9 {
				if role := g.at("token", "roles", i, "name"); role != nil {
					roles = append(roles, fmt.Sprint(role))
				}
			}
			if diff := cmp.Diff(tc.roles, roles); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
			if scoped := tc.roles != nil; scoped != (g.at("token", "catalog", 0) != nil) {
				t.Errorf("%s\na scoped token has a catalog, another has none: %s", tc.reason, g.text)
			}
		})
	}
}

func TestTokenLife(t *testing.T) {
	r := start(t)
	demo, other, magnum := r.login("demo"), r.login("other"), r.login("magnum")
	show := func(by, subject string, status int) got {
		t.Helper()
		return r.want(status, by, "GET", "/v3/auth/tokens?nocatalog", "", "X-Subject-Token", subject)
	}
	g := show(magnum, demo, 200)
	if g.at("token", "user", "name") != "demo" || g.at("token", "catalog") != nil || g.at("token", "user", "domain", "name") != "Default" {
		t.Errorf("not demo's token without a catalog: %s", g.text)
	}
	show(demo, demo, 200)
	show(other, demo, 403)
	show("nonsense", demo, 401)
	show(magnum, demo+"x", 404)
	r.want(200, magnum, "HEAD", "/v3/auth/tokens", "", "X-Subject-Token", demo)

	rescoped := r.want(201, "", "POST", "/v3/auth/tokens",
		fmt.Sprintf(`{"auth": {"identity": {"methods": ["token"], "token": {"id": %q}}, "scope": %s}}`, demo, onProject("demo")))
	if rescoped.at("token", "expires_at") != g.at("token", "expires_at") {
		t.Error("a token from a token must not live longer")
	}
	r.want(403, other, "DELETE", "/v3/auth/tokens", "", "X-Subject-Token", demo)
	r.want(204, demo, "DELETE", "/v3/auth/tokens", "", "X-Subject-Token", demo)
	show(magnum, demo, 404)
	show(demo, demo, 401)

	r.clock.Add(59 * time.Minute)
	show(magnum, other, 200)
	r.clock.Add(time.Minute)
	show(magnum, other, 401)
	show(r.login("magnum"), other, 404)
}

func TestIdentityLists(t *testing.T) {
	r := start(t)
	demo, admin := r.login("demo"), r.login("admin")
	demoID := fmt.Sprint(r.want(200, admin, "GET", "/v3/users?name=demo", "").at("users", 0, "id"))
	cases := map[string]struct {
		reason, token, path string
		status              int
		list                string
		want                []string
	}{
		"Projects":      {"An admin sees all.", admin, "/v3/projects", 200, "projects", []string{"demo", "other", "admin", "service"}},
		"ByName":        {"Filters.", admin, "/v3/projects?name=other", 200, "projects", []string{"other"}},
		"NotForDemo":    {"Others do not.", demo, "/v3/projects", 403, "", nil},
		"OwnProjects":   {"Own projects.", demo, "/v3/auth/projects", 200, "projects", []string{"demo"}},
		"UsersProjects": {"The same by the user's address.", demo, "/v3/users/" + demoID + "/projects", 200, "projects", []string{"demo"}},
		"Users":         {"Users.", admin, "/v3/users", 200, "users", []string{"demo", "reader", "other", "admin", "magnum"}},
		"Roles":         {"Roles.", admin, "/v3/roles", 200, "roles", []string{"admin", "member", "reader", "service"}},
		"Domains":       {"Domains.", admin, "/v3/domains", 200, "domains", []string{"Default"}},
		"Services":      {"Services, by type as well.", admin, "/v3/services?type=volumev3", 200, "services", []string{"cinderv3"}},
		"NoToken":       {"No token.", "", "/v3/projects", 401, "", nil},
		"NoRoute":       {"No such thing.", admin, "/v3/nothing", 404, "", nil},
		"NoProject":     {"No such project.", admin, "/v3/projects/123", 404, "", nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := r.want(tc.status, tc.token, "GET", tc.path, "")
			if diff := cmp.Diff(tc.want, g.names(tc.list)); tc.list != "" && diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
	g := r.want(200, admin, "GET", "/v3/role_assignments?include_names&effective&user.id="+demoID, "")
	if g.at("role_assignments", 1, "role", "name") != "reader" || g.at("role_assignments", 1, "scope", "project", "name") != "demo" {
		t.Errorf("effective assignments include implied roles: %s", g.text)
	}
	if g := r.want(401, "", "GET", "/network/v2.0/networks", ""); g.header.Get("WWW-Authenticate") != `Keystone uri="`+r.url+`/v3"` {
		t.Errorf("a service's 401 names Keystone: %v", g.header)
	}
}

func TestApplicationCredentials(t *testing.T) {
	r := start(t)
	demo, admin, other := r.login("demo"), r.login("admin"), r.login("other")
	me := "/v3/users/" + r.userNamed("demo") + "/application_credentials"
	make := func(status int, token, fields string) got {
		t.Helper()
		return r.want(status, token, "POST", me, `{"application_credential": {`+fields+`}}`)
	}
	login := func(status int, id, secret string) got {
		t.Helper()
		return r.want(status, "", "POST", "/v3/auth/tokens", fmt.Sprintf(`{"auth": {"identity": {"methods": ["application_credential"],
			"application_credential": {"id": %q, "secret": %q}}}}`, id, secret))
	}
	g := make(201, demo, `"name": "one", "description": "d"`)
	id, secret := fmt.Sprint(g.at("application_credential", "id")), fmt.Sprint(g.at("application_credential", "secret"))
	if len(secret) < 64 {
		t.Fatalf("a secret is long: %q", secret)
	}
	make(409, demo, `"name": "one"`)
	make(400, demo, `"description": "no name"`)
	make(400, demo, `"name": "two", "roles": [{"name": "admin"}]`)
	make(400, demo, `"name": "two", "expires_at": "2020-01-01T00:00:00Z"`)
	make(403, other, `"name": "two"`)
	make(403, admin, `"name": "two"`)

	if g := r.want(200, demo, "GET", me, ""); strings.Contains(g.text, "secret") {
		t.Errorf("a list shows secrets: %s", g.text)
	}
	r.want(200, admin, "GET", me+"?name=one", "")
	r.want(403, other, "GET", me, "")
	r.want(403, other, "DELETE", me+"/"+id, "")

	login(401, id, "wrong")
	login(404, "nothing", secret)
	restricted := login(201, id, secret)
	if restricted.at("token", "project", "name") != "demo" || restricted.at("token", "application_credential", "restricted") != true {
		t.Errorf("not a token of the credential's project: %s", restricted.text)
	}
	token := restricted.header.Get("X-Subject-Token")
	r.want(200, token, "GET", "/compute/v2.1/os-server-groups", "")
	r.want(403, token, "POST", me, `{"application_credential": {"name": "child"}}`)
	r.want(403, token, "DELETE", me+"/"+id, "")

	reader := make(201, demo, `"name": "reads", "roles": [{"name": "reader"}], "expires_at": "2026-02-03T04:15:06.000000", "unrestricted": true`)
	readerID, readerSecret := fmt.Sprint(reader.at("application_credential", "id")), fmt.Sprint(reader.at("application_credential", "secret"))
	limited := login(201, readerID, readerSecret)
	if limited.at("token", "expires_at") != "2026-02-03T04:15:06.000000Z" {
		t.Errorf("a token ends with its credential: %s", limited.text)
	}
	readToken := limited.header.Get("X-Subject-Token")
	r.want(403, readToken, "POST", "/compute/v2.1/os-server-groups", `{"server_group": {"name": "g", "policies": ["affinity"]}}`)
	r.clock.Add(10 * time.Minute)
	r.want(401, readToken, "GET", "/compute/v2.1/os-server-groups", "")
	login(401, readerID, readerSecret)

	r.want(204, admin, "DELETE", me+"/"+id, "")
	r.want(404, admin, "DELETE", me+"/"+id, "")
	r.want(401, token, "GET", "/compute/v2.1/os-server-groups", "")
	if left := r.want(200, demo, "GET", me, "").names("application_credentials"); !slices.Equal(left, []string{"reads"}) {
		t.Errorf("left: %v", left)
	}
}

func TestProjects(t *testing.T) {
	r := start(t)
	admin, demo := r.login("admin"), r.login("demo")
	made := r.want(201, admin, "POST", "/v3/projects", `{"project": {"name": "quotas", "description": "for a quota"}}`)
	id, _ := made.at("project", "id").(string)
	if got := r.want(200, admin, "GET", "/v3/projects/"+id, ""); got.at("project", "description") != "for a quota" {
		t.Errorf("shown as %s", got.text)
	}
	if got := r.want(200, admin, "GET", "/v3/projects?name=quotas", "").names("projects"); !slices.Equal(got, []string{"quotas"}) {
		t.Errorf("listed as %v", got)
	}
	seeded, _ := r.want(200, admin, "GET", "/v3/projects?name=demo", "").at("projects", 0, "id").(string)
	for reason, tc := range map[string]struct {
		token, method, path, body string
		status                    int
	}{
		"the name is taken":                     {admin, "POST", "/v3/projects", `{"project": {"name": "quotas"}}`, 409},
		"a name of the seed is taken":           {admin, "POST", "/v3/projects", `{"project": {"name": "demo"}}`, 409},
		"no name":                               {admin, "POST", "/v3/projects", `{"project": {}}`, 400},
		"no such domain":                        {admin, "POST", "/v3/projects", `{"project": {"name": "x", "domain_id": "nowhere"}}`, 400},
		"members make no projects":              {demo, "POST", "/v3/projects", `{"project": {"name": "x"}}`, 403},
		"members delete none":                   {demo, "DELETE", "/v3/projects/" + id, "", 403},
		"users of the seed have roles on these": {admin, "DELETE", "/v3/projects/" + seeded, "", 403},
		"nobody has a role on it":               {"", "POST", "/v3/auth/tokens", passwordAuth("demo", "demo", onProject("quotas")), 401},
	} {
		if got := r.do(tc.token, tc.method, tc.path, tc.body); got.status != tc.status {
			t.Errorf("%s: %d, want %d: %s", reason, got.status, tc.status, got.text)
		}
	}
	r.want(204, admin, "DELETE", "/v3/projects/"+id, "")
	r.want(404, admin, "DELETE", "/v3/projects/"+id, "")
	r.want(404, admin, "GET", "/v3/projects/"+id, "")
}
