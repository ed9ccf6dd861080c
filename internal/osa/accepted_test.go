package osa_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// What the original takes is taken here, with a finding where an operator should know; found is "severity code place".
func TestAcceptedAsTheOriginalDoes(t *testing.T) {
	cidr, used := "172.29.236.0/22", `["172.29.236.1,172.29.236.50"]`
	networks := working[strings.Index(working, "    - network:"):strings.Index(working, "shared-infra_hosts:")]
	for _, c := range []struct {
		reason string
		files  map[string]string
		found  string
	}{
		{"a blank after a CIDR", edit(cidr, `"`+cidr+` "`), "warning cidr-form openstack_user_config.yml:2"},
		{"a blank before it", edit(cidr, `" `+cidr+`"`), "warning cidr-form openstack_user_config.yml:2"},
		{"blanks around its length", edit(cidr, `"172.29.236.0 / 22"`), "warning cidr-form openstack_user_config.yml:2"},
		{"a zero-padded CIDR", edit(cidr, "172.029.236.0/22"), "warning cidr-form openstack_user_config.yml:2"},
		{"a zero-padded length", edit(cidr, "172.29.236.0/022"), ""},
		{"a short CIDR", edit(cidr, "172.29.236/22"), "warning cidr-form openstack_user_config.yml:2"},
		{"a zero-padded range is octal", edit(used, `["172.29.236.1,172.29.236.050"]`), "warning used-ips openstack_user_config.yml:3"},
		{"a short range", edit(used, `["172.29.1,172.29.50"]`), "warning used-ips openstack_user_config.yml:3"},
		{"a range of one number", edit(used, `["2,5"]`), "warning used-ips openstack_user_config.yml:3"},
		{"no provider network: an empty string", edit("provider_networks:\n"+networks, "provider_networks: \"\"\n  no_containers: true\n"), ""},
		{"no provider network: an empty mapping", edit("provider_networks:\n"+networks, "provider_networks: {}\n  no_containers: true\n"), ""},
		{"no groups: an empty string", edit("[all_containers, hosts]", `""`), ""},
		{"a group that is a number", edit("[all_containers, hosts]", "[all_containers, hosts, 5]"), "warning name openstack_user_config.yml:12"},
		{"an empty address", edit("ip: 172.29.236.11", `ip: ""`), "warning ip-empty openstack_user_config.yml:16"},
		{"no address", edit("ip: 172.29.236.11", `ip:`), "warning ip-empty openstack_user_config.yml:16"},
		{"a surrogate pair", edit("management_bridge: br-mgmt", `x: "\ud83d\ude00"`+"\n  management_bridge: br-mgmt"), ""},
	} {
		t.Run(c.reason, func(t *testing.T) {
			opts := operator(t, c.files)
			_, res, err := generate(t, opts, osa.NewDraw())
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, f := range res.Findings.Sorted() {
				lines = append(lines, f.Severity.String()+" "+f.Code+" "+strings.TrimPrefix(f.Pos.String(), opts.Config+"/"))
				if strings.Contains(f.String(), "<nil>") || strings.Contains(f.String(), "&{") {
					t.Errorf("not a sentence: %s", f)
				}
			}
			if diff := cmp.Diff(c.found, strings.Join(lines, "\n")); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// A range means what the C library reads in it: container addresses come from outside.
func TestZeroPaddedRange(t *testing.T) {
	opts := operator(t, edit("172.29.236.0/22", "172.29.236.32/28", `["172.29.236.1,172.29.236.50"]`, `["172.29.236.0,172.29.236.050"]`, "172.29.236.11", "172.29.236.47"))
	_, res, err := generate(t, opts, osa.Draw{Suffix: osa.NewDraw().Suffix, Pick: func(uint64) uint64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range res.Inventory.Hosts() {
		if !h.IsMetal() && h.ManagementAddress() <= "172.29.236.40" {
			t.Errorf("%s has %s: 050 is 40, and everything up to it is reserved", h.Name, h.ManagementAddress())
		}
	}
}

// What takes the whole inventory from Ansible is refused, though the original writes it: Ansible refuses null and ""
// among hosts.
func TestWhatAnsibleRefuses(t *testing.T) {
	for _, c := range []struct{ reason, config, want string }{
		{
			"a host in a group that env.d does not know", working + "banana_hosts:\n  comp1:\n    ip: 172.29.236.12\n",
			"openstack_user_config.yml:18: error: nothing in env.d has a component for comp1, which is in banana_hosts only",
		},
		{"a host without a name", working + "  \"\": {ip: 172.29.236.12}\n", "openstack_user_config.yml:17: error: a host in shared-infra_hosts has an empty name"},
	} {
		opts := operator(t, map[string]string{"openstack_user_config.yml": c.config})
		_, _, err := generate(t, opts, osa.NewDraw())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "ignore") {
			t.Errorf("%s: %v", c.reason, err)
		}
	}
}

// A finding stands where the operator wrote what it is about, and one mistake is one finding.
func TestFindingsStandWhereTheMistakeIs(t *testing.T) {
	for _, c := range []struct {
		reason string
		files  map[string]string
		want   []string
	}{
		{
			"contains names a component nobody defines",
			map[string]string{"env.d/x.yml": "container_skel:\n  galera_container:\n    contains:\n      - nosuch\n"},
			[]string{"error no-group env.d/x.yml:4", "note replaced-list env.d/x.yml:3"},
		},
		{
			"belongs_to names a group of hosts",
			map[string]string{"env.d/x.yml": "component_skel:\n  galera:\n    belongs_to:\n      - shared-infra_hosts\n"},
			[]string{"error no-children env.d/x.yml:4", "note replaced-list env.d/x.yml:3"},
		},
		{"an address that is a mapping", edit("ip: 172.29.236.11", "ip: {}"), []string{"error no-ip openstack_user_config.yml:15"}},
		{"a queue that is a list", edit("ip_from_q: management", "ip_from_q: []"), []string{"error no-queue openstack_user_config.yml:11"}},
		{"an entry of used_ips that is none", edit(`["172.29.236.1,172.29.236.50"]`, "[null]"), []string{"error used-ips openstack_user_config.yml:3"}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			opts := operator(t, c.files)
			_, res, err := generate(t, opts, osa.NewDraw())
			if err == nil {
				t.Fatal("an inventory was made")
			}
			var lines []string
			for _, f := range res.Findings.Sorted() {
				lines = append(lines, f.Severity.String()+" "+f.Code+" "+strings.TrimPrefix(f.Pos.String(), opts.Config+"/"))
				if strings.Contains(f.String(), "<nil>") || strings.Contains(f.String(), "&{") {
					t.Errorf("not a sentence: %s", f)
				}
			}
			if diff := cmp.Diff(c.want, lines); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Without the release's env.d there is one thing to say, not one for each section it would have had.
func TestNoEnvironment(t *testing.T) {
	opts := operator(t, edit())
	opts.Environment = t.TempDir()
	_, res, err := generate(t, opts, osa.NewDraw())
	if err == nil || res.Findings.Count(osa.Error) != 1 || len(res.Findings) != 1 {
		t.Errorf("%v", err)
	}
	if err := os.MkdirAll(filepath.Join(opts.Config, "env.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := "physical_skel: {shared-infra_hosts: {belongs_to: [hosts]}}\ncomponent_skel: {}\n"
	if err := os.WriteFile(filepath.Join(opts.Config, "env.d/own.yml"), []byte(write), 0o600); err != nil {
		t.Fatal(err)
	}
	_, res, err = generate(t, opts, osa.NewDraw())
	if err == nil || !strings.Contains(err.Error(), "no file of env.d has container_skel") || res.Findings.Count(osa.Error) != 1 {
		t.Errorf("a section that is missing: %v", err)
	}
}
