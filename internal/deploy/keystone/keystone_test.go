package keystone_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/keystone"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

type thing = map[string]any

// directory is as much of one as these questions need: lists filtered as the API documents it, and creating.
type directory struct {
	mu        sync.Mutex
	lists     map[string][]thing // by kind
	passwords map[string]string
	granted   []string // user/project/role
	writes    []string
	fail      string // a request that begins so fails
}

func newDirectory() *directory {
	return &directory{
		passwords: map[string]string{"admin": "of-the-administrator"},
		lists: map[string][]thing{
			"domains": {{"id": "default", "name": "Default"}},
			"roles":   {{"id": "r-admin", "name": "admin", "domain_id": nil}, {"id": "r-x", "name": "service", "domain_id": "other"}},
		},
	}
}

func (k *directory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v3/")
	if line := r.Method + " " + path; r.Method != http.MethodGet && path != "auth/tokens" {
		k.writes = append(k.writes, line)
		if k.fail != "" && strings.HasPrefix(line, k.fail) {
			http.Error(w, `{"error": {"message": "of-the-administrator"}}`, http.StatusInternalServerError)
			return
		}
	}
	var body thing
	_ = json.NewDecoder(r.Body).Decode(&body) // none: nothing is sent
	words := strings.Split(path, "/")
	switch {
	case path == "auth/tokens":
		k.login(w, body)
	case r.Header.Get("X-Auth-Token") == "":
		w.WriteHeader(http.StatusUnauthorized)
	case path == "role_assignments":
		k.assignments(w, r)
	case r.Method == http.MethodPut: // projects/P/users/U/roles/R
		k.granted = append(k.granted, words[3]+"/"+words[1]+"/"+words[5])
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet:
		answer(w, http.StatusOK, thing{words[0]: k.find(words[0], r), "links": thing{}})
	default:
		k.write(w, r.Method, words, body)
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (k *directory) login(w http.ResponseWriter, body thing) {
	user := dig(body, "auth", "identity", "password", "user")
	if k.passwords[fmt.Sprint(user["name"])] != user["password"] {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("X-Subject-Token", "token of "+fmt.Sprint(user["name"]))
	answer(w, http.StatusCreated, thing{"token": thing{"expires_at": "2099-01-01T00:00:00.000000Z", "catalog": []any{}}})
}

func dig(m thing, keys ...string) thing {
	for _, key := range keys {
		m, _ = m[key].(thing)
	}
	return m
}

func (k *directory) find(kind string, r *http.Request) []thing {
	out := []thing{}
	for _, t := range k.lists[kind] {
		ok := true
		for _, key := range []string{"name", "domain_id", "type", "service_id"} {
			v := r.URL.Query().Get(key)
			ok = ok && (v == "" || fmt.Sprint(t[key]) == v)
		}
		if ok {
			out = append(out, t)
		}
	}
	return out
}

func (k *directory) assignments(w http.ResponseWriter, r *http.Request) {
	out := []thing{}
	for _, g := range k.granted {
		words := strings.Split(g, "/")
		if words[0] == r.URL.Query().Get("user.id") && words[1] == r.URL.Query().Get("scope.project.id") {
			out = append(out, thing{"role": thing{"id": words[2]}})
		}
	}
	answer(w, http.StatusOK, thing{"role_assignments": out})
}

func (k *directory) write(w http.ResponseWriter, method string, words []string, body thing) {
	kind, one := words[0], strings.TrimSuffix(words[0], "s")
	t := dig(body, one)
	if password, ok := t["password"].(string); ok {
		name, _ := t["name"].(string)
		if method == http.MethodPatch {
			name, _ = k.lists[kind][0]["name"].(string)
		}
		k.passwords[name] = password
		delete(t, "password")
	}
	if method == http.MethodPost {
		t["id"] = fmt.Sprintf("%s-%d", one, len(k.lists[kind]))
		k.lists[kind] = append(k.lists[kind], t)
		answer(w, http.StatusCreated, thing{one: t})
		return
	}
	for _, have := range k.lists[kind] {
		if have["id"] == words[1] {
			for key, v := range t {
				have[key] = v
			}
			answer(w, http.StatusOK, thing{one: have})
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
}

// canary is a password that nobody may see.
const canary = "hunter2-of-magnum"

func account(url string) intent.MagnumService {
	return intent.MagnumService{
		Name: "magnum", Type: "container-infra", Description: "d", Region: "RegionOne", AuthURL: url + "/v3",
		PublicURL: "https://external:9511", InternalURL: "http://internal:9511", AdminURL: "http://internal:9511",
		User: "magnum", Password: intent.NewSecret(canary), Project: "service", UserDomain: "Default", ProjectDomain: "Default", Roles: []string{"admin", "service"},
		Admin: "admin", AdminPassword: intent.NewSecret("of-the-administrator"), AdminProject: "admin",
	}
}

func said(changes []plan.Change) []string {
	out := []string{}
	for _, c := range changes {
		out = append(out, fmt.Sprintf("%s %s %s", c.Action, c.Kind, c.Name))
	}
	return out
}

func everything() []string {
	return []string{
		"create project service", "create user magnum", "create role assignment admin", "create role service", "create role assignment service",
		"create service container-infra", "create endpoint internal", "create endpoint admin", "create endpoint public",
	}
}

// What the plan says is what is made, once; and what is wrong is put right.
func TestKeystone(t *testing.T) {
	k := newDirectory()
	server := httptest.NewServer(k)
	defer server.Close()
	want := account(server.URL)
	login := func() *keystone.Keystone {
		t.Helper()
		c, err := keystone.Login(t.Context(), want, server.Client().Transport)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	planned := func() []string {
		t.Helper()
		s, err := login().Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return said(keystone.Changes(want, s))
	}
	apply := func() []string {
		t.Helper()
		var done []plan.Change
		if err := login().Register(t.Context(), func(c plan.Change) { done = append(done, c) }); err != nil {
			t.Fatal(err)
		}
		return said(done)
	}
	check := func(reason string, want []string) {
		t.Helper()
		before := len(k.writes)
		if diff := cmp.Diff(want, planned()); diff != "" {
			t.Errorf("%s, planned: %s", reason, diff)
		}
		if len(k.writes) != before {
			t.Errorf("%s: looking has changed something: %v", reason, k.writes[before:])
		}
		if diff := cmp.Diff(want, apply()); diff != "" {
			t.Errorf("%s, done: %s", reason, diff)
		}
		if got := len(k.writes) - before; got != len(want) {
			t.Errorf("%s: %d requests for %d changes", reason, got, len(want))
		}
		if left := planned(); len(left) > 0 {
			t.Errorf("%s: a second run would do %v", reason, left)
		}
	}
	check("nothing is there", everything())
	check("all is there", []string{})
	k.passwords["magnum"] = "another"
	check("another password", []string{"update user magnum"})
	k.lists["endpoints"][2]["url"] = "https://old:9511"
	check("the external address has changed", []string{"update endpoint public"})
	k.granted = k.granted[:1]
	check("a role was taken away", []string{"create role assignment service"})
	for _, e := range k.lists["endpoints"] { // of another region
		e["region"] = "RegionTwo"
	}
	check("another region has endpoints of its own", everything()[6:])
}

// A run that is killed after any request leaves nothing that is made twice.
func TestKeystoneInterrupted(t *testing.T) {
	for _, step := range []string{"POST projects", "POST users", "PUT projects/project-0/users/user-0/roles/r-admin", "POST roles", "POST services", "POST endpoints"} {
		k := newDirectory()
		server := httptest.NewServer(k)
		want := account(server.URL)
		k.fail = step
		c, err := keystone.Login(t.Context(), want, server.Client().Transport)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Register(t.Context(), func(plan.Change) {})
		if err == nil || strings.Contains(err.Error(), "of-the-administrator") || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", step, err)
		}
		k.fail = ""
		if err := c.Register(t.Context(), func(plan.Change) {}); err != nil {
			t.Errorf("%s, again: %v", step, err)
		}
		for kind, n := range map[string]int{"projects": 1, "users": 1, "services": 1, "endpoints": 3, "roles": 3} {
			if len(k.lists[kind]) != n {
				t.Errorf("%s: %d %s: %v", step, len(k.lists[kind]), kind, k.lists[kind])
			}
		}
		server.Close()
	}
}

func TestKeystoneRefuses(t *testing.T) {
	for _, tt := range []struct {
		reason string
		change func(*directory, *intent.MagnumService)
		want   string
	}{
		{"a wrong password", func(_ *directory, s *intent.MagnumService) { s.AdminPassword = intent.NewSecret("wrong-secret") }, "as admin: the name or the password is not accepted"},
		{"a domain that is not there", func(_ *directory, s *intent.MagnumService) { s.UserDomain = "ldap" }, "there is no domain ldap"},
		{"two services of one type", func(k *directory, s *intent.MagnumService) {
			k.lists["services"] = []thing{{"id": "1", "type": s.Type}, {"id": "2", "type": s.Type}}
		}, "delete all but one"},
	} {
		k := newDirectory()
		server := httptest.NewServer(k)
		want := account(server.URL)
		tt.change(k, &want)
		c, err := keystone.Login(t.Context(), want, server.Client().Transport)
		if err == nil {
			_, err = c.Look(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "wrong-secret") {
			t.Errorf("%s: %v", tt.reason, err)
		}
		if len(k.writes) > 0 {
			t.Errorf("%s: something was written: %v", tt.reason, k.writes)
		}
		server.Close()
	}
}
