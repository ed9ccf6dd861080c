package osa

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// Ansible's own groups: every host is in "all", and in "ungrouped" when it is in no other.
const (
	allGroup  = "all"
	ungrouped = "ungrouped"
)

// hostsAndGroups is an inventory as Ansible puts it together from several sources: groups and members add up, of
// variables those of later sources win (ansible-core 2.14, inventory/data.py).
type hostsAndGroups struct {
	safe   bool   // names of groups get underscores, as ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS=always asks
	source string // what is read now

	groups     map[string]*sourceGroup
	groupOrder []string
	hosts      map[string]*sourceHost
	hostOrder  []string
}

type sourceGroup struct {
	hosts, children *List
	layers          []*Map // of variables, lowest first: one each source
}

type sourceHost struct {
	source string // that had it first
	groups int    // beside "all"
	layers []*Map
}

// withStatic is the inventory with the two static ones: the tree's, then the operator's.
func (inv *Inventory) withStatic(tree, config string, safe bool) (*hostsAndGroups, error) {
	m := &hostsAndGroups{safe: safe, groups: map[string]*sourceGroup{}, hosts: map[string]*sourceHost{}}
	m.source = filepath.Join(tree, "dynamic_inventory.py")
	m.addGroup(allGroup)
	m.addGroup(ungrouped)
	var broken problems
	broken.add(m.readDynamic(inv))
	for _, dir := range []string{tree, config} {
		if dir != "" {
			broken.add(m.readINI(filepath.Join(dir, inventoryINI)))
		}
	}
	return m, broken.err()
}

// readDynamic takes what the program prints. Hosts that no group has are none to Ansible.
func (m *hostsAndGroups) readDynamic(inv *Inventory) error {
	var broken problems
	for _, g := range inv.Groups() {
		name := m.addGroup(m.safeName(g.Name))
		for _, h := range g.Hosts {
			m.addHost(h, name)
		}
		for _, e := range g.Vars.Entries() {
			if key, ok := e.Key.(string); ok {
				m.setGroup(name, key, e.Value, e.Pos)
			}
		}
		for _, c := range g.Children {
			broken.add(m.addChild(name, m.addGroup(m.safeName(c))))
		}
	}
	for _, h := range inv.Hosts() {
		if known, ok := m.hosts[h.Name]; ok {
			known.layers = append(known.layers, h.Vars)
		}
	}
	return broken.err()
}

var unsafeInGroup = regexp.MustCompile(`^[^\pL_]|[^\pL\pN_]`)

// safeName is a group's name as Ansible keeps it.
func (m *hostsAndGroups) safeName(name string) string {
	if !m.safe {
		return name
	}
	return unsafeInGroup.ReplaceAllString(name, "_")
}

func (m *hostsAndGroups) hasGroup(name string) bool { return m.groups[name] != nil }

func (m *hostsAndGroups) addGroup(name string) string {
	if m.groups[name] == nil {
		m.groups[name] = &sourceGroup{hosts: &List{}, children: &List{}}
		m.groupOrder = append(m.groupOrder, name)
	}
	return name
}

// addHost puts a host into a group, and says whether it is new.
func (m *hostsAndGroups) addHost(name, group string) bool {
	h, known := m.hosts[name]
	if !known {
		h = &sourceHost{source: m.source}
		m.hosts[name] = h
		m.hostOrder = append(m.hostOrder, name)
	}
	g := m.groups[group]
	if !g.hosts.Has(name) {
		g.hosts.appendIf(name)
		if group != allGroup && group != ungrouped {
			h.groups++
		}
	}
	return !known
}

func (m *hostsAndGroups) addChild(parent, child string) error {
	if parent == child || m.below(child, parent) {
		return fmt.Errorf("the group %s cannot be below %s: it is above it, or the same", child, parent)
	}
	m.groups[parent].children.appendIf(child)
	return nil
}

