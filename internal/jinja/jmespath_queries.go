package jinja

// project asks each element, and leaves out what is not there.
func project(list func(*run, any) any, each pathQuery) pathQuery {
	return func(r *run, v any) any {
		l, ok := list(r, v).(*List)
		if !ok {
			return nil
		}
		out := &List{}
		for _, item := range r.items(l) {
			if x := r.reveal(each(r, item)); x != nil {
				r.alloc(16)
				out.Items = append(out.Items, x)
			}
		}
		return out
	}
}

func elements(r *run, v any) any {
	if l, ok := r.reveal(v).(*List); ok {
		return l
	}
	return nil
}

func values(r *run, v any) any {
	switch v := r.reveal(v).(type) {
	case *Dict, Mapping:
		d := r.mapping(v)
		out := &List{}
		for _, k := range d.keys {
			r.alloc(16)
			out.Items = append(out.Items, d.values[slot(k)])
		}
		return out
	}
	return nil
}

// flattened opens lists in a list, one level deep.
func flattened(r *run, v any) any {
	l, ok := r.reveal(v).(*List)
	if !ok {
		return nil
	}
	out := &List{}
	for _, item := range r.items(l) {
		if inner, ok := item.(*List); ok {
			r.alloc(16 * len(inner.Items))
			out.Items = append(out.Items, inner.Items...)
		} else {
			r.alloc(16)
			out.Items = append(out.Items, item)
		}
	}
	return out
}

func field(name string) pathQuery {
	return func(r *run, v any) any {
		r.spend(1)
		switch v := r.reveal(v).(type) {
		case *Dict:
			x, _ := v.Get(name)
			return r.reveal(x)
		case Mapping:
			x, _ := r.computed(v, name)
			return x
		}
		return nil
	}
}

// pathTruth is JMESPath's: numbers are true, nothing and what is empty is false.
func (r *run) pathTruth(v any) bool {
	switch v := r.reveal(v).(type) {
	case int, float64:
		return true
	default:
		return r.truth(v)
	}
}

// pathCompare is equality of anything, and order of numbers or of texts; any other order is nil.
func (r *run) pathCompare(op string, x, y any) any {
	x, y = r.reveal(x), r.reveal(y)
	_, xBool := x.(bool)
	_, yBool := y.(bool)
	if op == "==" || op == "!=" {
		return (xBool == yBool && r.equal(x, y)) == (op == "==")
	}
	_, xNumber := numeric(x)
	_, yNumber := numeric(y)
	_, xText := x.(string)
	_, yText := y.(string)
	if xBool || yBool || (!xNumber || !yNumber) && (!xText || !yText) {
		return nil
	}
	return r.holds(op, x, y)
}
