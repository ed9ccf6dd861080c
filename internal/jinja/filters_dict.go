package jinja

import "slices"

// combineFilter merges mappings: later ones win; recursive goes into mappings; list_merge says what lists do then.
func combineFilter(r *run, in any, a *args) any {
	recursive := a.boolean(-1, "recursive", false)
	lists := a.text(-1, "list_merge", "replace")
	sources := []any{in}
	for _, s := range a.rest(0) {
		sources = append(sources, r.defined(s))
	}
	for _, s := range sources {
		r.definedWithin(s)
	}
	var all []*Dict
	for _, s := range sources {
		if l, ok := s.(*List); ok {
			for _, item := range r.items(l) {
				all = append(all, r.mapping(item))
			}
			continue
		}
		all = append(all, r.mapping(s))
	}
	out := NewDict()
	for _, d := range all {
		out = r.combine(out, d, recursive, lists)
	}
	return out
}

// definedWithin insists that nothing inside is undefined, as Ansible's combine does. What is lazy is not looked at: a
// variable is defined, whatever may be wrong with its value.
func (r *run) definedWithin(v any) {
	defer r.deeper()()
	r.spend(1)
	switch v := v.(type) {
	case *Undefined:
		r.solid(v)
	case *List:
		for _, item := range v.Items {
			r.definedWithin(item)
		}
	case *Dict:
		for _, k := range v.keys {
			r.definedWithin(v.values[slot(k)])
		}
	}
}

func (r *run) combine(low, high *Dict, recursive bool, lists string) *Dict {
	defer r.deeper()()
	out := low.Copy()
	r.alloc(48 * (low.Len() + high.Len()))
	r.spend(low.Len() + high.Len())
	for _, k := range high.keys {
		v := high.values[slot(k)]
		old, ok := out.Get(k)
		if !ok || !recursive && lists == "replace" {
			out.Set(k, v)
			continue
		}
		out.Set(k, r.combineValue(old, v, recursive, lists))
	}
	return out
}

func (r *run) combineValue(old, v any, recursive bool, lists string) any {
	was, isDict := r.hush(old).(*Dict)
	now, areDicts := r.hush(v).(*Dict)
	if isDict && areDicts && recursive && !isSecret(old) && !isSecret(v) {
		return r.combine(was, now, recursive, lists)
	}
	a, isList := r.hush(old).(*List)
	b, areLists := r.hush(v).(*List)
	if isList && areLists && lists != "replace" {
		r.reveal(old)
		r.reveal(v)
		return r.mergeLists(a, b, lists)
	}
	if isDict && areDicts && recursive {
		r.reveal(old)
		r.reveal(v)
		return r.combine(was, now, recursive, lists)
	}
	return v
}

func isSecret(v any) bool {
	l, ok := v.(*Lazy)
	return ok && l.secret
}

func (r *run) mergeLists(a, b *List, how string) any {
	join := func(x, y []any) any {
		r.alloc(16 * (len(x) + len(y)))
		return NewList(append(slices.Clone(x), y...)...)
	}
	switch how {
	case "keep":
		return a
	case "append":
		return join(a.Items, b.Items)
	case "prepend":
		return join(b.Items, a.Items)
	case "append_rp":
		return join(r.without(a, b), b.Items)
	case "prepend_rp":
		return join(b.Items, r.without(a, b))
	}
	r.errorf("combine: list_merge must be replace, keep, append, prepend, append_rp or prepend_rp")
	return nil
}

func (r *run) without(a, b *List) []any {
	var out []any
	for _, item := range r.items(a) {
		if !r.contains(b, item) {
			out = append(out, item)
		}
	}
	return out
}

func dict2items(r *run, in any, a *args) any {
	key, value := a.text(0, "key_name", "key"), a.text(1, "value_name", "value")
	d := r.mapping(in)
	out := &List{}
	r.spend(d.Len())
	r.alloc(128 * d.Len())
	for _, k := range d.keys {
		item := NewDict()
		item.Set(key, k)
		item.Set(value, d.values[slot(k)])
		out.Items = append(out.Items, item)
	}
	return out
}

func items2dict(r *run, in any, a *args) any {
	key, value := a.text(0, "key_name", "key"), a.text(1, "value_name", "value")
	out := NewDict()
	for _, item := range r.items(in) {
		d := r.mapping(item)
		k, okKey := d.Get(key)
		v, okValue := d.Get(value)
		if !okKey || !okValue {
			r.errorf("items2dict: an item lacks %q or %q", key, value)
		}
		r.alloc(48)
		r.set(out, r.reveal(k), v)
	}
	return out
}

func dictSort(r *run, in any, a *args) any {
	caseSensitive := a.boolean(0, "case_sensitive", false)
	place := 0
	if a.text(1, "by", "key") == "value" {
		place = 1
	}
	reverse := a.boolean(2, "reverse", false)
	pairs := r.items(dictMethods["items"](r, r.mapping(in), a))
	return NewList(r.sorted(pairs, reverse, func(v any) any {
		return foldCase(r.item(v, place), caseSensitive)
	})...)
}
