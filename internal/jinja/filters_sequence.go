package jinja

import (
	"slices"
	"strings"
)

// sequenceFilters work on lists and mappings. What they pass on they do not look at, so that a secret in it stays one.
var sequenceFilters = map[string]filterFunc{
	"list":    func(r *run, in any, _ *args) any { return NewList(slices.Clone(r.rawItems(in))...) },
	"length":  func(r *run, in any, _ *args) any { return r.length(in) },
	"count":   func(r *run, in any, _ *args) any { return r.length(in) },
	"first":   func(r *run, in any, _ *args) any { return end(r.rawItems(in), 0) },
	"last":    func(r *run, in any, _ *args) any { return end(r.rawItems(in), -1) },
	"join":    joinFilter,
	"sort":    sortFilter,
	"reverse": reverseFilter,
	"unique":  uniqueFilter,
	"sum":     sumFilter,
	"min":     func(r *run, in any, a *args) any { return r.extreme(in, a, -1) },
	"max":     func(r *run, in any, a *args) any { return r.extreme(in, a, 1) },
	"batch":   batchFilter,
	"flatten": func(r *run, in any, a *args) any {
		levels := a.integer(0, "levels", -1)
		out := &List{}
		r.flatten(out, in, levels, a.boolean(1, "skip_nulls", true))
		return out
	},
	"zip":          zipFilter,
	"zip_longest":  zipLongest,
	"product":      productFilter,
	"groupby":      groupFilter,
	"combine":      combineFilter,
	"dict2items":   dict2items,
	"items2dict":   items2dict,
	"dictsort":     dictSort,
	"items":        func(r *run, in any, _ *args) any { return dictMethods["items"](r, r.mapping(in), &args{r: r}) },
	"extract":      extractFilter,
	"subelements":  subelementsFilter,
	"version_sort": versionSort,
}

// higherFilters treat lists as sets, in order.
var higherFilters = map[string]filterFunc{
	"union": func(r *run, in any, a *args) any {
		return r.distinct(append(slices.Clone(r.items(in)), r.items(a.need(0, "other"))...))
	},
	"intersect":  func(r *run, in any, a *args) any { return r.members(in, a.need(0, "other"), true) },
	"difference": func(r *run, in any, a *args) any { return r.members(in, a.need(0, "other"), false) },
	"symmetric_difference": func(r *run, in any, a *args) any {
		other := a.need(0, "other")
		out := r.members(in, other, false)
		out.Items = append(out.Items, r.members(other, in, false).Items...)
		return out
	},
}

func end(items []any, i int) any {
	if len(items) == 0 {
		return &Undefined{Name: "an element of an empty list"}
	}
	if i < 0 {
		i += len(items)
	}
	return items[i]
}

func joinFilter(r *run, in any, a *args) any {
	sep := a.text(0, "d", "")
	items := r.items(in)
	if attribute, ok := a.get(1, "attribute"); ok && attribute != nil {
		for i, item := range items {
			items[i] = r.attributePath(item, attribute)
		}
	}
	return r.joinItems(items, sep, false)
}

// joinItems joins the texts of items; strict wants strings, as Python's own join does.
func (r *run) joinItems(items []any, sep string, strict bool) string {
	parts := make([]string, len(items))
	for i, item := range items {
		if strict {
			r.wantText(item)
		}
		parts[i] = r.str(item)
		r.alloc(len(parts[i]) + len(sep))
	}
	return strings.Join(parts, sep)
}

// sorted sorts by key, and keeps the order of equals.
func (r *run) sorted(items []any, reverse bool, key func(any) any) []any {
	out := slices.Clone(items)
	r.alloc(32 * len(items))
	slices.SortStableFunc(out, func(x, y any) int {
		c := r.order(key(x), key(y))
		if reverse {
			return -c
		}
		return c
	})
	return out
}

// keyFunc is how sort, unique, min and max see an element: one attribute or several, and without case unless told.
func (r *run) keyFunc(attribute any, caseSensitive bool) func(any) any {
	one := func(v, path any) any {
		v = r.defined(r.attributePath(v, path))
		return foldCase(v, caseSensitive)
	}
	text, ok := attribute.(string)
	switch {
	case attribute == nil:
		return func(v any) any { return foldCase(r.defined(v), caseSensitive) }
	case ok && strings.Contains(text, ","):
		paths := strings.Split(text, ",")
		return func(v any) any {
			key := &List{}
			for _, p := range paths {
				key.Items = append(key.Items, one(v, p))
			}
			return key
		}
	}
	return func(v any) any { return one(v, attribute) }
}

func foldCase(v any, caseSensitive bool) any {
	if s, ok := v.(string); ok && !caseSensitive {
		return lower(s)
	}
	return v
}

func sortFilter(r *run, in any, a *args) any {
	reverse, caseSensitive := a.boolean(0, "reverse", false), a.boolean(1, "case_sensitive", false)
	attribute, _ := a.get(2, "attribute")
	return NewList(r.sorted(r.items(in), reverse, r.keyFunc(attribute, caseSensitive))...)
}

func reverseFilter(r *run, in any, _ *args) any {
	if s, ok := in.(string); ok {
		runes := []rune(s)
		slices.Reverse(runes)
		r.alloc(len(s))
		return string(runes)
	}
	return NewList(reversed(r.rawItems(in))...)
}

