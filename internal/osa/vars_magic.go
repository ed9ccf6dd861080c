package osa

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/jinja"
)

// builtin is the level of what no file defines.
const builtin = "Ansible"

// magic defines what Ansible itself knows of a host. Nothing overrides it.
func (h *HostVars) magic(groups []string) {
	short, _, _ := strings.Cut(h.name, ".")
	dir, file := h.vars.sources.sourceOf(h.name)
	names := &jinja.List{}
	sorted := slices.Clone(groups)
	slices.Sort(sorted)
	for _, g := range sorted {
		if g != "all" {
			names.Items = append(names.Items, g)
		}
	}
	for _, m := range []struct {
		name  string
		value any
	}{
		{"inventory_hostname", h.name},
		{"inventory_hostname_short", short},
		{"inventory_dir", dir},
		{"inventory_file", file},
		{"group_names", names},
		{"groups", jinja.Later(func() (any, bool, error) { return h.vars.groupDict(), false, nil })},
		{"hostvars", hostvars{h.vars}},
		{"ansible_check_mode", false},
		{"ansible_diff_mode", false},
	} {
		h.define(m.name, Definition{Level: builtin})
		h.values[m.name] = m.value
	}
}

// groupDict is "groups": every group with all its hosts, and "all" and "ungrouped" beside them.
func (v *Variables) groupDict() *jinja.Dict {
	if v.groups != nil {
		return v.groups
	}
	v.groups = jinja.NewDict()
	hosts := &jinja.List{}
	for _, host := range v.inventory.Hosts() {
		hosts.Items = append(hosts.Items, host.Name)
	}
	v.groups.Set("all", hosts)
	for _, g := range v.inventory.Groups() {
		if g.Name == "all" {
			continue
		}
		members := &jinja.List{}
		for _, m := range v.inventory.Members(g.Name) {
			members.Items = append(members.Items, m)
		}
		v.groups.Set(g.Name, members)
	}
	return v.groups
}

// hostvars is every host's variables.
type hostvars struct{ v *Variables }

// Keys lists the hosts.
func (m hostvars) Keys() []string {
	var out []string
	for _, h := range m.v.inventory.Hosts() {
		out = append(out, h.Name)
	}
	return out
}

// Get returns one host's variables.
func (m hostvars) Get(name string) (any, bool) {
	if _, ok := m.v.inventory.Host(name); !ok {
		return nil, false
	}
	return jinja.Later(func() (any, bool, error) {
		h, err := m.v.Host(name)
		if err != nil {
			return nil, false, err
		}
		return h, false, nil
	}), true
}

// facts defines ansible_facts from Ansible's cache, one JSON file a host.
func (h *HostVars) facts() {
	dir := h.vars.opts.Facts
	if known, ok := h.vars.opts.HostFacts[h.name]; ok {
		facts := &Map{}
		for _, name := range slices.Sorted(maps.Keys(known)) {
			facts.Set(name, known[name], Pos{})
		}
		h.define("ansible_facts", Definition{Value: facts, Level: "gathered facts"})
		h.values["ansible_facts"] = factDict(facts)
		return
	}
	for _, name := range []string{h.name, "s1_" + h.name} { // ansible-core 2.19 puts a prefix before the name
		path := filepath.Join(dir, name)
		text, err := ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			h.broken.add(fmt.Errorf("read cached facts: %w", err))
			return
		}
		v, err := ReadJSON(path, text)
		if err != nil {
			h.broken.add(fmt.Errorf("read cached facts: %w (delete the file: Ansible writes it again)", err))
			return
		}
		m, ok := v.(*Map)
		if !ok {
			h.broken.add(fmt.Errorf("read cached facts: %s is not a JSON object (delete the file: Ansible writes it again)", path))
			return
		}
		h.define("ansible_facts", Definition{Value: m, Pos: Pos{File: path}, Level: "fact cache"})
		h.values["ansible_facts"] = factDict(m)
		return
	}
	h.define("ansible_facts", Definition{Level: builtin})
	h.values["ansible_facts"] = noFacts{host: h.name, dir: dir}
}

// factDict is the facts by their short names. Facts come from a host, so nothing in them is a template.
func factDict(m *Map) *jinja.Dict {
	out := jinja.NewDict()
	for _, e := range m.Entries() {
		name, _ := e.Key.(string)
		if name != "ansible_local" {
			name = strings.TrimPrefix(name, "ansible_")
		}
		out.Set(name, untemplated(e.Value))
	}
	return out
}

func untemplated(v Value) any {
	switch v := v.(type) {
	case *Map:
		out := jinja.NewDict()
		for _, e := range v.Entries() {
			out.Set(plainKey(e.Key), untemplated(e.Value))
		}
		return out
	case *List:
		out := &jinja.List{}
		for _, item := range v.Items() {
			out.Items = append(out.Items, untemplated(item))
		}
		return out
	}
	return plainKey(v)
}

// NoFactsError says that a template needs facts of a host, and nobody gathered them.
type NoFactsError struct {
	Host string
	Dir  string // where Ansible would keep them
}

func (e *NoFactsError) Error() string {
	return fmt.Sprintf("no facts of %s in %s (gather them with \"openstack-ansible setup-hosts.yml\", or ansible -m setup)", e.Host, e.Dir)
}

// noFacts stands for facts that nobody gathered: whatever is asked is undefined, and the error says why.
type noFacts struct{ host, dir string }

// Keys is empty.
func (noFacts) Keys() []string { return nil }

// Get finds an undefined value.
func (f noFacts) Get(name string) (any, bool) {
	if name == "keys" || name == "items" || name == "values" || name == "get" {
		return nil, false
	}
	return jinja.Later(func() (any, bool, error) {
		return nil, false, &jinja.UndefinedError{Name: "ansible_facts." + name, Err: &NoFactsError{Host: f.host, Dir: f.dir}}
	}), true
}
