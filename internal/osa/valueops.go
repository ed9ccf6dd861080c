package osa

import (
	"math/big"
)

// Equal compares as Python does: order of keys does not matter, and true, 1 and 1.0 are the same.
func Equal(a, b Value) bool {
	switch x := a.(type) {
	case *Map:
		y, ok := b.(*Map)
		if !ok || x.Len() != y.Len() {
			return false
		}
		if x == y {
			return true
		}
		for _, e := range x.Entries() {
			v, ok := y.Lookup(e.Key)
			if !ok || !Equal(e.Value, v) {
				return false
			}
		}
		return true
	case *List:
		y, ok := b.(*List)
		if !ok || x.Len() != y.Len() {
			return false
		}
		for i := range x.Items() {
			if !Equal(x.items[i], y.items[i]) {
				return false
			}
		}
		return true
	case *Tagged:
		y, ok := b.(*Tagged)
		return ok && x.Tag == y.Tag && Equal(x.Value, y.Value)
	case *big.Int:
		y, ok := b.(*big.Int)
		return ok && x.Cmp(y) == 0
	}
	switch b.(type) {
	case *Map, *List, *Tagged, *big.Int:
		return false
	}
	return sameKey(a) == sameKey(b)
}

// Truth is what Python's "if v" makes of a value.
func Truth(v Value) bool {
	switch x := v.(type) {
	case nil:
		return false
	case bool:
		return x
	case int64:
		return x != 0
	case *big.Int:
		return x.Sign() != 0
	case float64:
		return x != 0
	case string:
		return x != ""
	case *List:
		return x.Len() > 0
	case *Map:
		return x.Len() > 0
	}
	return true
}

// Clone copies a value deeply. What was shared inside the value is shared inside the copy.
func Clone(v Value) Value { return clone(v, map[any]Value{}) }

func clone(v Value, seen map[any]Value) Value {
	switch x := v.(type) {
	case *Map:
		if done, ok := seen[x]; ok {
			return done
		}
		out := x.Copy()
		seen[x] = out
		for i := range out.entries {
			out.entries[i].Value = clone(out.entries[i].Value, seen)
		}
		return out
	case *List:
		if done, ok := seen[x]; ok {
			return done
		}
		out := &List{Pos: x.Pos, items: make([]Value, len(x.items)), pos: x.pos[:len(x.pos):len(x.pos)]}
		seen[x] = out
		for i := range x.items {
			out.items[i] = clone(x.items[i], seen)
		}
		return out
	}
	return v
}

// kind names a value's type for messages.
func kind(v Value) string {
	switch x := v.(type) {
	case nil:
		return "empty"
	case bool:
		return "a boolean"
	case int64, *big.Int:
		return "an integer"
	case float64:
		return "a number"
	case string:
		return "a string"
	case *List:
		return "a list"
	case *Map:
		return "a mapping"
	case Opaque:
		return "a value of type " + x.Tag
	case *Tagged:
		return "a value with the tag " + x.Tag
	}
	return "an unknown value"
}
