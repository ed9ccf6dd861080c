package jinja

import (
	"strings"
	"unicode/utf8"
)

func (r *run) compare(n *compareNode) any {
	left := r.eval(n.first) // what is undefined is in no empty list
	for i, op := range n.ops {
		right := r.value(n.rest[i])
		r.pos = n.at()
		if !r.holds(op, left, right) {
			return false
		}
		left = right
	}
	return true
}

func (r *run) holds(op string, x, y any) bool {
	switch op {
	case "==":
		return r.equal(x, y)
	case "!=":
		return !r.equal(x, y)
	case "in":
		return r.contains(y, x)
	case "not in":
		return !r.contains(y, x)
	}
	c := r.order(x, y)
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}

// contains is "x in container".
func (r *run) contains(container, x any) bool {
	if _, isList := container.(*List); !isList {
		r.defined(x)
	}
	switch c := container.(type) {
	case string:
		part, ok := x.(string)
		if !ok {
			r.errorf("%s cannot be in a string", kind(x))
		}
		r.spend(1 + len(c)/64)
		return strings.Contains(c, part)
	case *Dict:
		_, ok := c.Get(x)
		return ok
	case Mapping:
		key, ok := x.(string)
		if !ok {
			return false
		}
		v, ok := c.Get(key)
		_, undefined := r.hush(v).(*Undefined)
		return ok && !undefined
	case *List:
		for _, item := range c.Items {
			if r.equal(r.reveal(item), x) {
				return true
			}
		}
		return false
	}
	if isBlank(container) {
		return false
	}
	r.errorf("%s cannot be iterated", kind(container))
	return false
}

// equal is Python's ==, which never fails but on undefined values.
func (r *run) equal(x, y any) bool {
	defer r.deeper()()
	r.spend(1)
	r.defined(x)
	r.defined(y)
	switch a := x.(type) {
	case *Undefined:
		return isBlank(y)
	case string:
		b, ok := y.(string)
		return ok && a == b
	case *List:
		b, ok := y.(*List)
		if !ok || a.Tuple != b.Tuple || len(a.Items) != len(b.Items) {
			return false
		}
		for i := range a.Items {
			if !r.equal(r.reveal(a.Items[i]), r.reveal(b.Items[i])) {
				return false
			}
		}
		return true
	case *Dict:
		b, ok := y.(*Dict)
		return ok && r.equalDicts(a, b)
	case nil:
		return y == nil
	}
	a, ok := whole(x)
	b, ok2 := whole(y)
	if ok && ok2 {
		return a == b
	}
	f, ok := numeric(x)
	g, ok2 := numeric(y)
	return ok && ok2 && f == g
}

func (r *run) equalDicts(a, b *Dict) bool {
	if a.Len() != b.Len() {
		return false
	}
	for _, k := range a.keys {
		v, ok := b.Get(k)
		if !ok || !r.equal(r.reveal(a.values[slot(k)]), r.reveal(v)) {
			return false
		}
	}
	return true
}

// order compares what has an order: numbers, strings, and lists of them.
func (r *run) order(x, y any) int {
	defer r.deeper()()
	r.spend(1)
	r.solid(x)
	r.solid(y)
	switch a := x.(type) {
	case string:
		if b, ok := y.(string); ok {
			return strings.Compare(a, b)
		}
	case *List:
		if b, ok := y.(*List); ok && a.Tuple == b.Tuple {
			return r.orderLists(a.Items, b.Items)
		}
	}
	a, ok := whole(x)
	b, ok2 := whole(y)
	if ok && ok2 {
		return compareOrdered(a, b)
	}
	f, ok := numeric(x)
	g, ok2 := numeric(y)
	if !ok || !ok2 {
		r.errorf("%s and %s cannot be compared", kind(x), kind(y))
	}
	return compareOrdered(f, g)
}

func compareOrdered[T int | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (r *run) orderLists(a, b []any) int {
	for i := range min(len(a), len(b)) {
		x, y := r.reveal(a[i]), r.reveal(b[i])
		if !r.equal(x, y) {
			return r.order(x, y)
		}
	}
	return compareOrdered(len(a), len(b))
}

// length is len().
func (r *run) length(v any) int {
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v)
	case *List:
		return len(v.Items)
	case *Dict:
		return v.Len()
	case Mapping:
		return len(v.Keys())
	}
	if isBlank(r.defined(v)) {
		return 0
	}
	r.errorf("%s has no length", kind(v))
	return 0
}
