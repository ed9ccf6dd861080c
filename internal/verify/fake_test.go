package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// object is JSON of a cloud.
type object = map[string]any

// cloud is as much of an OpenStack as a run sees: collections of named things, and clusters with a life of their own.
type cloud struct {
	mu     sync.Mutex
	things map[string][]object // by collection: "clusters", "flavors", ...
	log    []string            // what changed something
	after  func(cluster object)
	refuse map[string]int // "DELETE clusters" -> status
}

func newCloud() *cloud {
	return &cloud{
		things: map[string][]object{
			"networks": {{"id": "n1", "name": "public", "router:external": true}},
			"images":   {{"id": "i1", "name": "node"}, {"id": "i9", "name": "jeroboam-verify-of-somebody"}},
			"flavors":  {{"id": "f1", "name": "medium", "vcpus": 2, "ram": 4096, "disk": 20}},
			"clusters": {{"uuid": "c1", "name": "theirs", "status": "CREATE_COMPLETE"}},
		},
		refuse: map[string]int{},
	}
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // service, collection, id or "detail"
	kind, id := parts[1], ""
	if len(parts) > 2 && parts[2] != "detail" {
		id = parts[2]
	}
	w.Header().Set("Content-Type", "application/json")
	answer := func(status int, v any) {
		w.WriteHeader(status)
		if v != nil {
			_ = json.NewEncoder(w).Encode(v) // to a test
		}
	}
	if status := c.refuse[r.Method+" "+kind]; status != 0 {
		answer(status, object{})
		return
	}
	at := slices.IndexFunc(c.things[kind], func(o object) bool { return id != "" && (ident(o) == id || o["name"] == id) })
	switch r.Method {
	case http.MethodGet:
		if id == "" {
			answer(http.StatusOK, object{collection(kind): c.list(kind)})
		} else if at < 0 {
			answer(http.StatusNotFound, object{})
		} else {
			o := c.things[kind][at]
			if c.after != nil && kind == "clusters" {
				c.after(o)
			}
			if o["status"] == "gone" {
				c.things[kind] = slices.Delete(c.things[kind], at, at+1)
				answer(http.StatusNotFound, object{})
				return
			}
			answer(http.StatusOK, o)
		}
	case http.MethodPost:
		if len(parts) > 3 { // .../action: which project may use a flavor
			body := object{}
			_ = json.NewDecoder(r.Body).Decode(&body) // of this test's own making
			c.things[kind][at]["access"] = body["addTenantAccess"].(object)["tenant"]
			answer(http.StatusOK, object{"flavor_access": []object{}})
			return
		}
		c.create(r, kind, answer)
	case http.MethodDelete:
		if at < 0 {
			answer(http.StatusNotFound, object{})
			return
		}
		c.log = append(c.log, "DELETE "+kind+" "+fmt.Sprint(c.things[kind][at]["name"]))
		if kind == "clusters" {
			c.things[kind][at]["status"] = "DELETE_IN_PROGRESS"
		} else {
			c.things[kind] = slices.Delete(c.things[kind], at, at+1)
		}
		status := http.StatusNoContent
		if kind == "flavors" || kind == "os-keypairs" {
			status = http.StatusAccepted
		}
		answer(status, nil)
	}
}

func ident(o object) string {
	for _, key := range []string{"uuid", "id", "name"} {
		if text, ok := o[key].(string); ok {
			return text
		}
	}
	return ""
}

func collection(kind string) string { return strings.TrimPrefix(kind, "os-") }

func (c *cloud) list(kind string) []object {
	out := slices.Clone(c.things[kind])
	if kind == "os-keypairs" {
		for i := range out {
			out[i] = object{"keypair": out[i]}
		}
	}
	return append([]object{}, out...)
}

func (c *cloud) create(r *http.Request, kind string, answer func(int, any)) {
	body := object{}
	_ = json.NewDecoder(r.Body).Decode(&body) // of this test's own making
	wrapped := strings.TrimSuffix(collection(kind), "s")
	inner, wraps := body[wrapped].(object)
	if !wraps {
		inner = body
	}
	id := fmt.Sprintf("%s-%d", wrapped, len(c.log))
	c.log = append(c.log, "POST "+kind+" "+fmt.Sprint(inner["name"]))
	switch kind {
	case "clusters", "clustertemplates":
		inner["uuid"] = id
		inner["status"] = "CREATE_IN_PROGRESS"
	case "os-keypairs":
	default:
		inner["id"] = id
	}
	c.things[kind] = append(c.things[kind], inner)
	switch {
	case kind == "clusters":
		answer(http.StatusAccepted, object{"uuid": id})
	case wraps && kind != "os-keypairs":
		status := http.StatusOK
		if strings.HasPrefix(r.URL.Path, "/neutron/") {
			status = http.StatusCreated
		}
		answer(status, object{wrapped: inner})
	case wraps:
		answer(http.StatusOK, object{"keypair": inner})
	default:
		answer(http.StatusCreated, inner)
	}
}

// names are what a collection has.
func (c *cloud) names(kind string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, o := range c.things[kind] {
		out = append(out, fmt.Sprint(o["name"]))
	}
	return out
}

func (c *cloud) clients(t *testing.T, roles ...string) Clients {
	t.Helper()
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	provider := &gophercloud.ProviderClient{}
	list := []object{}
	for _, r := range roles {
		list = append(list, object{"name": r})
	}
	var token tokens.CreateResult
	token.Body = object{"token": object{"roles": list, "project": object{"id": "p1", "name": "demo"}}}
	token.Header = http.Header{"X-Subject-Token": {"x"}}
	if err := provider.SetTokenAndAuthResult(token); err != nil {
		t.Fatal(err)
	}
	at := func(service string) *gophercloud.ServiceClient {
		return &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: server.URL + "/" + service + "/", Type: service}
	}
	return Clients{Provider: provider, Magnum: at("magnum"), Nova: at("nova"), Glance: at("glance"), Neutron: at("neutron")}
}

func quickly(o Options) Options {
	o.Timeout, o.Poll, o.Now = 5*time.Second, time.Millisecond, time.Now
	return o
}

// states are the results of a run, by step.
func states(v Verdict) map[string]string {
	out := map[string]string{}
	for _, r := range v.Results {
		out[r.Step] = r.State
	}
	return out
}

func canceled(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}
