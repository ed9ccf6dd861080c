package osa_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// operator writes an operator's directory that starts as one host with a working configuration.
func operator(tb testing.TB, files map[string]string) osa.Options {
	tb.Helper()
	dir := tb.TempDir()
	if _, ok := files["openstack_user_config.yml"]; !ok {
		files["openstack_user_config.yml"] = working
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return osa.Options{Config: dir, Environment: "testdata/base/30.1.5", System: filepath.Join(dir, "nowhere")}
}

const working = `cidr_networks:
  management: 172.29.236.0/22
used_ips: ["172.29.236.1,172.29.236.50"]
global_overrides:
  management_bridge: br-mgmt
  provider_networks:
    - network:
        container_bridge: br-mgmt
        container_type: veth
        container_interface: eth1
        ip_from_q: management
        group_binds: [all_containers, hosts]
        is_management_address: true
shared-infra_hosts:
  infra1:
    ip: 172.29.236.11
`

func edit(pairs ...string) map[string]string {
	return map[string]string{"openstack_user_config.yml": strings.NewReplacer(pairs...).Replace(working)}
}

// What stops the original stops this too, and says where and what to do.
func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		reason string
		files  map[string]string
		want   []string // code, and the place that is named
	}{
		{"no user configuration", map[string]string{"openstack_user_config.yml": ""}, []string{"no-config openstack_user_config.yml"}},
		{"no networks", edit("cidr_networks:\n  management: 172.29.236.0/22\n", ""), []string{"no-cidr openstack_user_config.yml"}},
		{
			"no management network", edit("management: 172", "tunnel: 172", "is_management_address: true", "x: y", "ip_from_q: management", "ip_from_q: tunnel"),
			[]string{"no-management openstack_user_config.yml:1", "management-address openstack_user_config.yml:7"},
		},
		{"no global_overrides", map[string]string{"openstack_user_config.yml": "cidr_networks: {management: 10.0.0.0/24}\na_hosts: {h: {ip: 10.0.0.1}}\n"}, []string{"no-overrides openstack_user_config.yml"}},
		{"no provider networks", edit("provider_networks", "other"), []string{"no-provider-networks openstack_user_config.yml:4"}},
		{"unknown queue", edit("ip_from_q: management", "ip_from_q: storage"), []string{"no-queue openstack_user_config.yml:11"}},
		{"management network that is none", edit("is_management_address: true", "is_management_address: false"), []string{"management-address openstack_user_config.yml:7"}},
		{"one address, two hosts", edit("  infra1:", "  infra2: {ip: 172.29.236.11}\n  infra1:"), []string{"shared-address openstack_user_config.yml:17"}},
		{"one host, two addresses", edit("shared-infra_hosts:", "os-infra_hosts: {infra1: {ip: 172.29.236.12}}\nshared-infra_hosts:"), []string{"two-addresses openstack_user_config.yml:17"}},
		{"lxc_hosts is ours", edit("shared-infra_hosts:", "lxc_hosts: {infra1: {ip: 172.29.236.11}}\nshared-infra_hosts:"), []string{"lxc-hosts openstack_user_config.yml:14"}},
		{"a group with nothing in it", edit("shared-infra_hosts:", "os-infra_hosts:\nshared-infra_hosts:"), []string{"no-mapping openstack_user_config.yml:14"}},
		{"a host without address", edit("    ip: 172.29.236.11", "    foo: 1"), []string{"no-ip openstack_user_config.yml:15"}},
		{"hosts beside groups", edit("shared-infra_hosts:", "hosts: {infra1: {ip: 172.29.236.11}}\nshared-infra_hosts:"), []string{"group-conflict openstack_user_config.yml:14"}},
		{"a long host name", edit("infra1:", strings.Repeat("infra", 9)+":"), []string{"name-too-long openstack_user_config.yml:14"}},
		{"no address left", edit("172.29.236.0/22", "172.29.236.8/29"), []string{"no-free-address openstack_user_config.yml:2"}},
		{"half a route", edit("        is_management", "        static_routes: [{cidr: 10.0.0.0/8}]\n        is_management"), []string{"static-routes openstack_user_config.yml:13"}},
		{"blanks in used_ips", edit("172.29.236.1,172", "172.29.236.1, 172"), []string{"used-ips openstack_user_config.yml:3"}},
		{"an inventory with umlauts", map[string]string{"openstack_inventory.json": "{\n\"ü\": 1}"}, []string{"inventory-json openstack_inventory.json:2"}},
		{"an inventory that is cut off", map[string]string{"openstack_inventory.json": "{\"_meta\": {"}, []string{"inventory-json openstack_inventory.json:1"}},
		{"a host that is gone", map[string]string{"openstack_inventory.json": `{"_meta": {"hostvars": {
"old": {"physical_host": "old", "physical_host_group": "os-infra_hosts", "properties": {"is_metal": true}}}},
"hosts": {"children": ["os-infra_hosts"], "hosts": []}, "os-infra_hosts": {"hosts": ["old"], "children": []}}`}, []string{"removed-host openstack_inventory.json:2"}},
		{"broken YAML in two files", map[string]string{"conf.d/a.yml": "a: b: c\n", "conf.d/b.yml": "x: *y\n"}, []string{"yaml conf.d/a.yml:1", "yaml conf.d/b.yml:1"}},
		{
			"several at once", edit("ip_from_q: management", "ip_from_q: storage", "    ip: 172.29.236.11", "    foo: 1", "shared-infra_hosts:", "lxc_hosts: {}\nshared-infra_hosts:"),
			[]string{"no-queue openstack_user_config.yml:11", "lxc-hosts openstack_user_config.yml:14", "no-ip openstack_user_config.yml:16"},
		},
		{"a component nobody defines", map[string]string{"env.d/x.yml": "container_skel: {x_container: {belongs_to: [shared-infra_containers], contains: [nobody]}}"}, []string{"no-group env.d/x.yml:1"}},
		{"an unknown reference group", edit("        is_management", "        reference_group: nobody\n        is_management"), []string{"reference-group openstack_user_config.yml:13"}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			opts := operator(t, tc.files)
			_, _, err := generate(t, opts, osa.NewDraw())
			if err == nil {
				t.Fatal("an inventory was made")
			}
			text := strings.ReplaceAll(err.Error(), opts.Config+"/", "")
			for _, want := range tc.want {
				code, place, _ := strings.Cut(want, " ")
				if !strings.Contains(text, "["+code+"]") || !strings.Contains(text, place+":") {
					t.Errorf("missing %s at %s in:\n%s", code, place, text)
				}
			}
		})
	}
}