// below says whether a group is somewhere below another.
func (m *hostsAndGroups) below(top, name string) bool {
	seen := map[string]bool{}
	for queue := []string{top}; len(queue) > 0; queue = queue[1:] {
		for _, c := range m.groups[queue[0]].children.Strings() {
			if c == name {
				return true
			}
			if !seen[c] {
				seen[c] = true
				queue = append(queue, c)
			}
		}
	}
	return false
}

func (m *hostsAndGroups) setGroup(name, key string, v Value, pos Pos) {
	g := m.groups[name]
	g.layers = m.set(g.layers, key, v, pos)
}

func (m *hostsAndGroups) setHost(name, key string, v Value, pos Pos) {
	h := m.hosts[name]
	h.layers = m.set(h.layers, key, v, pos)
}

// set puts a variable into the layer of its file.
func (m *hostsAndGroups) set(layers []*Map, key string, v Value, pos Pos) []*Map {
	if n := len(layers); n == 0 || layers[n-1].Pos.File != m.source {
		layers = append(layers, &Map{Pos: Pos{File: m.source}})
	}
	layers[len(layers)-1].Set(key, v, pos)
	return layers
}

// inventory is the whole as one inventory: hosts in no other group are ungrouped, groups below no other are below
// "all".
func (m *hostsAndGroups) inventory() *Inventory {
	hostvars, meta, root := &Map{}, &Map{}, &Map{}
	meta.Set("hostvars", hostvars, Pos{})
	root.Set("_meta", meta, Pos{})
	for _, name := range m.hostOrder {
		h := m.hosts[name]
		hostvars.Set(name, flattened(h.layers), Pos{})
		if h.groups == 0 {
			m.groups[ungrouped].hosts.appendIf(name)
		}
	}
	alone := NewList() // a file may have begun with hosts that a section takes later
	for _, name := range m.groups[ungrouped].hosts.Strings() {
		if m.hosts[name].groups == 0 {
			alone.add(name, Pos{})
		}
	}
	m.groups[ungrouped].hosts = alone
	child := map[string]bool{allGroup: true}
	for _, g := range m.groups {
		for _, c := range g.children.Strings() {
			child[c] = true
		}
	}
	for _, name := range m.groupOrder {
		if !child[name] {
			m.groups[allGroup].children.appendIf(name)
		}
	}
	for _, name := range m.groupOrder {
		g := m.groups[name]
		entry := &Map{}
		entry.Set("hosts", g.hosts, Pos{})
		entry.Set("children", g.children, Pos{})
		if len(g.layers) > 0 {
			entry.Set("vars", flattened(g.layers), Pos{})
		}
		root.Set(name, entry, Pos{})
	}
	return NewInventory(root)
}

func flattened(layers []*Map) *Map {
	if len(layers) == 1 {
		return layers[0]
	}
	out := &Map{}
	for _, l := range layers {
		for _, e := range l.Entries() {
			out.Set(e.Key, e.Value, e.Pos)
		}
	}
	return out
}

// groupLayers are a group's variables, source by source; hostLayers a host's.
func (m *hostsAndGroups) groupLayers(name string) []*Map {
	if g := m.groups[name]; g != nil {
		return g.layers
	}
	return nil
}

func (m *hostsAndGroups) hostLayers(name string) []*Map {
	if h := m.hosts[name]; h != nil {
		return h.layers
	}
	return nil
}

// sourceOf is where a host was met first: inventory_dir and inventory_file.
func (m *hostsAndGroups) sourceOf(host string) (dir, file string) {
	h := m.hosts[host]
	if h == nil {
		return "", ""
	}
	return filepath.Dir(h.source), h.source
}

// priority is ansible_group_priority, which is no variable but an order.
func (m *hostsAndGroups) priority(group string) int {
	out := 1
	for _, l := range m.groupLayers(group) {
		switch n := l.Get(groupPriority).(type) {
		case int64:
			out = int(n)
		case string:
			if v, ok := pythonLiteral(strings.TrimSpace(n)); ok {
				if i, isInt := v.(int64); isInt {
					out = int(i)
				}
			}
		}
	}
	return out
}

const groupPriority = "ansible_group_priority"
