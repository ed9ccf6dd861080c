package intent_test

import (
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// What the operator's inventory.ini sets is asked for, as Ansible has it: openstack-ansible passes the file to every
// playbook.
func TestStaticInventory(t *testing.T) {
	const ini = "inventory.ini"
	for _, c := range []struct {
		name  string
		edits []edit
		check func(intent.Intent) any
		want  any
	}{
		{"a version of Kubernetes", []edit{{k8s, "kubernetes_version: 1.36.1\n", ""}, {ini, "", "[k8s_all:vars]\nkubernetes_version=1.36.0"}}, func(in intent.Intent) any {
			return in.Versions.Kubernetes + " " + strings.TrimPrefix(in.Origin("versions.kubernetes").Pos.String(), in.Directory+"/")
		}, "1.36.0 inventory.ini:2"},
		{"group_vars win", []edit{{ini, "", "[k8s_all:vars]\nkubernetes_version=1.28.12"}}, func(in intent.Intent) any { return in.Versions.Kubernetes }, "1.36.1"},
		{
			"a group of hosts for the proxy",
			[]edit{{vars, "mcapi_vexxhost_proxy_hosts: compute_hosts", "mcapi_vexxhost_proxy_hosts: neutron_nodes"}, {ini, "", "[neutron_nodes]\ncompute1"}},
			func(in intent.Intent) any { return len(in.Proxy.Hosts) }, 1,
		},
		{"omit is not given", []edit{{vars, "", "kubernetes_version: \"{{ nobody | default(omit) }}\""}}, func(in intent.Intent) any {
			return in.Versions.Kubernetes + in.Origin("versions.kubernetes").Level
		}, "1.36.1default of openstack-ansible"},
	} {
		in, found, err := intent.Read(clean(t, c.edits...))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := c.check(in); got != c.want {
			t.Errorf("%s: %v, want %v\n%v", c.name, got, c.want, found)
		}
	}
	found := findings(t, clean(t, edit{ini, "", "[k8s_all:vars]\nx"}))
	if err := found.Err(); err == nil || !strings.Contains(err.Error(), "inventory.ini:") {
		t.Errorf("a broken inventory.ini: %v", err)
	}
}
