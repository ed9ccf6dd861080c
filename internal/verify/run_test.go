package verify

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const mine = "jeroboam-verify-0badcafe"

// untouched fails when something is gone that no run made, or something is left that one did.
func untouched(t *testing.T, c *cloud, left ...string) {
	t.Helper()
	for kind, want := range map[string][]string{
		"clusters": {"theirs"}, "networks": {"public"}, "images": {"node", "jeroboam-verify-of-somebody"}, "flavors": {"medium"},
		"clustertemplates": nil, "os-keypairs": nil,
	} {
		if slices.Contains(left, kind) {
			want = append(want, mine)
		}
		if diff := cmp.Diff(want, c.names(kind)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}

// A cluster that fails is the verdict, with Magnum's words; nothing is looked at in it, and all of it is removed.
func TestClusterFails(t *testing.T) {
	c := newCloud()
	c.after = func(k object) {
		switch k["status"] {
		case "CREATE_IN_PROGRESS":
			k["status"], k["status_reason"], k["faults"] = "CREATE_FAILED", "no valid host", object{"default-worker": "out of memory"}
		case "DELETE_IN_PROGRESS":
			k["status"] = "gone"
		}
	}
	v, err := Run(t.Context(), quickly(asked(nil)), c.clients(t, "member"))
	if err != nil || v.Passed {
		t.Fatalf("%v %+v", err, v)
	}
	got := states(v)
	for step, want := range map[string]string{
		"network": Passed, "keypair": Passed, "template": Passed, "cluster": Failed, "connect": NotRun, "nodes": NotRun, "conformance": NotRun, "remove": Passed,
	} {
		if got[step] != want {
			t.Errorf("%s: %s, want %s", step, got[step], want)
		}
	}
	i := slices.IndexFunc(v.Results, func(r Result) bool { return r.Step == "cluster" })
	if r := v.Results[i]; !strings.Contains(r.Detail, "CREATE_FAILED: no valid host; default-worker: out of memory") || r.LookAt == "" {
		t.Errorf("the result does not say why: %+v", r)
	}
	if n := v.Results[slices.IndexFunc(v.Results, func(r Result) bool { return r.Step == "nodes" })]; n.Detail != "cluster failed" {
		t.Errorf("it does not say why nodes were not looked at: %+v", n)
	}
	untouched(t, c)
	if want := []string{
		"POST os-keypairs " + mine, "POST clustertemplates " + mine, "POST clusters " + mine,
		"DELETE clusters " + mine, "DELETE clustertemplates " + mine, "DELETE os-keypairs " + mine,
	}; !slices.Equal(c.log, want) {
		t.Errorf("the order was %q", c.log)
	}
}

// An interrupt in the middle: the run is no success, and leaves nothing.
func TestInterrupted(t *testing.T) {
	c := newCloud()
	ctx, stop := canceled(t)
	defer stop()
	c.after = func(k object) {
		if k["status"] == "DELETE_IN_PROGRESS" {
			k["status"] = "gone"
		}
		stop()
	}
	v, err := Run(ctx, quickly(asked(nil)), c.clients(t, "member"))
	if got := states(v); err != nil || v.Passed || got["cluster"] != NotRun || got["nodes"] != NotRun || got["remove"] != Passed {
		t.Errorf("%v %+v", err, got)
	}
	untouched(t, c)
}

// A run that was killed has left everything; the same removal finds it, of that run or of any, and nothing else.
func TestCleanup(t *testing.T) {
	for _, run := range []string{"", "0badcafe"} {
		c := newCloud()
		c.after = func(k object) {
			if k["status"] == "DELETE_IN_PROGRESS" {
				k["status"] = "gone"
			}
		}
		for _, kind := range []string{"clusters", "clustertemplates", "os-keypairs", "flavors", "images", "networks"} {
			c.things[kind] = append(c.things[kind], object{"id": "x", "uuid": "x", "name": mine, "status": "CREATE_IN_PROGRESS"})
		}
		delete(c.things["os-keypairs"][0], "id")
		removed, err := Remove(t.Context(), quickly(Options{RunID: run}), c.clients(t, "admin"))
		if err != nil || len(removed) != 6 || removed[0] != "cluster "+mine {
			t.Errorf("%q: %v %q", run, err, removed)
		}
		untouched(t, c)
	}
	c := newCloud()
	c.things["images"] = append(c.things["images"], object{"id": "x", "name": mine})
	if removed, err := Remove(t.Context(), quickly(Options{RunID: "12345678"}), c.clients(t)); err != nil || len(removed) != 0 {
		t.Errorf("another run's: %v %q", err, removed)
	}
	untouched(t, c, "images")
}

// What cannot be removed is told, and does not keep other things from being removed.
func TestRemovalFails(t *testing.T) {
	c := newCloud()
	c.after = func(k object) {
		if k["status"] == "DELETE_IN_PROGRESS" {
			k["status"], k["status_reason"] = "DELETE_FAILED", "the router is in use"
		}
	}
	c.refuse["DELETE clustertemplates"] = http.StatusBadRequest
	for _, kind := range []string{"clusters", "clustertemplates", "images"} {
		c.things[kind] = append(c.things[kind], object{"id": "x", "uuid": "x", "name": mine, "status": "CREATE_COMPLETE"})
	}
	removed, err := Remove(t.Context(), quickly(Options{RunID: "0badcafe"}), c.clients(t))
	if err == nil || !strings.Contains(err.Error(), "the router is in use") || !strings.Contains(err.Error(), "remove the cluster template") {
		t.Errorf("%v", err)
	}
	if !slices.Equal(removed, []string{"image " + mine}) {
		t.Errorf("removed %q", removed)
	}
}

func TestKeep(t *testing.T) {
	c := newCloud()
	c.refuse["POST clusters"] = http.StatusForbidden
	v, err := Run(t.Context(), quickly(asked(func(o *Options) { o.Keep = true })), c.clients(t, "member"))
	if got := states(v); err != nil || got["cluster"] != Failed || got["remove"] != Skipped {
		t.Errorf("%v %+v", err, got)
	}
	untouched(t, c, "clustertemplates", "os-keypairs")
}

// Nothing is made when the plan has a problem.
func TestNothingIsMadeOfAPlanWithProblems(t *testing.T) {
	c := newCloud()
	v, err := Run(t.Context(), quickly(asked(func(o *Options) { o.Flavor = "none" })), c.clients(t, "member"))
	if err == nil || len(v.Results) > 0 || len(c.log) > 0 {
		t.Errorf("%v %+v %q", err, v, c.log)
	}
	c.refuse["GET flavors"], c.refuse["GET images"] = http.StatusServiceUnavailable, http.StatusForbidden
	if _, err = Run(t.Context(), quickly(asked(nil)), c.clients(t, "member")); err == nil || !strings.Contains(err.Error(), "list flavors") || !strings.Contains(err.Error(), "list images") {
		t.Errorf("what cannot be looked at is told, all of it: %v", err)
	}
}

// An administrator of an empty cloud has a flavor of the project's own and a network made.
func TestEmptyCloud(t *testing.T) {
	c := newCloud()
	c.things["networks"], c.things["flavors"] = nil, nil
	c.refuse["POST clusters"] = http.StatusForbidden
	o := quickly(asked(func(o *Options) {
		o.Public = PublicNetwork{Physical: "physnet1", CIDR: "172.29.248.0/22", Pool: "172.29.249.110-172.29.249.200"}
		o.Keep = true
	}))
	v, err := Run(t.Context(), o, c.clients(t, "admin"))
	if got := states(v); err != nil || got["network"] != Passed || got["flavor"] != Passed || got["template"] != Passed {
		t.Fatalf("%v %+v", err, v.Results)
	}
	n, s, f := c.things["networks"][0], c.things["subnets"][0], c.things["flavors"][0]
	if n["router:external"] != true || n["provider:network_type"] != "flat" || n["provider:physical_network"] != "physnet1" || s["gateway_ip"] != "172.29.248.1" || s["enable_dhcp"] != false || s["network_id"] != n["id"] {
		t.Errorf("%v %v", n, s)
	}
	if f["os-flavor-access:is_public"] != false || f["access"] != "p1" {
		t.Errorf("the flavor is not of this project alone: %v", f)
	}
}

func TestWaitsEnd(t *testing.T) {
	c := newCloud()
	c.after = func(k object) { k["status_reason"] = "making node groups" }
	o := quickly(asked(func(o *Options) { o.Keep = true }))
	o.Timeout = 50 * time.Millisecond
	v, err := Run(t.Context(), o, c.clients(t, "member"))
	i := slices.IndexFunc(v.Results, func(r Result) bool { return r.Step == "cluster" })
	if err != nil || !strings.Contains(v.Results[i].Detail, "not within 50ms; last state: CREATE_IN_PROGRESS: making node groups") {
		t.Errorf("%v %+v", err, v.Results)
	}
}
