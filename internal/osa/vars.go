package osa

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/jinja"
)

// VarsOptions say where variables come from, beside the inventory.
type VarsOptions struct {
	Config string // the operator's directory: inventory.ini, group_vars, host_vars, user_*.yml
	Tree   string // OpenStack-Ansible's inventory directory: inventory.ini, group_vars, host_vars
	// SafeGroups gives names of groups underscores for whatever no variable's name may have, as OpenStack-Ansible does
	// from release 33 on (ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS=always).
	SafeGroups bool
	Facts      string // Ansible's fact cache; "" is ansible_facts in Config
	// RoleDefaults are defaults of roles, by role: they are below everything, and what is evaluated sees them as if the
	// roles ran. nil is what Ansible sees outside of a role.
	RoleDefaults *Map
	// HostFacts are facts somebody gathered, by host and Ansible's short name, such as "hostname". They go before the
	// cache.
	HostFacts map[string]map[string]string
	Passwords []VaultPassword
	Types     jinja.Types
	Lookups   map[string]jinja.Lookup
}

// Variables are the variables of all hosts, as Ansible would see them before a play adds its own.
//
// Hosts and groups are those of three inventories together: the generated one, the tree's inventory.ini, the
// operator's.
//
// Lowest first: the inventories' groups, the tree's group_vars, the operator's group_vars, the inventories' host, the
// tree's and the operator's host_vars, cached facts, user_*.yml, and what Ansible itself knows. Within one directory
// "all" comes first, then groups by depth, priority and name. A value replaces the one below it as a whole.
type Variables struct {
	Findings Findings

	inventory *Inventory
	sources   *hostsAndGroups
	opts      VarsOptions
	files     map[string]*varsFile
	extra     []*varsFile
	hosts     map[string]*HostVars
	groups    *jinja.Dict
	depth     int
}

// Definition is one place that gives a variable a value.
type Definition struct {
	Value  Value  // as written
	Pos    Pos    // of its key
	Level  string // whose it is: "group k8s_all", "host infra1", "extra vars", ...
	Secret bool   // of user_secrets.yml, or from a file that was encrypted
}

// StaticError says what is wrong with the lines of a file inventory.ini.
type StaticError struct{ Err error }

func (e *StaticError) Error() string { return e.Err.Error() }

func (e *StaticError) Unwrap() error { return e.Err }

// LoadVars reads the files that apply to every host; those of groups and hosts are read when they are asked for.
func LoadVars(inv *Inventory, opts VarsOptions) (*Variables, error) {
	if opts.Facts == "" {
		opts.Facts = filepath.Join(opts.Config, "ansible_facts")
	}
	v := &Variables{opts: opts, files: map[string]*varsFile{}, hosts: map[string]*HostVars{}}
	var broken problems
	var err error
	v.sources, err = inv.withStatic(opts.Tree, opts.Config, opts.SafeGroups)
	if err != nil {
		return nil, &StaticError{Err: err} // what else is wrong, Unreadable tells
	}
	v.inventory = v.sources.inventory()
	names, err := userFiles(opts.Config)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		f := v.read(name)
		broken.add(f.err())
		if f.vars == nil && len(f.wrong) == 0 {
			v.Findings.warn("empty-extra", Pos{File: name}, "take the file away, or write a variable into it",
				"it has no variables, and openstack-ansible does not start with such a file")
		}
		v.extra = append(v.extra, f)
	}
	if err := broken.err(); err != nil {
		return nil, err
	}
	return v, nil
}

// Inventory is the three inventories as one.
func (v *Variables) Inventory() *Inventory { return v.inventory }

