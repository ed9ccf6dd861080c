package deploy_test

import (
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Pods go elsewhere before their node's container is restarted, whatever else of it changes.
func TestMembersAreDrained(t *testing.T) {
	in := seed(t)
	n := &in.Nodes[0]
	n.LXC.AllowRestarts = true
	n.LXC.BindMounts = []intent.BindMount{{Host: "/openstack/log/" + n.Name, Container: "/var/log", Create: "dir"}}
	f := facts(in)
	f[n.PhysicalHost].Containers[n.Name] = true
	dir := plan.Change{Place: n.PhysicalHost, Group: "container", Kind: "directory", Name: n.LXC.BindMounts[0].Host, Action: plan.Create}
	box := plan.Change{Place: n.PhysicalHost, Group: "container", Kind: "container", Name: n.Name, Action: plan.Update}
	magnums := box
	magnums.Name = "infra1_magnum_container-1"
	for _, tt := range []struct {
		reason  string
		changes []plan.Change
		drains  bool
	}{
		{"a directory on the host is made", []plan.Change{dir}, false},
		{"its container has another configuration", []plan.Change{box}, true},
		{"both", []plan.Change{dir, box}, true},
		{"a container of Magnum on the same host", []plan.Change{magnums}, false},
	} {
		d := &deploy.Deployment{Wanted: want(t, in, f), Plan: plan.Plan{Changes: tt.changes}}
		if got := deploy.Drains(d, in.Nodes[0]); got != tt.drains {
			t.Errorf("%s: drained %v", tt.reason, got)
		}
	}
}
