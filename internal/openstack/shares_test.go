package openstack

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// Manila is found by either of its names in catalogs, and asked at the path that its endpoint has.
func TestShareTypes(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/p/types" {
			t.Errorf("asked %s", r.URL.Path)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"share_types": [{"id": "1", "name": "default"}, {"id": "2", "name": "Gold (fast)"}]}`))
	}))
	defer srv.Close()
	for _, kind := range []string{"sharev2", "shared-file-system"} {
		c := catalog{{Type: kind, Endpoints: []tokens.Endpoint{{Interface: "public", URL: srv.URL + "/v2/p"}}}}
		client, err := c.client(&gophercloud.ProviderClient{}, shares, "public", "")
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		names, err := shareTypes(t.Context(), client)
		if diff := cmp.Diff([]string{"default", "Gold (fast)"}, names); err != nil || diff != "" {
			t.Errorf("%s: %v %s", kind, err, diff)
		}
	}
}
