package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestHeat makes, grows, checks and deletes a stack with OS::Magnum::ClusterTemplate and OS::Magnum::Cluster by Heat's
// own engine, and reads every attribute that Heat has for a cluster.
func TestHeat(t *testing.T) {
	t.Parallel()
	onlyAsClient(t)
	imports(t, "heat.engine.stack, openstack", "python3-heat")
	all := shared(t)
	var seen struct {
		Version          string
		States           [][]string
		Created, Updated map[string]any
		Left             []string
	}
	all.script(t, "heat_day.py", &seen)
	t.Logf("Heat %s", seen.Version)
	var states []string
	for _, s := range seen.States {
		states = append(states, s[0]+" "+s[1])
	}
	if want := []string{"CREATE COMPLETE", "UPDATE COMPLETE", "CHECK COMPLETE", "DELETE COMPLETE"}; !slices.Equal(states, want) {
		t.Errorf("the stack was %v, want %v", seen.States, want)
	}
	// container_version and discovery_url are null for Kubernetes clusters of every driver.
	for _, name := range strings.Fields("api_address stack_id coe_version status name cluster_template_id keypair template") {
		if text, ok := seen.Created[name].(string); !ok || text == "" {
			t.Errorf("attribute %s is %v", name, seen.Created[name])
		}
	}
	for _, name := range []string{"node_addresses", "master_addresses"} {
		if _, ok := seen.Created[name].([]any); !ok {
			t.Errorf("attribute %s is %v, want a list", name, seen.Created[name])
		}
	}
	if c := seen.Created; c["node_count"] != 1.0 || c["master_count"] != 1.0 || c["create_timeout"] != 60.0 || c["cluster_template_id"] != c["template"] {
		t.Errorf("attributes: %v", c)
	}
	if seen.Updated["node_count"] != 2.0 || seen.Updated["status"] != "UPDATE_COMPLETE" || seen.Updated["stack_id"] != seen.Created["stack_id"] {
		t.Errorf("attributes after the update: %v", seen.Updated)
	}
	if len(seen.Left) > 0 {
		t.Errorf("Heat says that the stack is deleted; left are the clusters %v", seen.Left)
	}
}

// TestHorizon sends the requests of magnum-ui's pages to Horizon's own code.
func TestHorizon(t *testing.T) {
	t.Parallel()
	onlyAsClient(t)
	imports(t, "openstack_dashboard, magnum_ui, django", "python3-magnum-ui")
	all := shared(t)
	type created struct {
		Status    string
		NodeCount int `json:"node_count"`
		Masters   int `json:"master_count"`
		Labels    map[string]string
	}
	type day struct {
		Templates, Listed, Stats, Left  []string
		Labels                          map[string]string
		DNS, Authority, Upgraded        string
		Created                         created
		Resized, Updated, Quota, Quotas int
	}
	var seen struct {
		day
		Version string
	}
	all.script(t, "horizon_day.py", &seen, all.keystone("/v3"))
	t.Logf("magnum-ui %s", seen.Version)
	want := day{
		Templates: []string{"horizon", "horizon-newer"}, Listed: []string{"horizon"}, Stats: []string{"clusters", "nodes"}, Left: []string{},
		Labels: map[string]string{"kube_tag": "v1.34.2", "boot_volume_size": "20"}, DNS: "9.9.9.9",
		Authority: "-----BEGIN CERTIFICATE-----", Upgraded: "v1.35.1",
		Created: created{
			Status: "CREATE_COMPLETE", NodeCount: 1, Masters: 1,
			Labels: map[string]string{"kube_tag": "v1.34.2", "boot_volume_size": "21"},
		},
		Resized: 2, Updated: 1, Quota: 41, Quotas: 1,
	}
	if diff := cmp.Diff(want, seen.day); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
