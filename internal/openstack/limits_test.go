package openstack

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLimits reads Nova's own answer. A quota that it does not name, or calls unlimited, holds nobody back.
func TestLimits(t *testing.T) {
	status := http.StatusOK
	var srv *httptest.Server
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v3/auth/catalog", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"catalog": [{"type": "compute", "endpoints": [{"interface": "public", "region": "R", "region_id": "R", "url": "%s/v2.1"}]}]}`, srv.URL)
	})
	mux.HandleFunc("GET /v2.1/limits", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, `{"limits": {"rate": [], "absolute": {"maxServerMeta": 128, "maxTotalInstances": 50, "maxTotalRAMSize": 204800,
			"maxTotalCores": 0, "maxServerGroups": -1, "totalCoresUsed": 7}}}`)
	})
	srv = httptest.NewServer(mux)
	defer srv.Close()
	cloud, err := New(Settings{AuthURL: srv.URL, Username: "magnum", Password: servicePassword, ProjectName: "service", Now: newClock().Now})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	user := cloud.ForUser(goodToken, Identity{ExpiresAt: newClock().Now().Add(1)})
	got, err := user.Limits(t.Context())
	want := Limits{Instances: 50, Cores: 0, RAM: 204800, ServerGroups: Unlimited, ServerGroupMembers: Unlimited}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	status = http.StatusForbidden
	if _, err := user.Limits(t.Context()); !errors.Is(err, ErrForbidden) {
		t.Errorf("whoever may not ask: %v", err)
	}
}
