package jinja

type listMethod func(r *run, l *List, a *args) any

var listMethods = map[string]listMethod{
	"index": func(r *run, l *List, a *args) any {
		x := a.need(0, "value")
		for i, item := range l.Items {
			if r.equal(r.reveal(item), x) {
				return i
			}
		}
		r.errorf("index: the value is not in the list")
		return nil
	},
	"count": func(r *run, l *List, a *args) any {
		x, n := a.need(0, "value"), 0
		for _, item := range l.Items {
			if r.equal(r.reveal(item), x) {
				n++
			}
		}
		return n
	},
	"copy": func(r *run, l *List, _ *args) any {
		r.alloc(16 * len(l.Items))
		return NewList(append([]any(nil), l.Items...)...)
	},
	"append": func(r *run, l *List, a *args) any {
		l.change(r)
		l.Items = append(l.Items, a.need(0, "value"))
		r.alloc(16)
		return nil
	},
	"extend": func(r *run, l *List, a *args) any {
		l.change(r)
		more := r.rawItems(a.need(0, "values"))
		r.alloc(16 * len(more))
		l.Items = append(l.Items, more...)
		return nil
	},
	"insert": func(r *run, l *List, a *args) any {
		l.change(r)
		i := a.integer(0, "index", 0)
		if i < 0 {
			i = max(i+len(l.Items), 0)
		}
		i = min(i, len(l.Items))
		r.alloc(16)
		r.spend(len(l.Items))
		l.Items = append(l.Items[:i:i], append([]any{a.need(1, "value")}, l.Items[i:]...)...)
		return nil
	},
	"pop": func(r *run, l *List, a *args) any {
		l.change(r)
		i := a.integer(0, "index", -1)
		if i < 0 {
			i += len(l.Items)
		}
		if i < 0 || i >= len(l.Items) {
			r.errorf("pop: there is no such element")
		}
		x := l.Items[i]
		r.spend(len(l.Items))
		l.Items = append(l.Items[:i:i], l.Items[i+1:]...)
		return x
	},
	"remove": func(r *run, l *List, a *args) any {
		l.change(r)
		x := a.need(0, "value")
		for i, item := range l.Items {
			if r.equal(r.reveal(item), x) {
				l.Items = append(l.Items[:i:i], l.Items[i+1:]...)
				return nil
			}
		}
		r.errorf("remove: the value is not in the list")
		return nil
	},
	"reverse": func(r *run, l *List, _ *args) any {
		l.change(r)
		l.Items = reversed(l.Items)
		return nil
	},
	"sort": func(r *run, l *List, a *args) any {
		l.change(r)
		l.Items = r.sorted(r.items(l), a.boolean(-1, "reverse", false), func(v any) any { return v })
		return nil
	},
	"clear": func(r *run, l *List, _ *args) any {
		l.change(r)
		l.Items = nil
		return nil
	},
}

// change insists that the list is not a tuple.
func (l *List) change(r *run) {
	if l.Tuple {
		r.errorf("a tuple cannot be changed")
	}
}

type dictMethod func(r *run, d *Dict, a *args) any

var dictMethods = map[string]dictMethod{
	"items": func(r *run, d *Dict, _ *args) any {
		out := &List{}
		r.spend(d.Len())
		r.alloc(64 * d.Len())
		for _, k := range d.keys {
			out.Items = append(out.Items, &List{Tuple: true, Items: []any{k, d.values[slot(k)]}})
		}
		return out
	},
	"keys": func(r *run, d *Dict, _ *args) any {
		r.alloc(16 * d.Len())
		return NewList(append([]any(nil), d.keys...)...)
	},
	"values": func(r *run, d *Dict, _ *args) any {
		out := &List{}
		r.alloc(16 * d.Len())
		for _, k := range d.keys {
			out.Items = append(out.Items, d.values[slot(k)])
		}
		return out
	},
	"get": func(r *run, d *Dict, a *args) any {
		key := a.need(0, "key")
		fallback, _ := a.get(1, "default")
		if v, ok := d.Get(key); ok {
			return v
		}
		return fallback
	},
	"copy": func(r *run, d *Dict, _ *args) any {
		r.alloc(48 * d.Len())
		return d.Copy()
	},
	"update": func(r *run, d *Dict, a *args) any {
		if v, ok := a.get(0, ""); ok {
			r.update(d, v)
		}
		r.update(d, a.named)
		a.named = NewDict()
		return nil
	},
	"setdefault": func(r *run, d *Dict, a *args) any {
		key := a.need(0, "key")
		fallback, _ := a.get(1, "default")
		if v, ok := d.Get(key); ok {
			return v
		}
		r.alloc(48)
		r.set(d, key, fallback)
		return fallback
	},
	"pop": func(r *run, d *Dict, a *args) any {
		key := a.need(0, "key")
		fallback, given := a.get(1, "default")
		v, ok := d.Get(key)
		switch {
		case ok:
			d.Delete(key)
			r.spend(d.Len())
			return v
		case given:
			return fallback
		}
		r.errorf("pop: there is no such key")
		return nil
	},
	"clear": func(r *run, d *Dict, _ *args) any {
		*d = *NewDict()
		return nil
	},
}

// update puts the pairs of a mapping, or of a list of pairs, into a dict. Values are passed on without looking.
func (r *run) update(d *Dict, from any) {
	if l, ok := r.defined(from).(*List); ok {
		for _, item := range r.items(l) {
			pair := r.rawItems(item)
			if len(pair) != 2 {
				r.errorf("expected pairs of key and value")
			}
			r.set(d, r.reveal(pair[0]), pair[1])
		}
		return
	}
	m := r.mapping(from)
	r.alloc(48 * m.Len())
	for _, k := range m.keys {
		r.set(d, k, m.values[slot(k)])
	}
}

func reversed(items []any) []any {
	out := make([]any, len(items))
	for i, item := range items {
		out[len(items)-1-i] = item
	}
	return out
}
