package openstack

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// asking is a project whose Nova answers every request so.
func asking(t *testing.T, status int, body string) *Project {
	t.Helper()
	nova := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/servers" && (r.URL.RawQuery != "" || r.Header.Get("X-OpenStack-Nova-API-Version") != "2.69") {
			t.Errorf("asked for %s in version %q: what is left out of that list is not told", r.URL, r.Header.Get("X-OpenStack-Nova-API-Version"))
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(nova.Close)
	entries := catalog{{Type: "compute", Endpoints: []tokens.Endpoint{{Interface: "public", URL: nova.URL}}}}
	return &Project{cloud: newKeystone(t).cloud(t), session: &session{provider: &gophercloud.ProviderClient{}, catalog: entries}}
}

// TestServerGone: what is done on this word cannot be undone, so it has to be Nova's.
func TestServerGone(t *testing.T) {
	const id = "5e1f0000-0000-4000-8000-000000000001"
	for name, is := range map[string]struct {
		reason string
		status int
		body   string
		gone   bool
		err    error
	}{
		"gone":              {"Nova's sentence", 404, `{"itemNotFound": {"code": 404, "message": "Instance ` + id + ` could not be found."}}`, true, nil},
		"there":             {"It may be restored.", 200, `{"server": {"id": "` + id + `", "status": "SOFT_DELETED"}}`, false, nil},
		"no such path":      {"A load balancer's.", 404, `<html><body><h1>404 Not Found</h1></body></html>`, false, ErrUnavailable},
		"no such resource":  {"Nova's, of an endpoint that is wrong.", 404, `{"message": "The resource could not be found.", "code": "404 Not Found"}`, false, ErrUnavailable},
		"another one":       {"Not what was asked.", 404, `{"itemNotFound": {"code": 404, "message": "Project could not be found."}}`, false, ErrUnavailable},
		"nothing":           {"Nobody's.", 404, ``, false, ErrUnavailable},
		"cell down":         {"Nova does not know.", 500, `{"computeFault": {"code": 500, "message": "Cell 1 is not responding"}}`, false, ErrUnavailable},
		"not to be seen":    {"A policy.", 403, `{"forbidden": {"code": 403, "message": "no"}}`, false, ErrForbidden},
		"gone, says nobody": {"Only 404 is Nova's.", 410, `{"itemNotFound": {"code": 410, "message": "Instance ` + id + ` is gone."}}`, false, ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			gone, err := asking(t, is.status, is.body).ServerGone(t.Context(), id)
			if gone != is.gone || !errors.Is(err, is.err) || is.err == nil && err != nil {
				t.Errorf("%s: gone %t, %v; want %t, %v", is.reason, gone, err, is.gone, is.err)
			}
		})
	}
}

// TestServersNamed: all of them or an error, for nothing is concluded from a list with holes.
func TestServersNamed(t *testing.T) {
	names, err := asking(t, 200, `{"servers": [{"id": "1", "name": "kube-a-1"}, {"id": "2", "name": "x-kube-a-2"}]}`).ServersNamed(t.Context(), "kube-a-")
	if diff := cmp.Diff([]string{"kube-a-1"}, names); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	holes := `{"servers": [{"id": "1", "name": "kube-a-1"}, {"id": "2", "status": "UNKNOWN"}]}`
	if names, err := asking(t, 200, holes).ServersNamed(t.Context(), "kube-a-"); !errors.Is(err, ErrUnavailable) || names != nil {
		t.Errorf("a cell does not answer: %q, %v", names, err)
	}
}
