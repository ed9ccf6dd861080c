package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

// novaQuotas are Nova's where only one of them is any.
func novaQuotas(change func(*openstack.Limits)) *openstack.Limits {
	l := openstack.Limits{
		Instances: openstack.Unlimited, Cores: openstack.Unlimited, RAM: openstack.Unlimited,
		ServerGroups: openstack.Unlimited, ServerGroupMembers: openstack.Unlimited,
	}
	change(&l)
	return &l
}

// TestNovasQuotas: what a project's quotas can never hold is refused, whoever asks for it in whatever way. Machines are
// small: 2 VCPUs and 2048 MiB.
func TestNovasQuotas(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*openstack.Limits)
		told   string // of one master and 3 workers, or 1, 2 and 1 more
	}{
		"instances": {func(l *openstack.Limits) { l.Instances = 3 }, "The cluster would have 4 servers in all, and Nova's quota instances of your project is 3. Ask for less, or have the quota raised."},
		"cores":     {func(l *openstack.Limits) { l.Cores = 7 }, "The cluster would have 8 VCPUs in all, and Nova's quota cores of your project is 7."},
		"ram":       {func(l *openstack.Limits) { l.RAM = 8191 }, "The cluster would have 8192 MiB of memory in all, and Nova's quota ram of your project is 8191."},
		"members":   {func(l *openstack.Limits) { l.ServerGroupMembers = 2 }, "Node group default-worker would have 3 nodes, which are in one server group, and Nova's quota server_group_members of your project is 2."},
	} {
		s := newService(t)
		s.limits = novaQuotas(tc.change)
		template := s.template(t)
		create := func(name string, nodes int) string {
			return fmt.Sprintf(`{"name":%q,"cluster_template_id":%q,"node_count":%d}`, name, template, nodes)
		}
		refused := func(got reply) {
			t.Helper()
			if !strings.HasPrefix(got.detail(), tc.told) {
				t.Errorf("%s: got %s, want %s", name, got.detail(), tc.told)
			}
		}
		refused(s.must(t, 400, "member", "POST", "/v1/clusters", create("large", 3)))
		s.comeUp(t, s.must(t, 202, "member", "POST", "/v1/clusters", create("k", 2)).str("uuid"))
		at := "/v1/clusters/k"
		refused(s.must(t, 400, "member", "POST", at+"/actions/resize", `{"node_count":3}`))
		refused(s.must(t, 400, "member", "PATCH", at, `[{"op":"replace","path":"/node_count","value":3}]`))
		more := s.send(t, "member", "POST", at+"/nodegroups", `{"name":"more","node_count":1}`)
		if name == "members" { // another group has members of its own
			tc.told = ""
		}
		if refused(more); (name == "members") != (more.status == 202) {
			t.Errorf("%s: one group more: %d", name, more.status)
		}
		s.limits = novaQuotas(func(l *openstack.Limits) { *l = openstack.Limits{} }) // lowered since
		s.must(t, 202, "member", "POST", at+"/actions/resize", `{"node_count":1}`)
		s.nova = openstack.ErrForbidden
		s.must(t, 202, "member", "POST", at+"/actions/resize", `{"node_count":5}`)
		s.must(t, 202, "member", "POST", "/v1/clusters", create("unknown", 50))
	}
}

// TestServerGroupsHaveAQuota: each node group needs one of its own, and one that is there needs no other.
func TestServerGroupsHaveAQuota(t *testing.T) {
	s := newService(t)
	s.cluster(t, "k")
	s.limits = novaQuotas(func(l *openstack.Limits) { l.ServerGroups = 2 })
	got := s.must(t, 400, "member", "POST", "/v1/clusters/k/nodegroups", `{"name":"more","flavor_id":"lost"}`)
	tells(t, "all at once", got.detail(), "Unable to find flavor lost.",
		"The cluster would have 3 server groups, one for each node group, in all, and Nova's quota server_groups of your project is 2.")
	s.groups[s.clusters[0].UUID][1].Status = magnum.DeleteInProgress
	s.must(t, 202, "member", "POST", "/v1/clusters/k/nodegroups", `{"name":"more"}`)
	s.limits.ServerGroups = 1
	s.must(t, 202, "member", "POST", "/v1/clusters/k/actions/resize", `{"node_count":4,"nodegroup":"more"}`)
	got = s.must(t, 400, "member", "POST", "/v1/clusters", fmt.Sprintf(`{"cluster_template_id":%q}`, s.templates[0].UUID))
	tells(t, "a cluster", got.detail(), "The cluster would have 2 server groups")
}
