package jinja

// output runs a body and returns what it writes, piece by piece: a lone piece may keep its type.
func (r *run) output(body []any) []any {
	r.push()
	defer r.pop()
	var parts []any
	r.exec(body, &parts)
	return parts
}

func (r *run) push() { r.scopes = append(r.scopes, map[string]any{}) }
func (r *run) pop()  { r.scopes = r.scopes[:len(r.scopes)-1] }

func (r *run) exec(body []any, out *[]any) {
	defer r.deeper()()
	for _, s := range body {
		r.spend(1)
		switch s := s.(type) {
		case *dataStatement:
			r.write(out, s.text)
		case *emitStatement:
			v := r.eval(s.x)
			r.pos = s.x.at()
			if _, omitted := v.(Omit); !omitted {
				r.defined(v)
			}
			r.write(out, v)
		case *setStatement:
			r.assignment(s)
		case *ifStatement:
			r.branch(s, out)
		case *forStatement:
			r.loop(s, out)
		case *withStatement:
			r.with(s, out)
		case *filterStatement:
			r.write(out, r.filtered(s.filters, s.body))
		}
	}
}

func (r *run) write(out *[]any, v any) {
	r.alloc(16)
	*out = append(*out, v)
}

// filtered is a body's text through filters.
func (r *run) filtered(filters []*filterNode, body []any) any {
	var v any = r.join(r.output(body))
	for _, f := range filters {
		v = r.filter(f, v)
		r.pos = f.at()
	}
	return r.defined(v)
}

func (r *run) assignment(s *setStatement) {
	if s.x == nil {
		r.assign(s.targets, r.filtered(s.filters, s.body))
		return
	}
	v := r.eval(s.x)
	r.pos = s.at()
	r.assign(s.targets, v)
}

// assign gives a value to a target in the innermost scope. An undefined value may be assigned, and fails when it is
// used.
func (r *run) assign(t target, v any) {
	switch {
	case t.several != nil:
		items := r.items(r.defined(v))
		if len(items) != len(t.several) {
			r.errorf("%d values cannot be assigned to %d names", len(items), len(t.several))
		}
		for i, one := range t.several {
			r.assign(one, items[i])
		}
	case t.attribute != "":
		ns, ok := r.name(t.name).(*namespace)
		if !ok {
			r.errorf("only attributes of a namespace can be set, and %q is none", t.name)
		}
		ns.dict.Set(t.attribute, v)
	default:
		r.scopes[len(r.scopes)-1][t.name] = v
	}
}

func (r *run) branch(s *ifStatement, out *[]any) {
	for i, test := range s.tests {
		if r.truth(r.value(test)) {
			r.exec(s.bodies[i], out)
			return
		}
	}
	r.exec(s.other, out)
}

func (r *run) with(s *withStatement, out *[]any) {
	values := make([]any, len(s.values))
	for i, v := range s.values {
		values[i] = r.eval(v)
	}
	r.push()
	defer r.pop()
	for i, t := range s.targets {
		r.assign(t, values[i])
	}
	r.exec(s.body, out)
}

func (r *run) loop(s *forStatement, out *[]any) {
	x := r.value(s.x)
	r.pos = s.at()
	items := r.items(x)
	if s.filter != nil {
		items = r.filterLoop(s, items)
	}
	if len(items) == 0 {
		r.exec(s.other, out)
		return
	}
	for i, item := range items {
		r.spend(10) // the loop variable
		r.push()
		r.assign(s.targets, item)
		r.scopes[len(r.scopes)-1]["loop"] = r.loopState(items, i)
		r.exec(s.body, out)
		r.pop()
	}
}

func (r *run) filterLoop(s *forStatement, items []any) []any {
	var kept []any
	for _, item := range items {
		r.push()
		r.assign(s.targets, item)
		if r.truth(r.value(s.filter)) {
			kept = append(kept, item)
		}
		r.pop()
	}
	return kept
}

func (r *run) loopState(items []any, i int) *Dict {
	d := NewDict()
	n := len(items)
	d.Set("index", i+1)
	d.Set("index0", i)
	d.Set("revindex", n-i)
	d.Set("revindex0", n-i-1)
	d.Set("first", i == 0)
	d.Set("last", i == n-1)
	d.Set("length", n)
	d.Set("depth", 1)
	d.Set("depth0", 0)
	if i > 0 {
		d.Set("previtem", items[i-1])
	}
	if i < n-1 {
		d.Set("nextitem", items[i+1])
	}
	d.Set("cycle", &Callable{Name: "cycle", call: func(r *run, a *args) any {
		choices := a.rest(0)
		if len(choices) == 0 {
			r.errorf("cycle: no values")
		}
		return choices[i%len(choices)]
	}})
	return d
}
