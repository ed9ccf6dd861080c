package osa

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/jinja"
)

// HostVars are one host's variables. It is also the "hostvars[name]" and "vars" that templates see.
type HostVars struct {
	vars        *Variables
	name        string
	definitions map[string][]Definition // lowest first
	values      map[string]any          // jinja's values, made when first asked for
	broken      problems
}

// Variable is one variable of a host, evaluated.
type Variable struct {
	Name string
	// Value is evaluated; what is secret in it is a *Tagged under SecretTag. nil when there is an error.
	Value  Value
	Origin Definition
	// Overrides are the definitions below the one that counts, highest first.
	Overrides []Definition
	// Err tells everything that cannot be evaluated in it: *VarError, several joined.
	Err error
	// Omitted says that it is omit: the parameter of a task that it stands for is not given. Err says so too.
	Omitted bool
}

// VarError is a value that cannot be evaluated.
type VarError struct {
	Pos  Pos
	Name string // variable and path within it, such as haproxy_k8s_service.haproxy_backend_nodes
	Err  error
}

func (e *VarError) Error() string { return fmt.Sprintf("%s: %s: %v", e.Pos, e.Name, e.Err) }

func (e *VarError) Unwrap() error { return e.Err }

// Lowest evaluates a variable as the definition below all others gives it.
func (h *HostVars) Lowest(name string) (Variable, bool) {
	all := h.definitions[name]
	if len(all) == 0 {
		return Variable{}, false
	}
	d := all[0]
	return evaluated(name, d, h.lazy(d.Value, d, d.Pos, name)), true
}

// errOmitted says that a variable has no value of its own: it is omit.
var errOmitted = errors.New("it evaluates to omit: a task leaves the parameter out, and there is no value to show")

