package osa

import (
	"cmp"
	"slices"
	"strings"
)

// Inventory is groups and hosts as Ansible gets them. It is a view on one tree: what was read or generated, in its
// order.
type Inventory struct {
	root *Map
}

// Group is one group of the inventory.
type Group struct {
	Name     string
	Hosts    []string // in the inventory's order; the first is "the first host" of playbooks
	Children []string
	Vars     *Map // group variables in the inventory itself: only "all" has some
}

// Host is a physical host or a container.
type Host struct {
	Name string
	Vars *Map // the hostvars, in full
}

// NewInventory makes a view on a tree such as openstack_inventory.json holds.
func NewInventory(root *Map) *Inventory { return &Inventory{root: root} }

// Root is the whole tree.
func (inv *Inventory) Root() *Map { return inv.root }

func (inv *Inventory) hostvars() *Map {
	meta, _ := inv.root.Get("_meta").(*Map)
	vars, _ := meta.Get("hostvars").(*Map)
	return vars
}

// Hosts returns all hosts, in the order of the hostvars.
func (inv *Inventory) Hosts() []Host {
	var out []Host
	for name, vars := range inv.hostvars().All() {
		n, _ := name.(string)
		m, _ := vars.(*Map)
		out = append(out, Host{Name: n, Vars: m})
	}
	return out
}

// Host returns one host.
func (inv *Inventory) Host(name string) (Host, bool) {
	m, ok := inv.hostvars().Get(name).(*Map)
	return Host{Name: name, Vars: m}, ok
}

// Has says whether there is the group or the host that somebody wrote variables for. The host localhost always is:
// Ansible makes it up.
func (inv *Inventory) Has(e Entity) bool {
	if e.Kind == HostVarsDir {
		_, ok := inv.Host(e.Name)
		return ok || e.Name == "localhost"
	}
	_, ok := inv.Group(e.Name)
	return ok || e.Name == allGroup || e.Name == ungrouped
}

// Groups returns all groups, in the order of the tree.
func (inv *Inventory) Groups() []Group {
	var out []Group
	for key := range inv.root.All() {
		if name, _ := key.(string); name != "_meta" {
			if g, ok := inv.Group(name); ok {
				out = append(out, g)
			}
		}
	}
	return out
}

// Group returns one group.
func (inv *Inventory) Group(name string) (Group, bool) {
	m, ok := inv.root.Get(name).(*Map)
	if !ok || name == "_meta" {
		return Group{}, false
	}
	hosts, _ := m.Get("hosts").(*List)
	children, _ := m.Get("children").(*List)
	vars, _ := m.Get("vars").(*Map)
	return Group{Name: name, Hosts: hosts.Strings(), Children: children.Strings(), Vars: vars}, true
}

// Members returns the hosts of a group and of its children, each once, as Ansible lists them.
func (inv *Inventory) Members(name string) []string {
	var out []string
	seenGroup, seenHost := map[string]bool{}, map[string]bool{}
	var walk func(string)
	walk = func(name string) {
		g, ok := inv.Group(name)
		if !ok || seenGroup[name] {
			return
		}
		seenGroup[name] = true
		for _, h := range g.Hosts {
			if !seenHost[h] {
				seenHost[h] = true
				out = append(out, h)
			}
		}
		for _, c := range g.Children {
			walk(c)
		}
	}
	walk(name)
	return out
}

// Ancestor is a group that a host is in, directly or through its children, and how deep Ansible counts it: "all" is 0,
// a group below nothing else is 1, a child is one deeper than its deepest parent.
type Ancestor struct {
	Name  string
	Depth int
}

// Ancestors returns the groups whose variables a host gets, in Ansible's order: deeper groups later, then by name. A
// group's ansible_group_priority, which lives in variable files, is for the reader of those files to apply.
func (inv *Inventory) Ancestors(host string) []Ancestor {
	parents, direct := map[string][]string{}, []string{}
	for _, g := range inv.Groups() {
		for _, c := range g.Children {
			parents[c] = append(parents[c], g.Name)
		}
		if slices.Contains(g.Hosts, host) {
			direct = append(direct, g.Name)
		}
	}
	depth := map[string]int{"all": 0}
	var deep func(name string, trail []string) int
	deep = func(name string, trail []string) int {
		if d, ok := depth[name]; ok {
			return d
		}
		d := 1
		for _, p := range parents[name] {
			if !slices.Contains(trail, p) { // a loop of groups has no depth
				d = max(d, deep(p, append(trail, name))+1)
			}
		}
		depth[name] = d
		return d
	}
	found := map[string]bool{"all": true}
	out := []Ancestor{{Name: "all"}}
	for queue := direct; len(queue) > 0; queue = queue[1:] {
		if name := queue[0]; !found[name] {
			found[name] = true
			out = append(out, Ancestor{Name: name, Depth: deep(name, nil)})
			queue = append(queue, parents[name]...)
		}
	}
	slices.SortFunc(out, func(a, b Ancestor) int { return cmp.Or(cmp.Compare(a.Depth, b.Depth), strings.Compare(a.Name, b.Name)) })
	return out
}

// Text returns a host variable that is a string, "" otherwise.
func (h Host) Text(name string) string {
	s, _ := h.Vars.Get(name).(string)
	return s
}

// PhysicalHost is the host a container runs on; of a physical host it is the host itself.
func (h Host) PhysicalHost() string { return h.Text("physical_host") }

// Component is what runs there, such as "k8s_capi".
func (h Host) Component() string { return h.Text("component") }

// ManagementAddress is its address on the management network.
func (h Host) ManagementAddress() string { return h.Text("management_address") }

// IsMetal says whether it is a physical host.
func (h Host) IsMetal() bool {
	p, _ := h.Vars.Get("properties").(*Map)
	return Truth(p.Get("is_metal"))
}
