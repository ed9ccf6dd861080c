package jinja

import "fmt"

// args are a call's arguments, read by place or name. What is not read is an error: a misspelled argument must not be
// lost.
type args struct {
	r          *run
	of         string
	positional []any
	named      *Dict
	read       int
}

// get returns an argument by place or name; ok says whether it was given.
func (a *args) get(i int, name string) (any, bool) {
	if i >= 0 && i < len(a.positional) {
		a.read = max(a.read, i+1)
		return a.positional[i], true
	}
	if v, ok := a.named.Get(name); ok && name != "" {
		a.named.Delete(name)
		return v, true
	}
	return nil, false
}

// need is an argument that must be there and be defined.
func (a *args) need(i int, name string) any {
	v, ok := a.get(i, name)
	if !ok {
		a.r.errorf("%s: the argument %q is missing", a.of, name)
	}
	return a.r.defined(v)
}

func (a *args) text(i int, name, fallback string) string {
	v, ok := a.get(i, name)
	if !ok {
		return fallback
	}
	s, ok := a.r.defined(v).(string)
	if !ok {
		a.r.errorf("%s: the argument %q must be a string, not %s", a.of, name, kind(v))
	}
	return s
}

func (a *args) boolean(i int, name string, fallback bool) bool {
	v, ok := a.get(i, name)
	if !ok {
		return fallback
	}
	return a.r.truth(a.r.defined(v))
}

func (a *args) integer(i int, name string, fallback int) int {
	v, ok := a.get(i, name)
	if !ok || v == nil {
		return fallback
	}
	n, ok := whole(a.r.defined(v))
	if !ok {
		a.r.errorf("%s: the argument %q must be an integer, not %s", a.of, name, kind(v))
	}
	return n
}

// rest are the positional arguments from i on.
func (a *args) rest(i int) []any {
	a.read = len(a.positional)
	if i >= len(a.positional) {
		return nil
	}
	return a.positional[i:]
}

// done insists that every argument was read.
func (a *args) done() {
	if a.read < len(a.positional) {
		a.r.errorf("%s: too many arguments", a.of)
	}
	if a.named.Len() > 0 {
		a.r.errorf("%s: the argument %q is not supported", a.of, fmt.Sprint(a.named.keys[0]))
	}
}
