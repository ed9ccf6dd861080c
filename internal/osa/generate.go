package osa

import (
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
)

// Draw is where chance comes in: the last part of a container's name, and which free address it gets.
type Draw struct {
	Suffix func() string         // eight hexadecimal digits
	Pick   func(n uint64) uint64 // a number below n
}

// NewDraw draws from the system's source of randomness.
func NewDraw() Draw {
	return Draw{
		Suffix: func() string {
			var b [4]byte
			_, _ = rand.Read(b[:]) // never fails
			return hex.EncodeToString(b[:])
		},
		Pick: func(n uint64) uint64 {
			v, err := rand.Int(rand.Reader, new(big.Int).SetUint64(n))
			if err != nil {
				return 0 // never happens, and the first free address is as good as any
			}
			return v.Uint64()
		},
	}
}

// Result is what became of a source.
type Result struct {
	Inventory *Inventory
	Changed   bool // it differs from the inventory that was there
	Findings  Findings
}

// Generate makes the inventory: the existing one, with what the configuration adds. The source stays as it is. The
// error is a *Refusal with everything that stops it; the findings are complete in both cases.
func Generate(src *Source, draw Draw) (*Result, error) {
	r := newRun(src, draw)
	if r.found.Err() == nil {
		for _, step := range steps() {
			step.do(r)
			if step.gate && r.found.Err() != nil {
				break
			}
		}
	}
	if err := r.found.Err(); err != nil {
		return &Result{Findings: r.found}, err
	}
	r.review()
	inv := NewInventory(r.inv)
	return &Result{Inventory: inv, Changed: src.Existing == nil || !Equal(src.Existing, r.inv), Findings: r.found}, r.found.Err()
}

type step struct {
	name string
	do   func(*run)
	gate bool // what is wrong up to here makes the rest meaningless
}

// steps is the order of OpenStack-Ansible's generate(); the order of groups and hosts in the result comes from it.
func steps() []step {
	return []step{
		{"container networks", (*run).containerCIDR, false},
		{"settings", (*run).checkSettings, false},
		{"hosts of the configuration", (*run).checkHosts, false},
		{"groups of the environment", (*run).checkEnvironment, true},
		{"global variables", (*run).globalVariables, false},
		{"used addresses", (*run).usedAddresses, false},
		{"physical hosts", (*run).physicalHosts, true},
		{"groups", (*run).groups, false},
		{"hosts beside groups", (*run).groupBranches, true},
		{"children of physical groups", func(r *run) { r.children("physical_skel") }, false},
		{"children of components", func(r *run) { r.children("component_skel") }, true},
		{"containers", (*run).containers, true},
		{"networks", (*run).networks, true},
		{"hosts with containers", (*run).lxcHosts, false},
		{"what every host has", (*run).complete, false},
	}
}

// run is one generation.
type run struct {
	src     *Source
	release Release
	config  *Map
	env     *Map
	draw    Draw
	found   Findings

	inv    *Map
	hosts  *Map // _meta.hostvars
	table  []*host
	byName map[string]*host
	used   usedAddresses

	cidr      Value
	metalized map[string]string // container group: the host whose no_containers made all later ones metal
}

// host is one entry of the hostvars, with what the inner loops ask for at hand.
type host struct {
	name   string
	vars   *Map
	called string // container_name
	dashed string // the same without underscores
	named  bool
}

func newRun(src *Source, draw Draw) *run {
	r := &run{
		src: src, release: src.Release, draw: draw, found: slices.Clone(src.Findings),
		byName: map[string]*host{}, used: newUsedAddresses(), metalized: map[string]string{},
	}
	// What the steps write into stays theirs: users of the source see what the files say.
	both, _ := Clone(NewList(src.Config, src.Env)).(*List)
	r.config, _ = both.items[0].(*Map)
	r.env, _ = both.items[1].(*Map)
	if src.Existing != nil {
		r.inv, _ = Clone(src.Existing).(*Map)
		meta, _ := r.inv.Get("_meta").(*Map)
		r.hosts, _ = meta.Get("hostvars").(*Map)
	} else {
		r.hosts = &Map{}
		meta := &Map{}
		meta.Set("hostvars", r.hosts, Pos{})
		r.inv = &Map{}
		r.inv.Set("_meta", meta, Pos{})
	}
	for name, vars := range r.hosts.All() {
		n, _ := name.(string)
		if m, ok := vars.(*Map); ok { // Load has refused others
			r.register(n, m)
		}
	}
	return r
}

