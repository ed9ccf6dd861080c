package jinja

import (
	"slices"
	"strings"
)

// test is one entry of the table.
type test struct {
	call      testFunc
	undefined bool // accepts what is undefined
}

type testFunc = func(r *run, in any, a *args) bool

func testNamed(name string) (test, bool) {
	name = shortName(name)
	switch name {
	case "defined":
		return test{undefined: true, call: func(_ *run, in any, _ *args) bool { _, u := in.(*Undefined); return !u }}, true
	case "undefined":
		return test{undefined: true, call: func(_ *run, in any, _ *args) bool { _, u := in.(*Undefined); return u }}, true
	}
	t, ok := tests[name]
	return test{undefined: typeTest(name), call: t}, ok
}

// typeTest says whether a test can answer for an undefined value: most of these ask for a type, and it has none of
// them.
func typeTest(name string) bool {
	switch name {
	case "none", "string", "boolean", "integer", "float", "number", "callable", "mapping", "sequence", "true", "false", "sameas", "in":
		return true
	}
	return false
}

// Tests lists the tests by name, for documentation.
func Tests() []string {
	names := []string{"defined", "undefined"}
	for name := range tests {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

var tests = map[string]testFunc{
	"none":     func(_ *run, in any, _ *args) bool { return in == nil },
	"string":   func(_ *run, in any, _ *args) bool { _, ok := in.(string); return ok },
	"boolean":  func(_ *run, in any, _ *args) bool { _, ok := in.(bool); return ok },
	"integer":  func(_ *run, in any, _ *args) bool { _, ok := in.(int); return ok },
	"float":    func(_ *run, in any, _ *args) bool { _, ok := in.(float64); return ok },
	"number":   func(_ *run, in any, _ *args) bool { _, ok := numeric(in); return ok },
	"callable": func(_ *run, in any, _ *args) bool { _, ok := in.(*Callable); return ok },
	"mapping":  func(_ *run, in any, _ *args) bool { return isMapping(in) },
	"sequence": func(_ *run, in any, _ *args) bool { return isSequence(in) },
	"iterable": func(_ *run, in any, _ *args) bool { return isSequence(in) || isBlank(in) },
	"true":     func(_ *run, in any, _ *args) bool { return in == true },
	"false":    func(_ *run, in any, _ *args) bool { return in == false },
	"truthy": func(r *run, in any, a *args) bool {
		if a.boolean(0, "convert_bool", false) {
			in = convertBool(in)
		}
		return r.truth(in)
	},
	"falsy": func(r *run, in any, a *args) bool {
		if a.boolean(0, "convert_bool", false) {
			in = convertBool(in)
		}
		return !r.truth(in)
	},
	"odd":         func(r *run, in any, _ *args) bool { return r.integers("%", r.wantInteger(in), 2) == 1 },
	"even":        func(r *run, in any, _ *args) bool { return r.integers("%", r.wantInteger(in), 2) == 0 },
	"divisibleby": func(r *run, in any, a *args) bool { return r.operate("%", in, a.need(0, "num")) == 0 },
	"lower":       func(r *run, in any, _ *args) bool { s := r.str(in); return s == lower(s) && s != upper(s) },
	"upper":       func(r *run, in any, _ *args) bool { s := r.str(in); return s == upper(s) && s != lower(s) },
	"in":          func(r *run, in any, a *args) bool { return r.contains(a.need(0, "seq"), in) },
	"contains":    func(r *run, in any, a *args) bool { return r.contains(in, a.need(0, "value")) },
	"subset":      func(r *run, in any, a *args) bool { return len(r.members(in, a.need(0, "other"), false).Items) == 0 },
	"superset":    func(r *run, in any, a *args) bool { return len(r.members(a.need(0, "other"), in, false).Items) == 0 },
	"any":         func(r *run, in any, _ *args) bool { return slices.ContainsFunc(r.items(in), r.truth) },
	"all": func(r *run, in any, _ *args) bool {
		return !slices.ContainsFunc(r.items(in), func(v any) bool { return !r.truth(v) })
	},
	"sameas": func(r *run, in any, a *args) bool {
		other := a.need(0, "other")
		if _, undefined := in.(*Undefined); undefined {
			return in == other
		}
		return r.equal(in, other)
	},
	"match":  func(r *run, in any, a *args) bool { return r.matches(in, a, "match") },
	"search": func(r *run, in any, a *args) bool { return r.matches(in, a, "search") },
	"regex":  func(r *run, in any, a *args) bool { return r.matches(in, a, a.text(3, "match_type", "search")) },
	"version": func(r *run, in any, a *args) bool {
		return r.versionTest(in, a)
	},
	"version_compare": func(r *run, in any, a *args) bool { return r.versionTest(in, a) },
	"url": func(r *run, in any, _ *args) bool {
		scheme, rest, ok := strings.Cut(r.wantText(in), "://")
		return ok && scheme != "" && rest != ""
	},
	"abs":     func(r *run, in any, _ *args) bool { return strings.HasPrefix(r.wantText(in), "/") },
	"failed":  func(r *run, in any, _ *args) bool { return r.flag(in, "failed") },
	"changed": func(r *run, in any, _ *args) bool { return r.flag(in, "changed") },
	"skipped": func(r *run, in any, _ *args) bool { return r.flag(in, "skipped") },
	"success": func(r *run, in any, _ *args) bool { return !r.flag(in, "failed") },
	"eq":      comparison("=="), "equalto": comparison("=="), "==": comparison("=="),
	"ne": comparison("!="), "!=": comparison("!="),
	"lt": comparison("<"), "lessthan": comparison("<"), "<": comparison("<"),
	"le": comparison("<="), "<=": comparison("<="),
	"gt": comparison(">"), "greaterthan": comparison(">"), ">": comparison(">"),
	"ge": comparison(">="), ">=": comparison(">="),
}

func comparison(op string) testFunc {
	return func(r *run, in any, a *args) bool { return r.holds(op, in, a.need(0, "other")) }
}

func isMapping(v any) bool {
	switch v.(type) {
	case *Dict, Mapping:
		return true
	}
	return false
}

func isSequence(v any) bool {
	switch v.(type) {
	case *List, *Dict, Mapping, string:
		return true
	}
	return false
}

func (r *run) wantInteger(v any) int {
	n, ok := whole(v)
	if !ok {
		r.errorf("expected an integer, found %s", kind(v))
	}
	return n
}

// convertBool reads Ansible's words for true and false; anything else stays.
func convertBool(v any) any {
	if s, ok := v.(string); ok {
		switch lower(strings.TrimSpace(s)) {
		case "y", "yes", "on", "1", "true", "t", "1.0":
			return true
		case "n", "no", "off", "0", "false", "f", "0.0":
			return false
		}
	}
	return v
}

// flag reads a task result's mark.
func (r *run) flag(in any, name string) bool {
	v, ok := r.mapping(in).Get(name)
	return ok && r.truth(r.reveal(v))
}

func (r *run) versionTest(in any, a *args) bool {
	other, op := r.str(a.need(0, "version")), a.text(1, "operator", "eq")
	strict := a.boolean(2, "strict", false)
	a.text(3, "version_type", "")
	_ = strict // the numbers are compared the same way; strictness only refuses more
	in = r.str(in)
	if in == "" || other == "" {
		r.errorf("version: the version is empty")
	}
	c := looseCompare(r.wantText(in), other)
	switch op {
	case "==", "=", "eq":
		return c == 0
	case "!=", "<>", "ne":
		return c != 0
	case "<", "lt":
		return c < 0
	case "<=", "le":
		return c <= 0
	case ">", "gt":
		return c > 0
	case ">=", "ge":
		return c >= 0
	}
	r.errorf("version: %q is no comparison", op)
	return false
}
