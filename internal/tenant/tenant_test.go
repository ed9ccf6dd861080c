package tenant

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
)

// cloud is a Keystone and a Magnum of a few lines. Magnum answers for the cluster "k8s" with one state after another.
type cloud struct {
	*httptest.Server

	mu     sync.Mutex
	states []string // status, reason; "404", "503" and "400" answer with that; the last one stays
	asked  []string
}

func newCloud(t *testing.T, states ...string) *cloud {
	t.Helper()
	c := &cloud{states: states}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v3/auth/tokens", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Subject-Token", "t")
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"token": {"expires_at": "2036-01-01T00:00:00.000000Z", "catalog": [{"type": "container-infra", "endpoints": [
			{"interface": "public", "region": "R", "region_id": "R", "url": %q}]}]}}`, c.URL+"/v1")
	})
	mux.HandleFunc("GET /v1/clusters/{ident}", c.cluster)
	mux.HandleFunc("GET /v1/clusters/7a8f/events", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"events": [{"type": "Normal", "reason": "State", "message": "limit %s", "nodegroup": null, "count": 2}]}`, r.URL.Query().Get("limit"))
	})
	mux.HandleFunc("GET /v1/clusters/7a8f/nodegroups", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Openstack-Api-Version") != "container-infra 1.10" {
			w.WriteHeader(http.StatusNotAcceptable)
			return
		}
		_, _ = fmt.Fprint(w, `{"nodegroups": [{"uuid": "1", "name": "default-worker"}, {"uuid": "2", "name": "gone"}]}`)
	})
	mux.HandleFunc("GET /v1/clusters/7a8f/nodegroups/1", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"uuid": "1", "name": "default-worker", "node_addresses": ["10.0.0.5"], "max_node_count": null}`)
	})
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

func (c *cloud) cluster(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, r.PathValue("ident"))
	status, reason, _ := strings.Cut(c.states[0], " ")
	if len(c.states) > 1 {
		c.states = c.states[1:]
	}
	switch status {
	case "404", "503", "400":
		var code int
		_, _ = fmt.Sscan(status, &code)
		w.WriteHeader(code)
		_, _ = fmt.Fprintf(w, `{"errors": [{"detail": "said with %s"}]}`, status)
	default:
		_, _ = fmt.Fprintf(w, `{"uuid": "7a8f", "name": "k8s", "status": %q, "status_reason": %q, "health_status": null}`, status, reason)
	}
}

func (c *cloud) client(t *testing.T) *Client {
	t.Helper()
	provider, err := openstack.AuthenticatedClient(t.Context(), gophercloud.AuthOptions{
		IdentityEndpoint: c.URL + "/v3", Username: "u", Password: "p", DomainName: "D", TenantName: "x",
	})
	if err != nil {
		t.Fatal(err)
	}
	client, err := New(provider, gophercloud.EndpointOpts{})
	if err != nil {
		t.Fatal(err)
	}
	client.pause = time.Millisecond
	return client
}

func TestWait(t *testing.T) {
	for name, is := range map[string]struct {
		reason string
		gone   bool
		states []string
		told   []string
		says   string // in the error; empty: it has come to a good end
		failed bool
	}{
		"it comes up": {
			"each change is told once", false,
			[]string{"CREATE_IN_PROGRESS a", "CREATE_IN_PROGRESS a", "CREATE_IN_PROGRESS b", "CREATE_COMPLETE"},
			[]string{"CREATE_IN_PROGRESS a", "CREATE_IN_PROGRESS b", "CREATE_COMPLETE "},
			"", false,
		},
		"at rest":     {"", false, []string{"UPDATE_COMPLETE"}, []string{"UPDATE_COMPLETE "}, "", false},
		"it fails":    {"", false, []string{"CREATE_IN_PROGRESS", "CREATE_FAILED no host"}, []string{"CREATE_IN_PROGRESS ", "CREATE_FAILED no host"}, "CREATE_FAILED: no host", true},
		"it restarts": {"an API that comes back is waited for", false, []string{"503", "CREATE_COMPLETE"}, []string{"CREATE_COMPLETE "}, "", false},
		"no such":     {"waiting for it would never end", false, []string{"404"}, nil, "said with 404", false},
		"deleted meanwhile": {
			"", false, []string{"UPDATE_IN_PROGRESS", "404"}, []string{"UPDATE_IN_PROGRESS "}, "was deleted meanwhile", true,
		},
		"gone":                  {"", true, []string{"DELETE_IN_PROGRESS", "404"}, []string{"DELETE_IN_PROGRESS "}, "", false},
		"gone already":          {"", true, []string{"404"}, nil, "", false},
		"it does not go":        {"", true, []string{"DELETE_FAILED forbidden"}, []string{"DELETE_FAILED forbidden"}, "DELETE_FAILED: forbidden", true},
		"complete is not gone":  {"the deletion has not been asked for yet", true, []string{"CREATE_COMPLETE", "404"}, []string{"CREATE_COMPLETE "}, "", false},
		"a question is refused": {"", false, []string{"400"}, nil, "HTTP 400: said with 400", false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t, is.states...)
			var told []string
			err := c.client(t).Wait(t.Context(), "k8s", is.gone, func(k Cluster) { told = append(told, k.Status+" "+k.StatusReason) })
			if (err == nil) != (is.says == "") || err != nil && !strings.Contains(err.Error(), is.says) || errors.Is(err, ErrFailed) != is.failed {
				t.Errorf("%v, want %q (%s)", err, is.says, is.reason)
			}
			if diff := cmp.Diff(is.told, told); diff != "" {
				t.Error(diff)
			}
			for i, ident := range c.asked[min(1, len(c.asked)):] {
				if ident != "7a8f" && is.states[i] != "503" {
					t.Errorf("question %d is about %s: another cluster may have the name by then", i, ident)
				}
			}
		})
	}
}

func TestWaitEnds(t *testing.T) {
	c := newCloud(t, "CREATE_IN_PROGRESS slow").client(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Wait(ctx, "k8s", false, func(Cluster) {}); err == nil || !strings.Contains(err.Error(), "slow") && !strings.Contains(err.Error(), "deadline") {
		t.Errorf("time is up: %v", err)
	}
}

func TestWhatIsThere(t *testing.T) {
	c := newCloud(t, "CREATE_COMPLETE").client(t)
	groups, err := c.NodeGroups(t.Context(), "7a8f")
	if err != nil || len(groups) != 2 || len(groups[0].Addresses) != 1 || groups[1].Name != "gone" {
		t.Errorf("a group that goes while its cluster is described: %+v, %v", groups, err)
	}
	events, err := c.Events(t.Context(), "7a8f", 7)
	if err != nil || len(events) != 1 || events[0].Message != "limit 7" || events[0].NodeGroup != "" {
		t.Errorf("%+v, %v", events, err)
	}
	if _, err := c.Events(t.Context(), "other", 7); !errors.Is(err, ErrNotFound) {
		t.Errorf("another Magnum has no events: %v", err)
	}
}
