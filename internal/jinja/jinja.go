// Package jinja evaluates Ansible's templates: Jinja2 expressions in values of variables, as Ansible evaluates them.
//
// A template is a string with "{{ ... }}" or "{% ... %}" in it. What it becomes depends on Ansible's age. Native types
// (ansible-core 2.19 and later): a lone "{{ expression }}" keeps its type, everything else is text. Text types (before
// 2.19, OpenStack-Ansible up to 2025.2): everything becomes text first, and text that looks like a list, a dict or a
// boolean becomes one again. Both are here, because an operator's files rely on the rules they were written under.
//
// It is a closed box. A template reads variables through Vars and lookups through the functions the caller gives, and
// nothing else: no file, no network, no clock. Whatever a template says, Render returns a value or an *Error, after a
// bounded number of steps and bytes. Undefined names, unknown filters and wrong types are errors; nothing is guessed.
//
// Secrets spread: a value computed from a secret one is secret (see Lazy), and no error repeats a value.
package jinja

import (
	"errors"
	"fmt"
	"strings"
)

// Types says what becomes of an expression's result.
type Types int

const (
	// Native keeps the type of a lone expression (ansible-core 2.19 and later).
	Native Types = iota
	// Text makes text of everything and reads lists, dicts and booleans back from it (before 2.19).
	Text
)

// Limits bound what one template may cost.
type Limits struct {
	Source int // bytes of template text
	Steps  int // expressions evaluated, elements visited
	Bytes  int // text made, elements counted as 16
	Depth  int // nesting of expressions and of values
}

// DefaultLimits are far above what configuration needs: half a second and 64 MB at worst.
func DefaultLimits() Limits {
	return Limits{Source: 1 << 20, Steps: 1_000_000, Bytes: 64 << 20, Depth: 200}
}

// Lookup is what lookup('name', ...) calls. It returns a list, as Ansible's plugins do.
type Lookup func(terms []any, options *Dict) ([]any, error)

// Vars are the variables a template sees. A value may be *Lazy, also inside lists and dicts.
type Vars interface {
	Get(name string) (value any, found bool)
}

// Box evaluates templates. The zero value has native types, default limits and no lookups.
type Box struct {
	Types   Types
	Limits  Limits
	Lookups map[string]Lookup
}

// Error is a template that cannot be evaluated.
type Error struct {
	Expression   string // the expression or statement, as written
	Line, Column int    // in the template's text, from 1
	Err          error
}

func (e *Error) Error() string {
	where := ""
	if e.Line > 1 {
		where = fmt.Sprintf(" (line %d of the template)", e.Line)
	}
	return fmt.Sprintf("%s%s: %v", e.Expression, where, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// UndefinedError says that a name means nothing. Ansible forgives it inside default() and "is defined".
type UndefinedError struct {
	Name string
	Err  error // why, when the name is known and its value failed for another undefined name
}

func (e *UndefinedError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%q is undefined, because of %v", e.Name, e.Err)
	}
	return fmt.Sprintf("%q is undefined", e.Name)
}

func (e *UndefinedError) Unwrap() error { return e.Err }

// RecursionError says that a value needs itself.
type RecursionError struct{ Name string }

func (e *RecursionError) Error() string { return fmt.Sprintf("%q refers to itself", e.Name) }

// LimitError says that a template cost too much.
type LimitError struct{ What string }

func (e *LimitError) Error() string { return "the template is rejected: " + e.What }

// IsTemplate says whether text has anything to evaluate.
func IsTemplate(text string) bool {
	return strings.Contains(text, "{{") || strings.Contains(text, "{%") || strings.Contains(text, "{#")
}

// Result is what a template became.
type Result struct {
	Value  any
	Secret bool // something secret was looked at
}

// Render evaluates a template. The error is an *Error.
func (b *Box) Render(text string, vars Vars) (Result, error) {
	if !IsTemplate(text) {
		return Result{Value: text}, nil
	}
	return b.guard(strings.TrimSuffix(text, "\n"), vars, func(r *run) any {
		return r.finish(text, r.output(parseTemplate(r)))
	})
}

// Expression evaluates a bare expression, as in "when:".
func (b *Box) Expression(text string, vars Vars) (Result, error) {
	return b.guard(text, vars, func(r *run) any {
		v := r.reveal(r.eval(parseExpression(r)))
		r.defined(v)
		return v
	})
}

// guard is the wall of the box: whatever happens inside becomes an error.
func (b *Box) guard(text string, vars Vars, work func(*run) any) (result Result, err error) {
	r := &run{box: b, vars: vars, text: text, limits: b.Limits}
	if r.limits == (Limits{}) {
		r.limits = DefaultLimits()
	}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case failure:
			err = r.explain(p)
		default:
			err = r.explain(failure{pos: r.pos, err: fmt.Errorf("an internal error of the evaluator: %v", p)})
		}
	}()
	if len(text) > r.limits.Source {
		r.fail(0, &LimitError{What: fmt.Sprintf("longer than %d bytes", r.limits.Source)})
	}
	v := work(r)
	return Result{Value: v, Secret: r.secret}, nil
}

