package jinja

import "errors"

// reveal looks at a value: what is lazy is computed, and what is secret makes this run secret.
func (r *run) reveal(v any) any {
	for {
		l, ok := v.(*Lazy)
		if !ok {
			return v
		}
		r.spend(1)
		value, secret, err := l.Force()
		r.secret = r.secret || secret
		if undefined := (*UndefinedError)(nil); errors.As(err, &undefined) {
			return &Undefined{Err: err}
		}
		if err != nil {
			r.fail(r.pos, err)
		}
		v = value
	}
}

// defined insists that a value is more than a name. The lenient kind of undefined passes: who cannot use it calls
// solid.
func (r *run) defined(v any) any {
	switch v := v.(type) {
	case *Undefined:
		if !v.Blank {
			r.fail(r.pos, v.failure())
		}
	case Omit:
		r.errorf("omit may only be a whole value or the argument of default()")
	}
	return v
}

// solid insists on a value that has a type.
func (r *run) solid(v any) any {
	if u, ok := r.defined(v).(*Undefined); ok {
		r.fail(r.pos, u.failure())
	}
	return v
}

func isBlank(v any) bool {
	u, ok := v.(*Undefined)
	return ok && u.Blank
}

func (u *Undefined) failure() error {
	if u.Err == nil {
		return &UndefinedError{Name: u.Name}
	}
	if u.Name == "" {
		return u.Err
	}
	return &UndefinedError{Name: u.Name, Err: u.Err}
}

// value evaluates to something that is defined.
func (r *run) value(n node) any {
	v := r.eval(n)
	r.pos = n.at()
	return r.defined(v)
}

// eval evaluates an expression. The result is revealed, but may be *Undefined.
func (r *run) eval(n node) any {
	defer r.deeper()()
	r.spend(1)
	r.pos = n.at()
	v := r.evalNode(n)
	switch n := n.(type) {
	case *condNode: // as its branch said
	case *filterNode:
		r.staysText = keepsText(n.name)
	default:
		r.staysText = false
	}
	return v
}

func (r *run) evalNode(n node) any {
	switch n := n.(type) {
	case *literal:
		return n.value
	case *nameNode:
		return r.name(n.name)
	case *listNode:
		return r.list(n)
	case *dictNode:
		return r.dict(n)
	case *unaryNode:
		return r.unary(n)
	case *binaryNode:
		return r.binary(n)
	case *compareNode:
		return r.compare(n)
	case *condNode:
		return r.cond(n)
	case *attrNode:
		x := r.eval(n.x)
		r.pos = n.at()
		return r.attribute(x, n.name)
	case *itemNode:
		x := r.eval(n.x)
		key := r.value(n.key)
		r.pos = n.at()
		return r.item(x, key)
	case *sliceNode:
		return r.slice(n)
	case *callNode:
		return r.call(n)
	case *filterNode:
		return r.filter(n, r.eval(n.x))
	case *testNode:
		return r.test(n)
	}
	r.errorf("unknown expression %T", n)
	return nil
}

// name finds a name: the template's own, then variables, then functions.
func (r *run) name(name string) any {
	for i := len(r.scopes) - 1; i >= 0; i-- {
		if v, ok := r.scopes[i][name]; ok {
			return r.reveal(v)
		}
	}
	if r.vars != nil {
		if v, ok := r.vars.Get(name); ok {
			return r.variable(name, v)
		}
	}
	if v, ok := r.global(name); ok {
		return v
	}
	return &Undefined{Name: name}
}

// variable is the value of a variable as a template gets it. With text types, the whole of it is evaluated at once.
func (r *run) variable(name string, v any) any {
	v = r.reveal(v)
	if u, ok := v.(*Undefined); ok {
		return &Undefined{Name: name, Err: u.Err}
	}
	if r.box.Types == Text {
		if u := r.undefinedWithin(v); u != nil {
			return &Undefined{Name: name, Err: u.failure()}
		}
	}
	if r.mutates {
		return r.copyDeep(v)
	}
	return v
}

// undefinedWithin looks at every value inside.
func (r *run) undefinedWithin(v any) *Undefined {
	defer r.deeper()()
	r.spend(1)
	switch v := v.(type) {
	case *Undefined:
		return v
	case *List:
		for _, item := range v.Items {
			if u := r.undefinedWithin(r.hush(item)); u != nil {
				return u
			}
		}
	case *Dict:
		for _, k := range v.keys {
			if u := r.undefinedWithin(r.hush(v.values[slot(k)])); u != nil {
				return u
			}
		}
	}
	return nil
}

