package jinja

import "slices"

// filter is one entry of the table.
type filter struct {
	call      func(r *run, in any, a *args) any
	undefined bool // accepts what is undefined
}

type filterFunc = func(r *run, in any, a *args) any

// filterNamed finds a filter: Jinja2's own, Ansible's, and what OpenStack-Ansible uses of collections. Each table is
// one file. A dotted name must be a known collection's: openstack.osa.x is not x.
func filterNamed(name string) (filter, bool) {
	name = shortName(name)
	switch name {
	case "default", "d":
		return filter{call: defaultFilter, undefined: true}, true
	case "type_debug":
		return filter{call: typeDebug, undefined: true}, true
	case "mandatory":
		return filter{call: mandatory, undefined: true}, true
	}
	for _, table := range []map[string]filterFunc{sequenceFilters, textFilters, dataFilters, higherFilters, addressFilters} {
		if f, ok := table[name]; ok {
			return filter{call: f}, true
		}
	}
	// map, select and the like call filters again; the compiler wants that cycle cut.
	switch name {
	case "map":
		return filter{call: mapFilter}, true
	case "json_query":
		return filter{call: jsonQuery}, true
	case "select", "reject", "selectattr", "rejectattr":
		return filter{call: func(r *run, in any, a *args) any { return selectFilter(r, name, in, a) }}, true
	}
	return filter{}, false
}

// Filters lists the filters by name, for documentation.
func Filters() []string {
	names := []string{"default", "d", "type_debug", "mandatory", "json_query", "map", "select", "reject", "selectattr", "rejectattr"}
	for _, table := range []map[string]filterFunc{sequenceFilters, textFilters, dataFilters, higherFilters, addressFilters} {
		for name := range table {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// defaultFilter is default(value, boolean): boolean makes it replace what is empty, too.
func defaultFilter(r *run, in any, a *args) any {
	fallback, given := a.get(0, "default_value")
	if !given {
		fallback = ""
	}
	empty := a.boolean(1, "boolean", false)
	if _, undefined := in.(*Undefined); undefined || empty && !r.truth(in) {
		return fallback
	}
	return in
}

func mandatory(r *run, in any, a *args) any {
	message, _ := a.get(0, "msg")
	if _, ok := in.(*Undefined); ok {
		if message != nil && r.str(message) != "" {
			r.errorf("%s", r.str(message))
		}
		r.solid(in)
	}
	return in
}

func typeDebug(r *run, in any, _ *args) any {
	switch v := in.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case *List:
		if v.Tuple {
			return "tuple"
		}
		return "list"
	case *Undefined:
		if v.Blank {
			return "Undefined"
		}
		return "AnsibleUndefined"
	}
	return "dict"
}

// truthOf is Ansible's bool filter: words as YAML 1.1 knows them.
func truthOf(in any) bool {
	switch v := in.(type) {
	case bool:
		return v
	case string:
		switch lower(v) {
		case "yes", "on", "1", "true":
			return true
		}
		return false
	}
	n, ok := numeric(in)
	return ok && n == 1
}

// attributePath reads a.b.0 from a value, as map(attribute=...) and selectattr do.
func (r *run) attributePath(v any, path any) any {
	if i, ok := whole(path); ok {
		return r.item(v, i)
	}
	text := r.wantText(path)
	for part := range splitDots(text) {
		if i, ok := smallInteger(part); ok {
			v = r.item(v, i)
		} else {
			v = r.item(v, part)
		}
		r.spend(1)
	}
	return v
}
