package jinja

// mapFilter is map('filter', args...) and map(attribute='a.b', default=x). Undefined elements go through: a default may
// follow.
func mapFilter(r *run, in any, a *args) any {
	items := r.items(in)
	out := &List{Items: make([]any, 0, len(items))}
	if attribute, ok := a.get(-1, "attribute"); ok {
		fallback, hasDefault := a.get(-1, "default")
		for _, item := range items {
			v := r.attributePath(item, attribute)
			if _, undefined := v.(*Undefined); undefined && hasDefault {
				v = fallback
			}
			out.Items = append(out.Items, v)
		}
		return out
	}
	name := r.wantText(a.need(0, "filter"))
	rest := a.rest(1)
	named := a.named
	a.named = NewDict()
	for _, item := range items {
		out.Items = append(out.Items, r.applyFilter(name, item, &args{r: r, of: name, positional: rest, named: named.Copy()}))
	}
	return out
}

// selectFilter is select, reject, selectattr and rejectattr.
func selectFilter(r *run, name string, in any, a *args) any {
	wanted := name == "select" || name == "selectattr"
	byAttribute := name == "selectattr" || name == "rejectattr"
	first := 0
	var attribute any
	if byAttribute {
		attribute = a.need(0, "attribute")
		first = 1
	}
	test := ""
	if v, ok := a.get(first, ""); ok {
		test = r.wantText(v)
	}
	rest := a.rest(first + 1)
	named := a.named
	a.named = NewDict()
	out := &List{}
	for _, raw := range r.rawItems(in) {
		item := r.reveal(raw)
		probe := item
		if byAttribute {
			probe = r.attributePath(item, attribute)
		}
		holds := false
		if test == "" {
			holds = r.truth(r.defined(probe))
		} else {
			holds = r.applyTest(test, probe, &args{r: r, of: test, positional: rest, named: named.Copy()})
		}
		if holds == wanted {
			r.alloc(16)
			out.Items = append(out.Items, raw)
		}
	}
	return out
}
