package jinja

import (
	"errors"
	"fmt"
	"strings"
)

// lookup calls one of the lookups the caller gave. As in Ansible, lookup() returns a lone result as it is, and several
// joined by commas; query() and wantlist=true return the list.
func (r *run) lookup(wantList bool, a *args) any {
	name := shortName(a.text(0, "", ""))
	wantList = a.boolean(-1, "wantlist", wantList)
	onError := a.text(-1, "errors", "strict")
	var terms []any
	for _, t := range a.rest(1) {
		terms = append(terms, r.plainTerm(t))
	}
	options := a.named
	a.named = NewDict()
	items, err := r.find(name, terms, options)
	if err != nil {
		if onError == "ignore" || onError == "warn" {
			if wantList {
				return &List{}
			}
			return nil
		}
		if undefined := (*UndefinedError)(nil); errors.As(err, &undefined) {
			r.fail(r.pos, err)
		}
		r.errorf("lookup %q: %v", name, err)
	}
	for _, item := range items {
		if text, ok := item.(string); ok {
			r.alloc(len(text))
		}
	}
	switch {
	case wantList:
		return NewList(items...)
	case len(items) == 1:
		return r.reveal(items[0])
	}
	parts := make([]string, len(items))
	for i, item := range items {
		parts[i] = r.str(r.reveal(item))
	}
	return strings.Join(parts, ",")
}

// plainTerm is an argument as a lookup gets it: defined, and with nothing lazy in a list.
func (r *run) plainTerm(v any) any {
	r.definedWithin(r.defined(v))
	if l, ok := v.(*List); ok {
		return NewList(r.items(l)...)
	}
	return v
}

func (r *run) find(name string, terms []any, options *Dict) ([]any, error) {
	if name == "vars" || name == "varnames" {
		return r.findVars(name, terms, options)
	}
	lookup, ok := r.box.Lookups[name]
	if !ok {
		return nil, errors.New("not available here")
	}
	return lookup(terms, options)
}

// findVars is lookup('vars', 'name', default=...), the one lookup that needs nobody.
func (r *run) findVars(name string, terms []any, options *Dict) ([]any, error) {
	if name != "vars" {
		return nil, errors.New("not available here")
	}
	var out []any
	for _, t := range terms {
		key, ok := t.(string)
		if !ok {
			return nil, fmt.Errorf("a variable's name is a string, not %s", kind(t))
		}
		v := r.name(key)
		if u, undefined := v.(*Undefined); undefined {
			fallback, ok := options.Get("default")
			if !ok {
				return nil, u.failure()
			}
			v = r.defined(fallback)
		}
		out = append(out, v)
	}
	return out, nil
}

// shortName drops the collection of Ansible's own plugins: ansible.builtin.env is env.
func shortName(name string) string {
	for _, collection := range []string{"ansible.builtin.", "ansible.legacy.", "community.general.", "ansible.utils.", "ansible.netcommon."} {
		if short, ok := strings.CutPrefix(name, collection); ok {
			return short
		}
	}
	return name
}