// What works and hurts is reported, and still works.
func TestFindings(t *testing.T) {
	two := "  infra10:\n    ip: 172.29.236.12\n"
	for _, tc := range []struct {
		reason string
		files  map[string]string
		want   []string
	}{
		{"nothing to say", edit(), nil},
		{"an anchor leaks", map[string]string{
			"openstack_user_config.yml": strings.Replace(working, "shared-infra_hosts:", "shared-infra_hosts: &c", 1) + "magnum-infra_hosts: *c\n",
			"conf.d/k8s.yml":            "shared-infra_hosts:\n  infra9:\n    ip: 172.29.236.19\n",
		}, []string{"shared-anchor conf.d/k8s.yml:2"}},
		{"no_containers reaches later hosts", map[string]string{"openstack_user_config.yml": working + "    no_containers: true\n" + two}, []string{"no-containers openstack_user_config.yml", "name-prefix openstack_user_config.yml:15"}},
		{"container_vars of a prefix", map[string]string{"openstack_user_config.yml": working + "    container_vars: {x: 1}\n" + two}, []string{"name-prefix openstack_user_config.yml:15"}},
		{"an underscore hides a container", edit("infra1:", "infra_1:"), []string{"underscore"}},
		{"an unknown group", edit("shared-infra_hosts:", "typo_hosts: {infra1: {ip: 172.29.236.11}}\nshared-infra_hosts:"), []string{"unknown-group openstack_user_config.yml:14"}},
		{"a duplicate key", map[string]string{"openstack_user_config.yml": working + "used_ips: []\n"}, []string{"duplicate-key openstack_user_config.yml:17"}},
		{"an affinity for nothing", map[string]string{"openstack_user_config.yml": working + "    affinity: {k8s_contaner: 0}\n"}, []string{"affinity openstack_user_config.yml:17"}},
		{"a management_ip that may be drawn", map[string]string{"openstack_user_config.yml": working + "    management_ip: 172.29.237.1\n"}, []string{"not-reserved openstack_user_config.yml:17"}},
		{"two files say different things", map[string]string{"conf.d/a.yml": "identity_hosts: {h: {ip: 172.29.236.31}}", "conf.d/b.yml": "identity_hosts: {h: {ip: 172.29.236.32}}"}, []string{"order-of-files conf.d/"}},
		{"a list replaces the release's", map[string]string{"env.d/u.yml": "container_skel: {utility_container: {contains: []}}"}, []string{"replaced-list env.d/u.yml:1"}},
		{"a letter is no group", map[string]string{"env.d/u.yml": "physical_skel: {x_hosts: {belongs_to: h}}"}, []string{"letters env.d/u.yml:1"}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			opts := operator(t, tc.files)
			_, res, err := generate(t, opts, osa.NewDraw())
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, f := range res.Findings.Sorted() {
				lines = append(lines, strings.ReplaceAll(f.String(), opts.Config+"/", ""))
			}
			text := strings.Join(lines, "\n")
			for _, want := range tc.want {
				code, place, _ := strings.Cut(want, " ")
				if !strings.Contains(text, "["+code+"]") || !strings.Contains(text, place) {
					t.Errorf("missing %s at %s in:\n%s", code, place, text)
				}
			}
			if tc.want == nil && text != "" {
				t.Errorf("found without reason:\n%s", text)
			}
		})
	}
}
