package jinja

import (
	"regexp"
	"strings"
)

var singleVariable = regexp.MustCompile(`^\{\{\s*(\w+)\s*\}\}\n?$`)

// finish makes the template's value of what it wrote.
func (r *run) finish(source string, parts []any) any {
	if len(parts) == 1 && isBlank(parts[0]) {
		parts[0] = ""
	}
	var out any
	switch {
	case len(parts) == 1 && (r.box.Types == Native || isOmit(parts[0])):
		out = parts[0]
	case len(parts) == 1 && (r.keepsType(source, parts[0]) || r.staysText):
		out = parts[0]
	case r.box.Types == Native:
		if len(parts) == 0 {
			return nil // Ansible 2.19: a template that writes nothing is None
		}
		out = r.join(parts)
	default:
		out = r.fromText(r.join(parts))
	}
	r.check(out)
	// The newlines at the end of a template are kept, whatever Jinja2 does with the last one.
	if text, ok := out.(string); ok {
		missing := newlinesAtEnd(source) - newlinesAtEnd(text)
		if missing > 0 {
			out = text + strings.Repeat("\n", missing)
		}
	}
	return out
}

// check walks a result: it must be data, of bearable size even when parts of it are shared, and without an undefined
// value that nothing came to forgive. What is lazy stays so.
func (r *run) check(v any) {
	defer r.deeper()()
	r.spend(1)
	switch v := v.(type) {
	case *Undefined:
		r.solid(v)
	case *Callable, *namespace:
		r.errorf("%s is not a value", kind(v))
	case *Lazy:
		if v.done && v.err != nil {
			r.fail(r.pos, v.err)
		}
		if v.done {
			r.check(v.value)
		}
	case *List:
		for _, item := range v.Items {
			r.check(item)
		}
	case *Dict:
		for _, k := range v.keys {
			r.check(v.values[slot(k)])
		}
	}
}

// keepsText says whether a filter's result is left alone by text types, even when it looks like a list.
func keepsText(filter string) bool {
	switch shortName(filter) {
	case "string", "to_json", "to_nice_json", "to_yaml", "to_nice_yaml":
		return true
	}
	return false
}

func isOmit(v any) bool { _, ok := v.(Omit); return ok }

func newlinesAtEnd(s string) int { return len(s) - len(strings.TrimRight(s, "\n")) }

// keepsType says whether text types leave a lone piece alone: lists and dicts would come back from their text as they
// were, and "{{ name }}" is not even evaluated when the variable was written as a number or a boolean.
func (r *run) keepsType(source string, v any) bool {
	switch v := v.(type) {
	case *List:
		return !v.Tuple
	case *Dict:
		return true
	case nil, bool, int, float64:
		m := singleVariable.FindStringSubmatch(source)
		if m == nil || r.vars == nil {
			return false
		}
		raw, ok := r.vars.Get(m[1])
		_, lazy := raw.(*Lazy)
		return ok && !lazy
	}
	return false
}

// join is the text of everything that was written. None writes nothing.
func (r *run) join(parts []any) string {
	var out strings.Builder
	for _, p := range parts {
		if p == nil {
			continue
		}
		text := r.str(r.defined(p))
		r.alloc(len(text))
		out.WriteString(text)
	}
	return out.String()
}

// fromText reads a list, a dict or a boolean back from its text, as Ansible did before 2.19. Anything else stays text.
func (r *run) fromText(text string) any {
	if text != "True" && text != "False" && !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
		return text
	}
	v, ok := r.pythonLiteral(text)
	if !ok {
		return text
	}
	return v
}

// pythonLiteral reads what Python's ast.literal_eval reads, as far as YAML and JSON can hold it, and JSON's true, false
// and null.
func (r *run) pythonLiteral(text string) (v any, ok bool) {
	inner := &run{box: r.box, vars: jsonNames{}, text: text, limits: r.limits, steps: r.steps, bytes: r.bytes, depth: r.depth}
	defer func() {
		if f := recover(); f != nil {
			if _, mine := f.(failure); !mine {
				panic(f)
			}
			ok = false
		}
		r.steps, r.bytes = inner.steps, inner.bytes
	}()
	n := parseExpression(inner)
	if !isPython(n, text) {
		return nil, false
	}
	return inner.eval(n), true
}

// jsonNames are the names that JSON has and Jinja2 has not.
type jsonNames struct{}

func (jsonNames) Get(name string) (any, bool) { return nil, name == "null" }

// isPython says whether an expression is made of literals alone, in Python's or JSON's spelling.
func isPython(n node, text string) bool {
	switch n := n.(type) {
	case *literal:
		return n.value != nil || !strings.HasPrefix(text[n.at():], "none")
	case *nameNode:
		return n.name == "null"
	case *listNode:
		return allPython(n.items, text)
	case *dictNode:
		return allPython(n.keys, text) && allPython(n.values, text)
	case *unaryNode:
		return n.op != "not" && isPython(n.x, text)
	}
	return false
}

func allPython(nodes []node, text string) bool {
	for _, n := range nodes {
		if !isPython(n, text) {
			return false
		}
	}
	return true
}
