package jinja

// attribute is x.name: a method first, then a key; Jinja2's order. What is undefined stays undefined, for default().
func (r *run) attribute(x any, name string) any {
	switch v := x.(type) {
	case *Undefined:
		if v.Blank {
			r.solid(v)
		}
		return v
	case *namespace:
		if value, ok := v.dict.Get(name); ok {
			return value
		}
	case Mapping:
		if value, ok := r.computed(v, name); ok {
			return value
		}
	}
	if m, ok := r.method(x, name); ok {
		return m
	}
	if d, ok := x.(*Dict); ok {
		if value, ok := d.Get(name); ok {
			return r.reveal(value)
		}
	}
	return &Undefined{Name: name, Err: nil}
}

// item is x[key]: a key or a place first, then a method.
func (r *run) item(x, key any) any {
	switch v := x.(type) {
	case *Undefined:
		if v.Blank {
			r.solid(v)
		}
		return v
	case *Dict:
		if value, ok := v.Get(key); ok {
			return r.reveal(value)
		}
	case *List:
		if i, ok := whole(key); ok {
			if i < 0 {
				i += len(v.Items)
			}
			if i < 0 || i >= len(v.Items) {
				return &Undefined{Name: "an element of the list"}
			}
			return r.reveal(v.Items[i])
		}
	case string:
		if i, ok := whole(key); ok {
			return r.character(v, i)
		}
	}
	name, ok := key.(string)
	if !ok {
		return &Undefined{Name: "a key of " + string(kind(x))}
	}
	if u, ok := r.attribute(x, name).(*Undefined); ok && r.secret {
		return &Undefined{Name: r.shown(u.Name), Err: u.Err}
	}
	return r.attribute(x, name)
}

// computed reads a key of a mapping that is computed.
func (r *run) computed(m Mapping, name string) (any, bool) {
	value, ok := m.Get(name)
	if !ok {
		return nil, false
	}
	value = r.reveal(value)
	if u, undefined := value.(*Undefined); undefined && u.Name == "" {
		return &Undefined{Name: name, Err: u.Err}, true
	}
	return value, true
}

func (r *run) character(s string, i int) any {
	runes := []rune(s)
	r.spend(len(runes) / 16)
	if i < 0 {
		i += len(runes)
	}
	if i < 0 || i >= len(runes) {
		return &Undefined{Name: "a character of the string"}
	}
	return string(runes[i])
}

// slice is x[from:to:step].
func (r *run) slice(n *sliceNode) any {
	x := r.value(n.x)
	bound := func(n node) *int {
		if n == nil {
			return nil
		}
		v := r.value(n)
		if v == nil {
			return nil
		}
		i, ok := whole(v)
		if !ok {
			r.errorf("a slice needs integers, not %s", kind(v))
		}
		return &i
	}
	from, to, step := bound(n.from), bound(n.to), bound(n.step)
	r.pos = n.at()
	switch v := x.(type) {
	case string:
		runes := []rune(v)
		var out []rune
		for _, i := range r.indexes(len(runes), from, to, step) {
			out = append(out, runes[i])
		}
		r.alloc(len(v))
		return string(out)
	case *List:
		out := &List{Tuple: v.Tuple}
		for _, i := range r.indexes(len(v.Items), from, to, step) {
			out.Items = append(out.Items, v.Items[i])
		}
		r.alloc(16 * len(out.Items))
		return out
	}
	r.errorf("%s cannot be sliced", kind(x))
	return nil
}

// indexes are the places a slice takes, by Python's rules.
func (r *run) indexes(n int, from, to, step *int) []int {
	by := 1
	if step != nil {
		by = *step
	}
	if by == 0 {
		r.errorf("a slice's step cannot be zero")
	}
	low, high := 0, n // what bounds are cut to
	if by < 0 {
		low, high = -1, n-1
	}
	cut := func(p *int, fallback int) int {
		if p == nil {
			return fallback
		}
		i := *p
		if i < 0 {
			i += n
		}
		return min(max(i, low), high)
	}
	start, end := cut(from, low), cut(to, high)
	if by < 0 {
		start, end = cut(from, high), cut(to, low)
	}
	var out []int
	for i := start; by > 0 && i < end || by < 0 && i > end; i += by {
		r.spend(1)
		out = append(out, i)
		if by > n || by < -n {
			break
		}
	}
	return out
}

// global finds what templates may call without anyone giving it.
func (r *run) global(name string) (any, bool) {
	switch name {
	case "omit":
		return Omit{}, true
	case "range":
		return &Callable{Name: name, call: rangeCall}, true
	case "dict":
		return &Callable{Name: name, call: func(r *run, a *args) any {
			out := NewDict()
			for _, p := range a.rest(0) {
				r.update(out, p)
			}
			for _, k := range a.named.keys {
				out.Set(k, a.named.values[slot(k)])
			}
			return out
		}}, true
	case "namespace":
		return &Callable{Name: name, call: func(r *run, a *args) any {
			out := NewDict()
			for _, p := range a.rest(0) {
				r.update(out, p)
			}
			r.update(out, a.named)
			return &namespace{out}
		}}, true
	case "lookup", "query", "q":
		return &Callable{Name: name, call: func(r *run, a *args) any { return r.lookup(name != "lookup", a) }}, true
	case "undef":
		return &Callable{Name: name, call: func(r *run, a *args) any {
			return &Undefined{Err: &UndefinedError{Name: r.shown(a.text(0, "hint", "undef()"))}}
		}}, true
	case "vars":
		if all, ok := r.vars.(Mapping); ok {
			return all, true
		}
	}
	return nil, false
}

func rangeCall(r *run, a *args) any {
	from, to, step := 0, 0, 1
	switch len(a.positional) {
	case 1:
		to = a.integer(0, "stop", 0)
	case 2, 3:
		from, to, step = a.integer(0, "start", 0), a.integer(1, "stop", 0), a.integer(2, "step", 1)
	default:
		r.errorf("range needs one to three integers")
	}
	if step == 0 {
		r.errorf("range: the step cannot be zero")
	}
	out := &List{}
	for i := from; step > 0 && i < to || step < 0 && i > to; {
		r.spend(1)
		r.alloc(16)
		out.Items = append(out.Items, i)
		next := i + step
		if (next > i) != (step > 0) {
			break // past the largest number
		}
		i = next
	}
	return out
}
