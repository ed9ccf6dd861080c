package jinja

import (
	"errors"
	"math"
)

// Values are what Python's are after YAML and Jinja2 have seen them: nil, bool, int, float64, string, *List, *Dict, and
// the types of this file. Nothing else goes in or comes out.

// Dict is Python's dict: it remembers the order of its keys, which is visible in loops, items() and text.
type Dict struct {
	keys   []any
	values map[any]any
}

// NewDict returns an empty dict.
func NewDict() *Dict { return &Dict{values: map[any]any{}} }

// slot is the key as Python compares it: True is 1 is 1.0.
func slot(key any) any {
	switch k := key.(type) {
	case bool:
		if k {
			return 1
		}
		return 0
	case float64:
		if k == math.Trunc(k) && math.Abs(k) < 1<<53 {
			return int(k)
		}
	}
	return key
}

// Hashable says whether a value may be a key.
func Hashable(key any) bool {
	switch key.(type) {
	case nil, bool, int, float64, string:
		return true
	}
	return false
}

// Get returns the value under a key, as it is kept: it may be *Lazy.
func (d *Dict) Get(key any) (any, bool) {
	if !Hashable(key) {
		return nil, false
	}
	v, ok := d.values[slot(key)]
	return v, ok
}

// Set puts a value under a key, which must be Hashable. A key that is there keeps its place.
func (d *Dict) Set(key, value any) {
	s := slot(key)
	if _, ok := d.values[s]; !ok {
		d.keys = append(d.keys, key)
	}
	d.values[s] = value
}

// Delete takes a key out.
func (d *Dict) Delete(key any) {
	s := slot(key)
	if _, ok := d.values[s]; !ok {
		return
	}
	delete(d.values, s)
	for i, k := range d.keys {
		if slot(k) == s {
			d.keys = append(d.keys[:i:i], d.keys[i+1:]...)
			return
		}
	}
}

// Keys returns the keys in order. The slice is the dict's own.
func (d *Dict) Keys() []any { return d.keys }

// Len is the number of keys.
func (d *Dict) Len() int { return len(d.keys) }

// Copy is a shallow copy.
func (d *Dict) Copy() *Dict {
	out := &Dict{keys: append([]any(nil), d.keys...), values: make(map[any]any, len(d.values))}
	for k, v := range d.values {
		out.values[k] = v
	}
	return out
}

// List is Python's list, or its tuple.
type List struct {
	Items []any
	Tuple bool
}

// NewList makes a list of values.
func NewList(items ...any) *List { return &List{Items: items} }

// Mapping is a dict that is computed when it is read: hostvars, for example.
type Mapping interface {
	// Get returns the value of a key, found or not. The value may be *Lazy.
	Get(key string) (value any, found bool)
	Keys() []string
}

// Lazy is a value that is computed when it is first looked at. A secret one makes every value that looked at it secret.
type Lazy struct {
	compute func() (any, bool, error)
	done    bool
	value   any
	secret  bool
	err     error
}

// Later makes a Lazy of a function that returns a value, whether it is secret, and an error. It runs at most once.
func Later(compute func() (value any, secret bool, err error)) *Lazy { return &Lazy{compute: compute} }

// Secret makes a value secret.
func Secret(value any) *Lazy { return &Lazy{done: true, value: value, secret: true} }

// Force computes the value. An error that was caused by recursion is not kept: it depends on where one came from.
func (l *Lazy) Force() (value any, secret bool, err error) {
	if l.done {
		return l.value, l.secret, l.err
	}
	value, secret, err = l.compute()
	if recursion := (*RecursionError)(nil); errors.As(err, &recursion) {
		return value, secret, err
	}
	l.value, l.secret, l.err, l.done, l.compute = value, secret, err, true, nil
	return value, secret, err
}

// Omit is Ansible's omit: a value that takes its key or its place in a list with it.
type Omit struct{}

// Undefined is a name that means nothing. It may be passed around, be a member of a list that nobody reads, and be
// asked about (is defined, default); any use of its value is an error.
type Undefined struct {
	Name string // what was looked for
	Err  error  // why it is undefined, when it is the value of something that failed on an undefined name
	// Blank is the value of "x if false" without else. Jinja2 makes it of its lenient kind: it prints as nothing, is false
	// and has no elements, and only arithmetic, order and attributes of it are errors.
	Blank bool
}

// Callable is a function a template may call: range, lookup, a method.
type Callable struct {
	Name string
	call func(*run, *args) any
}

// namespace is what namespace() makes: a bag a loop may write to.
type namespace struct{ dict *Dict }

// typeName is a word of ours, which may stand in any error.
type typeName string

// kind is Python's name of a value's type, for errors. Values themselves never stand in errors: they may be secret.
func kind(v any) typeName {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a boolean"
	case int:
		return "an integer"
	case float64:
		return "a float"
	case string:
		return "a string"
	case *List:
		if v.Tuple {
			return "a tuple"
		}
		return "a list"
	case *Dict, Mapping:
		return "a mapping"
	case *Undefined:
		if v.Blank {
			return "an if without else"
		}
		return "an undefined value"
	case *Callable:
		return "a function"
	case Omit:
		return "omit"
	case *namespace:
		return "a namespace"
	}
	return "a value"
}
