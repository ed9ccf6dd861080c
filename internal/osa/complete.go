package osa

// lxcHosts makes the group of hosts that run containers, anew at every run. A host that nobody's container is on brings
// null into it, as in the original.
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
			list.appendIf(on)
			if on == nil {
				r.found.note("lxc-hosts-null", h.vars.Pos, "give it a group that has components, or ignore the null",
					"%s has no component, and null stands in lxc_hosts because of it", h.name)
			}
		}
	}
	group := &Map{}
	group.Set("hosts", list, Pos{})
	r.inv.Set("lxc_hosts", group, Pos{})
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
