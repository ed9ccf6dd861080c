package api_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/api"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// TestARefusedPatchChangesNothing: a patch is done as a whole or not at all, whichever part of it is refused.
func TestARefusedPatchChangesNothing(t *testing.T) {
	const (
		open    = `{"op":"add","path":"/labels/node_port_allowed_cidrs","value":"0.0.0.0/0"}`
		sick    = `{"op":"replace","path":"/health_status","value":"UNHEALTHY"}`
		grow    = `{"op":"replace","path":"/node_count","value":4}`
		tooMany = `{"op":"replace","path":"/node_count","value":9}`
		cluster = "/v1/clusters/k"
		group   = "/v1/clusters/k/nodegroups/more"
	)
	cases := map[string]struct {
		reason string
		path   string
		good   string // taken alone
		refuse string // refused alone
		change func(*world, *magnum.Cluster)
	}{
		"labels, size out of bounds": {reason: "The group's bounds.", path: cluster, good: open, refuse: tooMany},
		"labels, size while busy": {
			reason: "Labels can change while an update runs, the size cannot.", path: cluster, good: open, refuse: grow,
			change: func(_ *world, c *magnum.Cluster) { c.Status = magnum.UpdateInProgress },
		},
		"health, size out of bounds":  {reason: "A report is a part like others.", path: cluster, good: sick, refuse: tooMany},
		"size, fixed label":           {reason: "The order in the patch does not matter.", path: cluster, good: grow, refuse: `{"op":"add","path":"/labels/b","value":"c"}`},
		"labels, name":                {reason: "Fixed in every cluster.", path: cluster, good: open, refuse: `{"op":"replace","path":"/name","value":"x"}`},
		"labels, no health status":    {reason: "A value.", path: cluster, good: open, refuse: `{"op":"replace","path":"/health_status","value":"FINE"}`},
		"labels, path to nothing":     {reason: "A path.", path: cluster, good: open, refuse: `{"op":"remove","path":"/labels/lost"}`},
		"bounds, taint":               {reason: "Of a node group.", path: group, good: `{"op":"replace","path":"/min_node_count","value":1}`, refuse: `{"op":"add","path":"/node_taints","value":"[{'key':'a','effect':'Never'}]"}`},
		"node labels, bounds":         {reason: "The whole group is checked.", path: group, good: `{"op":"add","path":"/node_labels/a","value":"b"}`, refuse: `{"op":"replace","path":"/min_node_count","value":5}`},
		"node labels, size":           {reason: "The size has an action of its own.", path: group, good: `{"op":"add","path":"/node_labels/a","value":"b"}`, refuse: `{"op":"replace","path":"/node_count","value":2}`},
		"template's name, its flavor": {reason: "Looked up in the cloud.", path: "/v1/clustertemplates/free", good: `{"op":"replace","path":"/name","value":"x"}`, refuse: `{"op":"replace","path":"/flavor_id","value":"lost"}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			fresh := func() *service {
				s := newService(t, func(o *api.Options) { o.Config.ManagementCIDRs = []string{"10.0.0.0/8"} })
				id := s.cluster(t, "k")
				s.bound(s.clusters[0], 1, 5)
				s.must(t, 202, "member", "POST", "/v1/clusters/k/nodegroups", `{"name":"more","node_count":3}`)
				s.must(t, 201, "member", "POST", "/v1/clustertemplates", strings.Replace(goodTemplate, `"k8s"`, `"free"`, 1))
				s.become(id, func(c *magnum.Cluster) {
					c.MutableLabels = []string{"node_port_allowed_cidrs"}
					if tc.change != nil {
						tc.change(s.world, c)
					}
				})
				return s
			}
			if got := fresh().send(t, "member", "PATCH", tc.path, "["+tc.good+"]"); got.status >= 300 {
				t.Fatalf("%s: the good part alone: %d %q", tc.reason, got.status, got.detail())
			}
			for _, patch := range []string{"[" + tc.refuse + "]", "[" + tc.good + "," + tc.refuse + "]", "[" + tc.refuse + "," + tc.good + "]"} {
				s := fresh()
				before := s.must(t, 200, "member", "GET", tc.path, "")
				if got := s.send(t, "member", "PATCH", tc.path, patch); got.status < 400 || got.status >= 500 {
					t.Errorf("%s: %s: got %d, want a refusal", tc.reason, patch, got.status)
				}
				if diff := cmp.Diff(before.body, s.must(t, 200, "member", "GET", tc.path, "").body); diff != "" {
					t.Errorf("%s: refused, and yet changed by %s: %s", tc.reason, patch, diff)
				}
			}
		})
	}
}

// TestAReportWithoutTheRightChangesNothing: who may change a cluster and not its health gets neither.
func TestAReportWithoutTheRightChangesNothing(t *testing.T) {
	nobody, err := policy.New(policy.Rule{Name: "cluster:update_health_status", Check: "!"})
	if err != nil {
		t.Fatal(err)
	}
	s := newService(t, func(o *api.Options) { o.Policy = nobody })
	id := s.cluster(t, "k")
	s.become(id, func(c *magnum.Cluster) { c.MutableLabels = []string{"node_port_allowed_cidrs"} })
	before := s.must(t, 200, "member", "GET", "/v1/clusters/k", "")
	s.must(t, 403, "member", "PATCH", "/v1/clusters/k", `[{"op":"add","path":"/labels/node_port_allowed_cidrs","value":"0.0.0.0/0"},
		{"op":"replace","path":"/health_status","value":"UNHEALTHY"},{"op":"replace","path":"/node_count","value":4}]`)
	if diff := cmp.Diff(before.body, s.must(t, 200, "member", "GET", "/v1/clusters/k", "").body); diff != "" {
		t.Errorf("refused, and yet changed: %s", diff)
	}
}