// hush computes a value without becoming secret by it: it is not used yet.
func (r *run) hush(v any) any {
	was := r.secret
	v = r.reveal(v)
	r.secret = was
	return v
}

// copyDeep copies what a template may change in place.
func (r *run) copyDeep(v any) any {
	defer r.deeper()()
	r.spend(1)
	switch v := v.(type) {
	case *List:
		out := &List{Tuple: v.Tuple, Items: make([]any, len(v.Items))}
		r.alloc(16 * len(v.Items))
		for i, item := range v.Items {
			out.Items[i] = r.copyDeep(item)
		}
		return out
	case *Dict:
		out := NewDict()
		r.alloc(48 * v.Len())
		for _, k := range v.keys {
			out.Set(k, r.copyDeep(v.values[slot(k)]))
		}
		return out
	case *Lazy:
		// A secret one stays hidden, and what is undefined stays so until it is used.
		value := r.hush(v)
		if _, undefined := value.(*Undefined); undefined {
			return v
		}
		if v.secret {
			return Secret(r.copyDeep(value))
		}
		return r.copyDeep(value)
	}
	return v
}

func (r *run) list(n *listNode) any {
	out := &List{Tuple: n.tuple, Items: make([]any, 0, len(n.items))}
	r.alloc(16 * len(n.items))
	for _, item := range n.items {
		out.Items = append(out.Items, r.eval(item))
	}
	return out
}

func (r *run) dict(n *dictNode) any {
	out := NewDict()
	r.alloc(48 * len(n.keys))
	for i, k := range n.keys {
		key := r.value(k)
		r.pos = k.at()
		r.set(out, key, r.eval(n.values[i]))
	}
	return out
}

// set puts a value into a dict, when the key can be one.
func (r *run) set(d *Dict, key, value any) {
	if !Hashable(key) {
		r.errorf("%s cannot be a key", kind(key))
	}
	r.spend(1)
	d.Set(key, value)
}

func (r *run) cond(n *condNode) any {
	if r.truth(r.value(n.test)) {
		return r.eval(n.then)
	}
	if n.other != nil {
		return r.eval(n.other)
	}
	return &Undefined{Blank: true, Err: &UndefinedError{Name: "the value of an if without else"}}
}

func (r *run) call(n *callNode) any {
	fn := r.value(n.fn)
	a := r.arguments(n.args)
	r.pos = n.at()
	f, ok := fn.(*Callable)
	if !ok {
		r.errorf("%s cannot be called", kind(fn))
	}
	a.of = f.Name
	return r.reveal(f.call(r, a))
}

// arguments evaluates arguments. They may be undefined: default() and lookups care.
func (r *run) arguments(n argNodes) *args {
	a := &args{r: r, named: NewDict()}
	for _, p := range n.positional {
		a.positional = append(a.positional, r.eval(p))
	}
	if n.star != nil {
		a.positional = append(a.positional, r.items(r.value(n.star))...)
	}
	for i, name := range n.names {
		a.named.Set(name, r.eval(n.named[i]))
	}
	if n.starStar != nil {
		d := r.mapping(r.value(n.starStar))
		for _, k := range d.keys {
			a.named.Set(k, r.reveal(d.values[slot(k)]))
		}
	}
	return a
}

func (r *run) filter(n *filterNode, in any) any {
	a := r.arguments(n.args)
	a.of = n.name
	r.pos = n.at()
	return r.applyFilter(n.name, in, a)
}

// applyFilter calls a filter by name, also for map().
func (r *run) applyFilter(name string, in any, a *args) any {
	r.spend(1)
	f, ok := filterNamed(name)
	if !ok {
		r.errorf("the filter %q is not supported here", name)
	}
	if !f.undefined {
		r.defined(in)
	}
	out := r.reveal(f.call(r, in, a))
	a.done()
	return out
}

func (r *run) test(n *testNode) any {
	in := r.eval(n.x)
	a := r.arguments(n.args)
	a.of = n.name
	r.pos = n.at()
	return r.applyTest(n.name, in, a) != n.not
}

// applyTest calls a test by name, also for select().
func (r *run) applyTest(name string, in any, a *args) bool {
	r.spend(1)
	t, ok := testNamed(name)
	if !ok {
		r.errorf("the test %q is not supported here", name)
	}
	if !t.undefined {
		r.defined(in)
	}
	out := t.call(r, in, a)
	a.done()
	return out
}
