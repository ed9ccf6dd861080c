package osa_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/jinja"
	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// haproxyVars are written as OpenStack-Ansible writes the variables of its load balancers: what a deployment does not
// have is undefined, and stands where nobody looks.
const haproxyVars = `
zun_enabled: "{{ 'zun_all' in groups and groups['zun_all'] | length > 0 }}"
records:
  - "{{ vip }}:{{ console_port }}"
  - "{{ ('zun_all' in groups and groups['zun_all'] | length > 0) | ternary(zun_address, '') }}"
policy: >
  child-src 'self' {{ records | select | join(' ') }};
  {{ 'report' if zun_enabled | bool }}
scripts:
  haproxy_check: {instance: external, check_script: "{{ not_used_here }}"}
  ping_check: {}
tracked: "{{ {'a': {'instance': 'external'}, 'b': {}} | dict2items | json_query('[*].{name: key, instance: value.instance}') | rejectattr('instance', 'equalto', 'internal') | map(attribute='name') | list }}"
services: "{{ [some_service | default({}), zun_enabled | bool | ternary(zun_service, {})] | select | list }}"
vip: 203.0.113.9
console_port: 6080
on_localhost: "{{ hostvars['localhost']['ansible_connection'] }}"
physical: "{{ groups['physical_hosts'] | default([]) | length }}"
`

func TestVariablesOfALoadBalancer(t *testing.T) {
	for _, types := range []jinja.Types{jinja.Native, jinja.Text} {
		_, all, err := loadThree(t, "", map[string]string{"tree/group_vars/all.yml": haproxyVars}, osa.VarsOptions{Types: types})
		if err != nil {
			t.Fatal(err)
		}
		h, err := all.Host("h1")
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"records": `["203.0.113.9:6080",""]`, "tracked": `["a","b"]`, "services": `[]`, "on_localhost": `"local"`,
			"policy": `"child-src 'self' 203.0.113.9:6080; \n"`,
		} {
			if got := text(t, h, name); got != want {
				t.Errorf("%v: %s = %s, want %s", types, name, got, want)
			}
		}
	}
}

// TestOriginalTrees evaluates every variable that the releases themselves bring, for hosts of every kind. OSA_ORIGINALS
// is as for TestBesideTheOriginal. What may fail there needs facts, files of a real deploy host, or what only an
// operator can set.
func TestOriginalTrees(t *testing.T) {
	trees, err := filepath.Glob(filepath.Join(os.Getenv("OSA_ORIGINALS"), "*", "inventory"))
	if os.Getenv("OSA_ORIGINALS") == "" || err != nil || len(trees) == 0 {
		t.Skip("skipped: OSA_ORIGINALS names no directory with <release>/osa_toolkit and <release>/inventory of OpenStack-Ansible")
	}
	for _, tree := range trees {
		t.Run(filepath.Base(filepath.Dir(tree)), func(t *testing.T) {
			opts := operator(t, map[string]string{"openstack_user_config.yml": working + "load_balancer_hosts: {infra1: {ip: 172.29.236.11}}\n" +
				"haproxy_hosts: {infra1: {ip: 172.29.236.11}}\nidentity_hosts: {infra1: {ip: 172.29.236.11}}\n"})
			opts.Environment = tree
			src, res, err := generate(t, opts, osa.NewDraw())
			if err != nil {
				t.Fatal(err)
			}
			vars := osa.VarsOptions{Config: opts.Config, Tree: tree, SafeGroups: !src.Release.DashesMatter, Lookups: osa.Lookups(os.LookupEnv)}
			if src.Release.DashesMatter {
				vars.Types = jinja.Text
			}
			all, err := osa.LoadVars(res.Inventory, vars)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, host := range all.Inventory().Hosts() {
				n += evaluable(t, all, host.Name)
			}
			if n < 1000 {
				t.Errorf("only %d values", n)
			}
			t.Logf("%d values", n)
		})
	}
}

// evaluable counts the variables of a host that have a value, and fails for those without one that have no excuse.
func evaluable(t *testing.T, all *osa.Variables, host string) int {
	t.Helper()
	h, err := all.Host(host)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range h.Names() {
		v, _ := h.Variable(name)
		var undefined *jinja.UndefinedError
		switch {
		case v.Err == nil:
			n++
		case h.Builtin(name), errors.As(v.Err, &undefined), slices.ContainsFunc([]string{"lookup \"file\"", "every variable"}, func(s string) bool {
			return strings.Contains(v.Err.Error(), s)
		}):
		default:
			t.Errorf("%s %s: %v", host, name, v.Err)
		}
	}
	return n
}