// Names lists all variables.
func (h *HostVars) Names() []string {
	out := make([]string, 0, len(h.definitions))
	for name := range h.definitions {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Keys is Names, for templates: without what would hold itself.
func (h *HostVars) Keys() []string {
	return slices.DeleteFunc(h.Names(), func(name string) bool { return name == "hostvars" })
}

// Get returns a variable as a template gets it: lazily.
func (h *HostVars) Get(name string) (any, bool) {
	if v, ok := h.values[name]; ok {
		return v, true
	}
	all := h.definitions[name]
	if len(all) == 0 {
		return nil, false
	}
	d := all[len(all)-1]
	v := h.lazy(d.Value, d, d.Pos, name)
	h.values[name] = v
	return v, true
}

// Variable evaluates one variable.
func (h *HostVars) Variable(name string) (Variable, bool) {
	raw, ok := h.Get(name)
	if !ok {
		return Variable{}, false
	}
	all := h.definitions[name]
	out := evaluated(name, all[len(all)-1], raw)
	out.Overrides = slices.Clone(all[:len(all)-1])
	slices.Reverse(out.Overrides)
	return out, true
}

// evaluated is a variable with everything within it evaluated.
func evaluated(name string, d Definition, raw any) Variable {
	out := Variable{Name: name, Origin: d}
	w := &forcer{pos: d.Pos, budget: 1 << 20}
	value := w.force(raw, name, 0)
	if out.Omitted = value == (omitted{}); out.Omitted {
		w.fail(name, errOmitted)
	}
	if out.Err = errors.Join(w.found...); out.Err == nil {
		out.Value = value
	}
	return out
}

// Definitions are all places that give a variable a value, the lowest first.
func (h *HostVars) Definitions(name string) []Definition { return slices.Clone(h.definitions[name]) }

// Defined returns the definition that counts, without evaluating it.
func (h *HostVars) Defined(name string) (Definition, bool) {
	all := h.definitions[name]
	if len(all) == 0 {
		return Definition{}, false
	}
	return all[len(all)-1], true
}

// lazy makes a value as templates see it: text with a template is evaluated when someone looks, encrypted text is
// opened then.
func (h *HostVars) lazy(v Value, d Definition, pos Pos, path string) any {
	switch v := v.(type) {
	case *Map:
		out := jinja.NewDict()
		for _, e := range v.Entries() {
			if key := plainKey(e.Key); jinja.Hashable(key) {
				out.Set(key, h.lazy(e.Value, d, e.Pos, fmt.Sprintf("%s.%v", path, e.Key)))
			}
		}
		return out
	case *List:
		out := &jinja.List{}
		for i, item := range v.Items() {
			out.Items = append(out.Items, h.lazy(item, d, v.PosOf(i), fmt.Sprintf("%s[%d]", path, i)))
		}
		return out
	case *Tagged:
		return h.tagged(v, d, path)
	case string:
		if jinja.IsTemplate(v) {
			return h.template(v, d, pos, path)
		}
	}
	if d.Secret {
		return jinja.Secret(plainKey(v))
	}
	return plainKey(v)
}

// plainKey is a scalar in jinja's terms.
func plainKey(v Value) any {
	switch v := v.(type) {
	case int64:
		return int(v)
	case *big.Int:
		return v.String() // beyond any use as a number here
	case Opaque:
		return v.Text
	}
	return v
}

func (h *HostVars) tagged(v *Tagged, d Definition, path string) any {
	text, _ := v.Value.(string)
	if v.Tag == "!unsafe" {
		if d.Secret {
			return jinja.Secret(text)
		}
		return text
	}
	return jinja.Later(func() (any, bool, error) {
		plain, err := OpenVault([]byte(strings.TrimSpace(text)), h.vars.opts.Passwords)
		if err != nil {
			return nil, true, &VarError{Pos: v.Pos, Name: path, Err: fmt.Errorf("the value %w", err)}
		}
		return string(plain), true, nil
	})
}

// maxChain bounds how many variables may stand one behind the other.
const maxChain = 200

// template is text to evaluate. One that needs itself is an error, and so is a chain without an end in sight.
func (h *HostVars) template(text string, d Definition, pos Pos, path string) any {
	busy := false
	return jinja.Later(func() (any, bool, error) {
		if busy {
			return nil, d.Secret, &jinja.RecursionError{Name: path}
		}
		if h.vars.depth > maxChain {
			return nil, d.Secret, &jinja.LimitError{What: fmt.Sprintf("more than %d variables refer to each other in a chain", maxChain)}
		}
		busy = true
		h.vars.depth++
		defer func() { busy = false; h.vars.depth-- }()
		box := jinja.Box{Types: h.vars.opts.Types, Lookups: h.vars.opts.Lookups}
		result, err := box.Render(text, h)
		if err != nil {
			return nil, d.Secret, &VarError{Pos: pos, Name: path, Err: hideExpression(err, d.Secret)}
		}
		return result.Value, result.Secret || d.Secret, nil
	})
}

// hideExpression takes the expression of a secret value out of its error.
func hideExpression(err error, secret bool) error {
	var e *jinja.Error
	if !secret || !errors.As(err, &e) {
		return err
	}
	return &jinja.Error{Expression: "(an expression in a secret value)", Line: e.Line, Column: e.Column, Err: e.Err}
}

// forcer evaluates everything within a value, and gathers what fails.
type forcer struct {
	pos    Pos
	budget int
	full   bool
	found  []error
}

func (w *forcer) fail(path string, err error) {
	var known *VarError
	if !errors.As(err, &known) {
		err = &VarError{Pos: w.pos, Name: path, Err: err}
	}
	w.found = append(w.found, err)
}

// omitted is what a key or an element leaves behind that asked to be omitted.
type omitted struct{}

func (w *forcer) force(v any, path string, depth int) Value {
	if w.full {
		return nil
	}
	if w.budget--; w.budget < 0 || depth > 200 {
		w.full = true
		w.fail(path, &jinja.LimitError{What: "its value is too large or nested too deep"})
		return nil
	}
	switch v := v.(type) {
	case *jinja.Lazy:
		value, secret, err := v.Force()
		if err != nil {
			w.fail(path, err)
			return nil
		}
		out := w.force(value, path, depth+1)
		if _, already := out.(*Tagged); secret && !already && out != (omitted{}) {
			return &Tagged{Tag: SecretTag, Value: Reveal(out), Pos: w.pos}
		}
		return out
	case *jinja.Dict:
		out := &Map{Pos: w.pos}
		for _, k := range v.Keys() {
			item, _ := v.Get(k)
			if value := w.force(item, fmt.Sprintf("%s.%v", path, k), depth+1); value != (omitted{}) {
				out.Set(fromInt(k), value, w.pos)
			}
		}
		return out
	case *jinja.List:
		out := NewList()
		for i, item := range v.Items {
			if value := w.force(item, fmt.Sprintf("%s[%d]", path, i), depth+1); value != (omitted{}) {
				out.add(value, w.pos)
			}
		}
		return out
	case jinja.Mapping:
		if len(v.Keys()) > 0 {
			w.fail(path, errors.New("it holds every variable of a host: ask for one of them"))
		}
		return &Map{Pos: w.pos}
	case jinja.Omit:
		return omitted{}
	}
	return fromInt(v)
}

func fromInt(v any) Value {
	if n, ok := v.(int); ok {
		return int64(n)
	}
	return v
}

// Mask is the value with everything secret replaced.
func Mask(v Value) Value { return mapSecrets(v, func(*Tagged) Value { return "********" }) }

// Reveal is the value with everything secret in the clear.
func Reveal(v Value) Value {
	return mapSecrets(v, func(t *Tagged) Value { return Reveal(t.Value) })
}

func mapSecrets(v Value, secret func(*Tagged) Value) Value {
	switch v := v.(type) {
	case *Tagged:
		if v.Tag == SecretTag {
			return secret(v)
		}
	case *Map:
		out := &Map{Pos: v.Pos}
		for _, e := range v.Entries() {
			out.Set(e.Key, mapSecrets(e.Value, secret), e.Pos)
		}
		return out
	case *List:
		out := &List{Pos: v.Pos}
		for i, item := range v.Items() {
			out.add(mapSecrets(item, secret), v.PosOf(i))
		}
		return out
	}
	return v
}

// Builtin says whether a variable is one that Ansible itself defines, with no file behind it.
func (h *HostVars) Builtin(name string) bool {
	all := h.definitions[name]
	return len(all) > 0 && all[len(all)-1].Level == builtin
}

// Written is a definition's value in a form that can be printed: encrypted values say that they are.
func Written(v Value) Value {
	switch v := v.(type) {
	case *Tagged:
		if v.Tag == "!unsafe" {
			return v.Value
		}
		return "(encrypted with ansible-vault)"
	case *Map:
		out := &Map{}
		for _, e := range v.Entries() {
			out.Set(e.Key, Written(e.Value), e.Pos)
		}
		return out
	case *List:
		out := &List{}
		for i, item := range v.Items() {
			out.add(Written(item), v.PosOf(i))
		}
		return out
	case Opaque:
		return v.Text
	}
	return v
}
