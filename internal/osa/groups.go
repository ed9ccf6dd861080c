package osa

import (
	"fmt"
	"strings"
)

// globalVariables makes global_overrides the variables of "all": what was removed from them is removed there.
func (r *run) globalVariables() {
	if !r.inv.Has("all") {
		r.inv.Set("all", &Map{}, Pos{})
	}
	all, ok := r.mapOf(r.inv.Get("all"), r.inv.PosOf("all"), "the group all", "restore the inventory from its backup")
	if !ok {
		return
	}
	if !all.Has("vars") {
		all.Set("vars", &Map{}, Pos{})
	}
	vars, ok := r.mapOf(all.Get("vars"), all.PosOf("vars"), "all.vars", "restore the inventory from its backup")
	if !ok {
		return
	}
	vars.Set("container_cidr", r.cidr, Pos{})
	if !r.config.Has("global_overrides") {
		return
	}
	for _, e := range r.overrides().Entries() {
		vars.Set(e.Key, e.Value, e.Pos)
	}
	var gone []Value
	for key := range vars.All() {
		if key != "container_cidr" && !r.overrides().Has(key) {
			gone = append(gone, key)
		}
	}
	for _, key := range gone {
		vars.Delete(key)
	}
}

// physicalHosts gives every host of the user configuration its variables and its place in its group. A host in several
// groups keeps what the last one says.
func (r *run) physicalHosts() {
	for _, e := range r.config.Entries() {
		group, ok := hostGroup(e.Key)
		if !ok {
			continue
		}
		if !r.inv.Has(group) {
			r.inv.Set(group, newGroup("hosts"), e.Pos)
		}
		members := r.group(group, "hosts", e.Pos)
		hosts, _ := e.Value.(*Map) // checkHosts has refused others
		if members == nil {
			continue
		}
		for _, entry := range hosts.Entries() {
			name, _ := entry.Key.(string)
			settings, _ := entry.Value.(*Map)
			r.physicalHost(group, name, settings, entry.Pos)
			members.appendIf(name)
		}
	}
}

func (r *run) physicalHost(group, name string, settings *Map, pos Pos) {
	h := r.host(name, pos)
	ip := settings.Get("ip")
	management, ok := settings.Lookup("management_ip")
	if !ok {
		management = ip
	}
	at := settings.PosOf("ip")
	r.set(h, "ansible_host", ip, at)
	r.set(h, "management_address", management, at)
	r.set(h, "is_metal", true, pos)
	r.set(h, "physical_host_group", group, pos)
	properties, _ := h.vars.Get("properties").(*Map)
	if properties.Len() == 0 {
		properties = &Map{}
		r.set(h, "properties", properties, pos)
	}
	properties.Set("is_metal", true, pos)
	extra, _ := settings.Get("host_vars").(*Map)
	for _, e := range extra.Entries() {
		r.set(h, e.Key, e.Value, e.Pos)
	}
	if s, ok := ip.(string); ok {
		r.used.add(s)
	}
}

// groups makes the groups that the environment names: those of containers hold hosts, others hosts and children.
func (r *run) groups() {
	for _, section := range r.env.Entries() {
		if section.Key == "version" {
			continue
		}
		skel, _ := section.Value.(*Map) // checkEnvironment has refused others
		for _, e := range skel.Entries() {
			name, _ := e.Key.(string)
			if !r.inv.Has(name) {
				keys := []string{"children", "hosts"}
				if strings.HasSuffix(name, "container") {
					keys = []string{"hosts"}
				}
				r.inv.Set(name, newGroup(keys...), e.Pos)
			}
			m, ok := r.mapOf(e.Value, e.Pos, name, "write belongs_to below it")
			if !ok || !m.Has("belongs_to") {
				continue
			}
			for _, parent := range r.names(m.Get("belongs_to"), m.PosOf("belongs_to"), name+".belongs_to") {
				if !r.inv.Has(parent.name) {
					r.inv.Set(parent.name, newGroup("children", "hosts"), parent.pos)
				}
			}
		}
	}
}

func (r *run) section(name string) *Map {
	m, _ := r.env.Get(name).(*Map) // checkEnvironment has refused others
	return m
}

// groupBranches refuses groups that would hold hosts and groups.
func (r *run) groupBranches() {
	for _, e := range r.section("physical_skel").Entries() {
		m, _ := e.Value.(*Map)
		list, _ := m.Get("belongs_to").(*List)
		for i, parent := range list.Items() {
			if r.config.Has(parent) {
				r.found.refuse("group-conflict", r.config.PosOf(parent), fmt.Sprintf("put the hosts into %v, or change belongs_to at %s", e.Key, list.PosOf(i)),
					"Group %v has a child group %v, but also has host entries in user configuration. Hosts cannot be sibling with groups", parent, e.Key)
			}
		}
	}
}

// children puts the groups of a section into the groups they belong to.
func (r *run) children(section string) {
	for _, e := range r.section(section).Entries() {
		m, _ := e.Value.(*Map)
		r.belongsTo(e.Key, m)
	}
}

func (r *run) belongsTo(key Value, m *Map) {
	name, _ := key.(string)
	pos := m.PosOf("belongs_to")
	for _, parent := range r.names(m.Get("belongs_to"), pos, name+".belongs_to") {
		if children := r.group(parent.name, "children", parent.pos); children != nil {
			children.appendIf(name)
		}
	}
}
