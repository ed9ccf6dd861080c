package openstack

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// mortal is a Keystone that knows one application credential, and a Nova behind it, which it tells whether a token is
// good.
type mortal struct {
	url string
	// What Keystone answers a login, and who asks for the catalog, with; 0: as it should.
	login, catalog atomic.Int32
	words          atomic.Pointer[string] // of a refusal; nil: not Keystone's, but of somebody on the way
}

func newMortal(t *testing.T) (*mortal, *Project) {
	t.Helper()
	m := &mortal{}
	refused := func(w http.ResponseWriter, status int32) bool {
		if status == 0 {
			return false
		}
		w.WriteHeader(int(status))
		if words := m.words.Load(); words != nil {
			_, _ = fmt.Fprintf(w, `{"error": {"code": %d, "message": %q, "title": "x"}}`, status, *words)
		}
		return true
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v3/auth/tokens", func(w http.ResponseWriter, _ *http.Request) {
		if refused(w, m.login.Load()) {
			return
		}
		w.Header().Set("X-Subject-Token", "token")
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"token": {"expires_at": "2036-01-01T00:00:00.000000Z", "project": {"id": "p1"}, "catalog": [
			{"type": "compute", "endpoints": [{"interface": "public", "region": "R", "url": %q}]}]}}`, m.url+"/nova")
	})
	mux.HandleFunc("GET /v3/auth/catalog", func(w http.ResponseWriter, _ *http.Request) {
		if !refused(w, m.catalog.Load()) {
			_, _ = fmt.Fprint(w, `{"catalog": []}`)
		}
	})
	mux.HandleFunc("GET /nova/os-server-groups", func(w http.ResponseWriter, _ *http.Request) {
		if m.catalog.Load() != 0 {
			w.WriteHeader(http.StatusUnauthorized) // keystonemiddleware, whatever Keystone says to it
			return
		}
		_, _ = fmt.Fprint(w, `{"server_groups": []}`)
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	m.url = server.URL
	cloud, err := New(Settings{AuthURL: server.URL, Username: "magnum", Password: servicePassword, ProjectName: "service"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cloud.Close)
	project, err := cloud.ForProject(t.Context(), Credential{ID: "id", Secret: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	return m, project
}

// TestADeadCredential: it is told the same of a session that still lives as of a fresh one, whoever is asked and
// however this Keystone says it.
func TestADeadCredential(t *testing.T) {
	lost, refused := "Could not find Application Credential: id.", "The request you have made requires authentication."
	for name, is := range map[string]struct {
		reason         string
		login, catalog int32
		words          *string
		works, servers error
	}{
		"it works":            {"", 0, 0, nil, nil, ErrNotFound},
		"not found":           {"Keystone looks for the token's credential", 404, 404, &lost, ErrUnauthorized, ErrUnauthorized},
		"not found, then 401": {"the user is gone as well", 401, 404, &lost, ErrUnauthorized, ErrUnauthorized},
		"refused":             {"other releases", 401, 401, &refused, ErrUnauthorized, ErrUnauthorized},
		"a revoked token":     {"another login is good", 0, 404, &lost, nil, ErrUnauthorized},
		"a proxy's page":      {"it knows no credential", 404, 404, nil, ErrNotFound, ErrUnavailable},
		"Keystone is down":    {"nothing is known", 503, 503, &refused, ErrUnavailable, ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			for what, ask := range map[string]func(*Project) (error, error){
				"Works": func(p *Project) (error, error) { return p.Works(t.Context()), is.works },
				"Nova": func(p *Project) (error, error) {
					_, err := p.FindServerGroup(t.Context(), "kube-abcde")
					return err, is.servers
				},
				"a cloud without Octavia": func(p *Project) (error, error) {
					_, err := p.DeleteLoadBalancers(t.Context(), "7a8f")
					return err, is.works
				},
			} {
				m, project := newMortal(t)
				m.login.Store(is.login)
				m.catalog.Store(is.catalog)
				m.words.Store(is.words)
				err, want := ask(project)
				if !errors.Is(err, want) || want == nil && err != nil || err != nil && strings.Contains(err.Error(), "s3cret") {
					t.Errorf("%s: %v, want %v: %s", what, err, want, is.reason)
				}
				if !errors.Is(want, ErrUnauthorized) || is.login == 0 {
					continue
				}
				if _, err := project.cloud.ForProject(t.Context(), project.credential); !errors.Is(err, ErrUnauthorized) {
					t.Errorf("%s: the session of a dead credential is kept: %v", what, err)
				}
			}
		})
	}
}