// failure is how code inside the box gives up. It never leaves guard.
type failure struct {
	pos int
	err error
}

// run is one evaluation.
type run struct {
	box       *Box
	vars      Vars
	text      string
	limits    Limits
	scopes    []map[string]any
	pos       int // of what is being evaluated
	spans     []span
	steps     int
	bytes     int
	depth     int
	secret    bool
	mutates   bool // the template calls append and the like: values of variables are copied first
	staysText bool // the expression evaluated last ended in a filter whose text stays text
}

// span is the extent of one expression or statement in the template.
type span struct{ from, to int }

func (r *run) fail(pos int, err error) {
	panic(failure{pos: pos, err: err})
}

// errorf fails where evaluation stands. Once something secret was looked at, texts that may come from it are left out.
func (r *run) errorf(format string, a ...any) {
	for i, arg := range a {
		switch arg := arg.(type) {
		case string:
			a[i] = r.shown(arg)
		case error:
			a[i] = errors.New(r.shown(arg.Error()))
		}
	}
	r.fail(r.pos, fmt.Errorf(format, a...))
}

// shown is text for an error.
func (r *run) shown(text string) string {
	if r.secret {
		return "(hidden)"
	}
	return text
}

// explain adds the expression and the place.
func (r *run) explain(f failure) error {
	e := &Error{Expression: r.expressionAt(f.pos), Err: f.err}
	before := r.text[:min(max(f.pos, 0), len(r.text))]
	e.Line = 1 + strings.Count(before, "\n")
	e.Column = 1 + len(before) - (strings.LastIndex(before, "\n") + 1)
	return e
}

func (r *run) expressionAt(pos int) string {
	text := r.text
	for _, s := range r.spans {
		if s.from <= pos && pos < s.to {
			text = r.text[s.from:s.to]
		}
	}
	text = strings.TrimSpace(text)
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "..."
	}
	return text
}

// spend counts steps; alloc counts bytes.
func (r *run) spend(n int) {
	r.steps += n
	if r.steps > r.limits.Steps || n < 0 {
		r.fail(r.pos, &LimitError{What: fmt.Sprintf("more than %d steps", r.limits.Steps)})
	}
}

func (r *run) alloc(n int) {
	r.bytes += n
	if r.bytes > r.limits.Bytes || n < 0 || n > r.limits.Bytes {
		r.fail(r.pos, &LimitError{What: fmt.Sprintf("its values are larger than %d bytes", r.limits.Bytes)})
	}
}

// deeper guards recursion; its result undoes it.
func (r *run) deeper() func() {
	r.depth++
	if r.depth > r.limits.Depth {
		r.fail(r.pos, &LimitError{What: fmt.Sprintf("nested deeper than %d", r.limits.Depth)})
	}
	return func() { r.depth-- }
}