// userFiles are what the openstack-ansible command passes as extra variables, in its order.
func userFiles(dir string) ([]string, error) {
	var out []string
	for _, ending := range []string{"yml", "yaml"} {
		names, err := filepath.Glob(filepath.Join(escapeGlob(dir), "user_*."+ending))
		if err != nil {
			return nil, fmt.Errorf("look for user_*.%s: %w", ending, err)
		}
		out = append(out, names...)
	}
	slices.Sort(out)
	return out, nil
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// Host returns the variables of a host of the inventory. The error names every file that cannot be read.
func (v *Variables) Host(name string) (*HostVars, error) {
	if h, ok := v.hosts[name]; ok {
		return h, h.broken.err()
	}
	if _, ok := v.inventory.Host(name); !ok {
		return nil, fmt.Errorf("there is no host %q in the inventory (jeroboam inventory --graph lists them)", name)
	}
	h := &HostVars{vars: v, name: name, definitions: map[string][]Definition{}, values: map[string]any{}}
	v.hosts[name] = h
	h.collect()
	return h, h.broken.err()
}

// collect is the order of precedence, lowest first.
func (h *HostVars) collect() {
	groups := h.vars.ancestors(h.name)
	for _, e := range h.vars.opts.RoleDefaults.Entries() {
		m, _ := e.Value.(*Map)
		for _, d := range m.Entries() {
			h.add(&Map{entries: []Entry{{Key: d.Key, Value: d.Value}}}, fmt.Sprintf("default of %v", e.Key), false)
		}
	}
	for _, g := range groups {
		for _, layer := range h.vars.sources.groupLayers(g) {
			h.add(layer, "inventory, group "+g, false)
		}
	}
	var named []string // "all" goes before the rest of every source
	for _, g := range groups {
		if g != "all" {
			named = append(named, g)
		}
	}
	for _, set := range [][]string{{"all"}, named} {
		for _, dir := range []string{h.vars.opts.Tree, h.vars.opts.Config} {
			for _, g := range set {
				h.addFiles(filepath.Join(dir, "group_vars"), g, "group "+g)
			}
		}
	}
	for _, layer := range h.vars.sources.hostLayers(h.name) {
		h.add(layer, "inventory, host "+h.name, false)
	}
	for _, dir := range []string{h.vars.opts.Tree, h.vars.opts.Config} {
		h.addFiles(filepath.Join(dir, "host_vars"), h.name, "host "+h.name)
	}
	for _, f := range h.vars.extra {
		h.add(f.vars, "extra vars", f.secret)
	}
	h.facts()
	h.magic(groups)
}

// ancestors are the groups of a host in the order of their variables: by depth, priority, name.
func (v *Variables) ancestors(host string) []string {
	found := v.inventory.Ancestors(host)
	slices.SortStableFunc(found, func(a, b Ancestor) int {
		return cmp.Or(cmp.Compare(a.Depth, b.Depth), cmp.Compare(v.sources.priority(a.Name), v.sources.priority(b.Name)), strings.Compare(a.Name, b.Name))
	})
	out := make([]string, len(found))
	for i, a := range found {
		out[i] = a.Name
	}
	return out
}

func (h *HostVars) add(m *Map, level string, secret bool) {
	if m == nil {
		return
	}
	for _, e := range m.Entries() {
		name, ok := e.Key.(string)
		if !ok || name == groupPriority {
			continue // Ansible has no use for a variable whose name is a number, and keeps a priority for itself
		}
		h.define(name, Definition{Value: e.Value, Pos: e.Pos, Level: level, Secret: secret})
	}
}

func (h *HostVars) define(name string, d Definition) {
	h.definitions[name] = append(h.definitions[name], d)
}

func (h *HostVars) addFiles(dir, entity, level string) {
	names, err := entityFiles(dir, entity)
	if err != nil {
		h.broken.add(err)
		return
	}
	for _, name := range names {
		f := h.vars.read(name)
		h.broken.add(f.err())
		h.add(f.vars, level, f.secret)
	}
}

// entityFiles are the files of a group or a host, as Ansible finds them: the first of NAME, NAME.yml, NAME.yaml and
// NAME.json that is there; a directory stands for what is in it, by name, without hidden files and those an editor
// left.
func entityFiles(dir, entity string) ([]string, error) {
	if strings.ContainsAny(entity, "/\x00") {
		return nil, nil
	}
	path, info, err := chooseEntity(dir, entity)
	switch {
	case err != nil:
		return nil, fmt.Errorf("look for variables: %w", err)
	case path == "":
		return nil, nil
	case info.IsDir():
		return directoryFiles(path, 0)
	}
	return []string{path}, nil
}

func directoryFiles(dir string, depth int) ([]string, error) {
	if depth > 20 {
		return nil, fmt.Errorf("%s: directories are nested too deeply (does a link point to its own parent?)", dir)
	}
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("read variables: %w", err)
	}
	var out []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") {
			continue
		}
		path, ending := filepath.Join(dir, name), filepath.Ext(name)
		info, err := os.Stat(path)
		switch {
		case notThere(err):
			continue // a link to nothing: Ansible goes on
		case err != nil:
			return nil, fmt.Errorf("read variables: %w", err)
		case info.IsDir() && ending == "":
			inner, err := directoryFiles(path, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, inner...)
		case info.Mode().IsRegular() && slices.Contains(endings(), ending):
			out = append(out, path)
		}
	}
	return out, nil
}