// uniqueFilter takes "a" and "A" for the same unless told otherwise.
func uniqueFilter(r *run, in any, a *args) any {
	caseSensitive := a.boolean(0, "case_sensitive", false)
	attribute, _ := a.get(1, "attribute")
	key := r.keyFunc(attribute, caseSensitive)
	out := &List{}
	var keys []any
	for _, item := range r.items(in) {
		k := key(item)
		if !slices.ContainsFunc(keys, func(seen any) bool { return r.equal(seen, k) }) {
			keys = append(keys, k)
			out.Items = append(out.Items, item)
		}
	}
	return out
}

func (r *run) distinct(items []any) *List {
	out := &List{}
	for _, item := range items {
		if !r.contains(out, item) {
			out.Items = append(out.Items, item)
		}
	}
	return out
}

// members are the distinct elements that are, or are not, in the other list.
func (r *run) members(in, other any, wanted bool) *List {
	set := NewList(r.items(other)...)
	out := &List{}
	for _, item := range r.items(in) {
		if r.contains(set, item) == wanted && !r.contains(out, item) {
			out.Items = append(out.Items, item)
		}
	}
	return out
}

func sumFilter(r *run, in any, a *args) any {
	attribute, by := a.get(0, "attribute")
	var total any = 0
	if start, ok := a.get(1, "start"); ok {
		total = r.defined(start)
	}
	for _, item := range r.items(in) {
		if by && attribute != nil {
			item = r.attributePath(item, attribute)
		}
		total = r.operate("+", total, r.defined(item))
	}
	return total
}

func (r *run) extreme(in any, a *args, sign int) any {
	caseSensitive := a.boolean(0, "case_sensitive", false)
	attribute, _ := a.get(1, "attribute")
	key := r.keyFunc(attribute, caseSensitive)
	items := r.items(in)
	if len(items) == 0 {
		return &Undefined{Name: "an element of an empty list"}
	}
	best := items[0]
	for _, item := range items[1:] {
		if r.order(key(item), key(best))*sign > 0 {
			best = item
		}
	}
	return best
}

func batchFilter(r *run, in any, a *args) any {
	size := a.integer(0, "linecount", 0)
	fill, filled := a.get(1, "fill_with")
	if size < 1 {
		r.errorf("batch: the size must be positive")
	}
	out := &List{}
	for chunk := range slices.Chunk(slices.Clone(r.rawItems(in)), size) {
		chunk = slices.Clone(chunk)
		for filled && fill != nil && len(chunk) < size {
			r.alloc(16)
			chunk = append(chunk, fill)
		}
		out.Items = append(out.Items, NewList(chunk...))
	}
	return out
}

// flatten opens lists within lists. Nulls are dropped unless told otherwise, as in Ansible.
func (r *run) flatten(out *List, in any, levels int, skipNulls bool) {
	defer r.deeper()()
	l, ok := in.(*List)
	if !ok {
		r.errorf("flatten: expected a list, found %s", kind(in))
	}
	for _, item := range r.items(l) {
		text, isText := r.defined(item).(string)
		if inner, nested := item.(*List); nested && levels != 0 {
			r.flatten(out, inner, levels-1, skipNulls)
		} else if !skipNulls || item != nil && (!isText || text != "None" && text != "null") {
			r.alloc(16)
			out.Items = append(out.Items, item)
		}
	}
}

func groupFilter(r *run, in any, a *args) any {
	attribute := a.need(0, "attribute")
	fallback, hasDefault := a.get(1, "default")
	key := func(v any) any {
		k := r.attributePath(v, attribute)
		if _, undefined := k.(*Undefined); undefined && hasDefault {
			return fallback
		}
		return r.defined(k)
	}
	out := &List{}
	var last *List
	for _, item := range r.sorted(r.items(in), false, func(v any) any { return foldCase(key(v), false) }) {
		k := key(item)
		if last == nil || !r.equal(foldCase(last.Items[0], false), foldCase(k, false)) {
			last = &List{Tuple: true, Items: []any{k, &List{}}}
			out.Items = append(out.Items, last)
		}
		members, _ := last.Items[1].(*List)
		members.Items = append(members.Items, item)
	}
	return out
}

// extractFilter is extract(container, morekeys): the element becomes a key.
func extractFilter(r *run, in any, a *args) any {
	v := r.item(r.defined(a.need(0, "container")), in)
	more, ok := a.get(1, "morekeys")
	if !ok || more == nil {
		return v
	}
	keys := []any{more}
	if l, isList := more.(*List); isList {
		keys = r.items(l)
	}
	for _, k := range keys {
		v = r.item(v, k)
	}
	return v
}

func subelementsFilter(r *run, in any, a *args) any {
	path := a.need(0, "subelements")
	skip := a.boolean(1, "skip_missing", false)
	items := r.items(in)
	if _, isDict := in.(*Dict); isDict {
		items = r.items(dictMethods["values"](r, r.mapping(in), a))
	}
	out := &List{}
	for _, item := range items {
		inner := r.attributePath(item, path)
		if _, undefined := inner.(*Undefined); undefined && skip {
			continue
		}
		for _, sub := range r.items(r.defined(inner)) {
			r.alloc(64)
			out.Items = append(out.Items, &List{Tuple: true, Items: []any{item, sub}})
		}
	}
	return out
}

func versionSort(r *run, in any, a *args) any {
	out := slices.Clone(r.items(in))
	reverse := a.boolean(0, "reverse", false)
	slices.SortStableFunc(out, func(x, y any) int {
		r.spend(1)
		c := looseCompare(r.wantText(x), r.wantText(y))
		if reverse {
			return -c
		}
		return c
	})
	return NewList(out...)
}
