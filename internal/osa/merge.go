package osa

import (
	"fmt"
	"slices"
	"strings"
)

// merge puts a file's mapping into another: mappings merge, everything else replaces, and so does an empty mapping.
func (s *Source) merge(into, from *Map, path []string) {
	for _, e := range from.Entries() {
		old, had := into.Lookup(e.Key)
		sub, isMap := e.Value.(*Map)
		here := append(slices.Clip(path), fmt.Sprint(e.Key))
		if !isMap || sub.Len() == 0 {
			s.merges.replaced(&s.Findings, here, into, e, old, had)
			into.Set(e.Key, e.Value, e.Pos)
			continue
		}
		base, ok := old.(*Map)
		switch {
		case !had:
			base = &Map{Pos: sub.Pos}
		case !ok:
			s.Findings.refuse("merge", e.Pos, "give both the same shape, or remove one",
				"%s is a mapping here but %s at %s", strings.Join(here, "."), kind(old), into.PosOf(e.Key))
			continue
		}
		s.merges.wrote(base, here, sub)
		s.merge(base, sub, here)
		pos := e.Pos
		if had {
			pos = into.PosOf(e.Key)
		}
		into.Set(e.Key, base, pos)
	}
}

// merges watches merging for what operators do not expect.
type merges struct {
	names map[*Map][]string // groups of the user configuration that are one object
	leaks []leak
	env   string // the operator's env.d while it is merged
}

type leak struct {
	group *Map
	name  string
	hosts []Entry
}

func newMerges() *merges { return &merges{names: map[*Map][]string{}} }

// watch notes which top-level groups an anchor makes one.
func (w *merges) watch(config *Map) {
	for _, e := range config.Entries() {
		if m, ok := e.Value.(*Map); ok {
			w.names[m] = append(w.names[m], fmt.Sprint(e.Key))
		}
	}
}

// wrote notes that a file of conf.d adds to a group.
func (w *merges) wrote(base *Map, path []string, from *Map) {
	if len(path) != 1 || len(w.names[base]) < 2 {
		return
	}
	l := leak{group: base, name: path[0]}
	for _, e := range from.Entries() {
		if !base.Has(e.Key) {
			l.hosts = append(l.hosts, e)
		}
	}
	w.leaks = append(w.leaks, l)
}

func (w *merges) report(found *Findings) {
	for _, l := range w.leaks {
		others := slices.DeleteFunc(slices.Clone(w.names[l.group]), func(n string) bool { return n == l.name })
		for _, e := range l.hosts {
			found.warn("shared-anchor", e.Pos, "write the hosts of these groups out instead of using an alias",
				"%v is added to %s and also to %s: an anchor makes them one mapping", e.Key, l.name, strings.Join(others, ", "))
		}
	}
	clear(w.names)
}

// replaced tells what the order of reading decides: a value that two files set, a list that replaces the release's.
func (w *merges) replaced(found *Findings, path []string, into *Map, e Entry, old Value, had bool) {
	if !had || Equal(old, e.Value) {
		return
	}
	before := into.PosOf(e.Key)
	list, isList := e.Value.(*List)
	switch oldList, ok := old.(*List); {
	case w.env != "" && isList && ok && !strings.HasPrefix(before.File, w.env):
		for i, item := range oldList.Items() {
			if !list.Has(item) {
				found.note("replaced-list", e.Pos, "repeat the entry if you still need it",
					"%s replaces the list of %s, and drops %v", strings.Join(path, "."), oldList.PosOf(i), item)
			}
		}
	case before.File != e.Pos.File && !strings.HasSuffix(before.File, userConfig) && (w.env == "" || strings.HasPrefix(before.File, w.env)):
		found.warn("order-of-files", e.Pos, "set it in one file",
			"%s has another value at %s: which of the two wins depends on the order in which the file system lists files", strings.Join(path, "."), before)
	}
}

// normalise gives group names of the user configuration underscores, from release 33 on. Two groups that become one are
// merged; the second's hosts win.
func (s *Source) normalise() {
	for _, e := range s.Config.Entries() {
		if _, ok := e.Key.(string); !ok {
			s.Findings.refuse("key", e.Pos, "put it in quotes", "the key %v is %s, not a string", e.Key, kind(e.Key))
		}
	}
	if s.Release.DashesMatter {
		return
	}
	out := &Map{Pos: s.Config.Pos}
	for _, e := range s.Config.Entries() {
		name, _ := e.Key.(string)
		name = strings.ReplaceAll(name, "-", "_")
		old, had := out.Lookup(name)
		a, aOK := old.(*Map)
		b, bOK := e.Value.(*Map)
		if !had || !aOK || !bOK {
			if had {
				s.Findings.warn("two-spellings", e.Pos, "keep one of them", "%v and %s are one key in this release, and this one replaces %s", e.Key, name, out.PosOf(name))
			}
			out.Set(name, e.Value, e.Pos)
			continue
		}
		s.oneAddress(name, a, b)
		if a != b {
			for _, h := range b.Entries() {
				a.Set(h.Key, h.Value, h.Pos)
			}
		}
	}
	s.Config = out
}

// oneAddress refuses a host that two spellings of a group give two addresses.
func (s *Source) oneAddress(group string, a, b *Map) {
	for _, e := range b.Entries() {
		old, had := a.Lookup(e.Key)
		if !had {
			continue
		}
		x, xOK := old.(*Map)
		y, yOK := e.Value.(*Map)
		if !xOK || !yOK {
			s.Findings.refuse("host", e.Pos, "give it an ip", "%v in %s has no settings", e.Key, group)
			continue
		}
		if p, q := x.Get("ip"), y.Get("ip"); Truth(p) && Truth(q) && !Equal(p, q) {
			s.Findings.refuse("two-addresses", y.PosOf("ip"), "give it one address", "host %v has %v here and %v at %s", e.Key, q, p, x.PosOf("ip"))
		}
	}
}