func (r *run) register(name string, vars *Map) *host {
	h := &host{name: name, vars: vars}
	r.table = append(r.table, h)
	r.byName[name] = h
	if called, ok := vars.Lookup("container_name"); ok {
		r.called(h, called)
	}
	return h
}

// host returns a host's entry, made when there is none.
func (r *run) host(name string, pos Pos) *host {
	if h := r.byName[name]; h != nil {
		return h
	}
	vars := &Map{Pos: pos}
	r.hosts.Set(name, vars, pos)
	return r.register(name, vars)
}

// set sets a host variable. All writing of host variables goes through here.
func (r *run) set(h *host, key, value Value, pos Pos) {
	h.vars.Set(key, value, pos)
	if key == "container_name" {
		r.called(h, value)
	}
}

func (r *run) called(h *host, value Value) {
	s, ok := value.(string)
	if !ok {
		r.found.refuse("container-name", h.vars.PosOf("container_name"), "give it its name", "container_name of %s is %s", h.name, kind(value))
	}
	h.called, h.dashed, h.named = s, strings.ReplaceAll(s, "_", "-"), true
}

// group returns a group's list under a key ("hosts", "children"), and refuses a group without one.
func (r *run) group(name, key string, pos Pos) *List {
	m, ok := r.inv.Get(name).(*Map)
	if !ok {
		r.found.refuse("no-group", pos, "define it in env.d", "the group %s does not exist", name)
		return nil
	}
	l, ok := m.Get(key).(*List)
	if !ok {
		r.found.refuse("no-"+key, pos, "a group holds hosts or child groups: rename one of the two groups, or remove the stale group from the inventory",
			"the group %s has no list of %s", name, key)
		return nil
	}
	return l
}

func newGroup(keys ...string) *Map {
	m := &Map{}
	for _, k := range keys {
		m.Set(k, NewList(), Pos{})
	}
	return m
}

// truthIn is Truth of a key's value, false without one.
func truthIn(v Value, key string) bool {
	m, _ := v.(*Map)
	return Truth(m.Get(key))
}

// items walks a value as Python's for does: a list's items, a mapping's keys, and, sadly, the letters of a string.
func (r *run) items(v Value, pos Pos, what string) []Value {
	switch x := v.(type) {
	case *List:
		return x.Items()
	case *Map:
		out := make([]Value, 0, x.Len())
		for k := range x.All() {
			out = append(out, k)
		}
		return out
	case string:
		if x == "" {
			return nil
		}
		r.found.warn("letters", pos, "write a list: - "+x, "%s is the string %q, and each of its letters is taken for a name", what, x)
		var out []Value
		for _, c := range x {
			out = append(out, string(c))
		}
		return out
	}
	r.found.refuse("no-list", pos, "write a list", "%s is %s, not a list", what, kind(v))
	return nil
}

// named is a name and where it stands.
type named struct {
	name string
	pos  Pos
}

// names is items that have to be strings.
func (r *run) names(v Value, pos Pos, what string) []named {
	var out []named
	for i, item := range r.items(v, pos, what) {
		at := pos
		if l, ok := v.(*List); ok {
			at = l.PosOf(i)
		}
		s, ok := item.(string)
		if !ok {
			r.found.refuse("name", at, "put it in quotes", "%s has %v, which is %s, not a name", what, item, kind(item))
			continue
		}
		out = append(out, named{s, at})
	}
	return out
}

// mapOf returns a value that has to be a mapping.
func (r *run) mapOf(v Value, pos Pos, what, fix string) (*Map, bool) {
	m, ok := v.(*Map)
	if !ok {
		r.found.refuse("no-mapping", pos, fix, "%s is %s, not a mapping", what, kind(v))
	}
	return m, ok
}
