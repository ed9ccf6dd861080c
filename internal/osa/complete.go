package osa

import (
	"fmt"
	"slices"
	"strings"
)

// lxcHosts makes the group of hosts that run containers, anew at every run. A host without a component would bring null
// into it: the original writes that, and Ansible then refuses the whole inventory and sees no host at all.
func (r *run) lxcHosts() {
	list := &List{}
	for _, h := range r.table {
		tech, ok := h.vars.Lookup("container_tech")
		if !ok {
			tech = "lxc"
		}
		r.set(h, "container_tech", tech, h.vars.Pos)
		on := h.vars.Get("physical_host")
		if on != h.name && tech == "lxc" {
			if on == nil {
				r.noComponent(h)
				continue
			}
			list.appendIf(on)
		}
	}
	group := &Map{}
	group.Set("hosts", list, Pos{})
	r.inv.Set("lxc_hosts", group, Pos{})
}

// noComponent refuses a host that no group of containers and no component has.
func (r *run) noComponent(h *host) {
	var groups []string
	pos := h.vars.Pos
	for _, e := range r.config.Entries() {
		if hosts, ok := e.Value.(*Map); ok && hosts.Has(h.name) {
			groups = append(groups, fmt.Sprint(e.Key))
			pos = hosts.PosOf(h.name)
		}
	}
	if len(groups) == 0 {
		r.found.refuse("lxc-hosts-null", pos, "take it out with scripts/inventory-manage.py -r "+h.name,
			"%s is on no physical host and in no group of the configuration: the group lxc_hosts would contain null, and Ansible would reject the whole inventory", h.name)
		return
	}
	fix := "put it into a group whose name env.d has, or correct the name"
	if known := r.section("physical_skel"); slices.ContainsFunc(groups, func(g string) bool { return known.Has(g) }) {
		fix = "put it into a group that has containers in env.d too"
	}
	r.found.refuse("lxc-hosts-null", pos, fix,
		"nothing in env.d has a component for %s, which is in %s only: the group lxc_hosts would contain null, and Ansible would reject the whole inventory",
		h.name, strings.Join(groups, ", "))
}

// complete gives every host the variables that all hosts have.
func (r *run) complete() {
	required := []string{"properties", "ansible_host", "physical_host_group", "management_address", "container_name", "container_networks", "physical_host", "component"}
	if r.release.HostAddress {
		required = append(required, "physical_host_addr")
	}
	for _, h := range r.table {
		if !h.named {
			r.set(h, "container_name", h.name, h.vars.Pos)
		}
		if r.release.HostAddress {
			on, _ := h.vars.Get("physical_host").(string)
			if physical := r.byName[on]; on != "" && physical != nil {
				r.set(h, "physical_host_addr", physical.vars.Get("ansible_host"), h.vars.Pos)
			}
		}
		for _, key := range required {
			if h.vars.Has(key) {
				continue
			}
			var empty Value
			if key == "container_networks" {
				empty = &Map{}
			}
			r.set(h, key, empty, h.vars.Pos)
		}
	}
	for _, e := range r.section("container_skel").Entries() {
		name, _ := e.Key.(string)
		m, _ := r.inv.Get(name).(*Map)
		hosts, _ := m.Get("hosts").(*List)
		for _, host := range hosts.Items() {
			if s, _ := host.(string); r.byName[s] == nil {
				r.found.refuse("stale-host", r.inv.PosOf(name), "run scripts/inventory-manage.py -r "+s,
					"the group %s has the host %v, of which the inventory has no variables", name, host)
			}
		}
	}
}
