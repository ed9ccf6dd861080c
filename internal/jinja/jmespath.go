package jinja

import (
	"slices"
	"strings"
)

// jsonQuery is community.general's json_query: a question in JMESPath (jmespath.org/specification.html). It is written
// out here because answers keep the order of keys, the difference of 1 and 1.0, and what is secret, which libraries
// lose.
func jsonQuery(r *run, in any, a *args) any {
	text := a.text(0, "expr", "")
	p := &pathParser{r: r, text: text}
	p.scan()
	q := p.expression(0)
	if t := p.peek(); t.kind != pathEnd {
		p.fail("%q is not expected there", t.text)
	}
	return q(r, in)
}

// pathQuery answers one expression for a value. What is not there is nil.
type pathQuery func(r *run, v any) any

func (p *pathParser) peek() pathToken { return p.tokens[p.at] }

func (p *pathParser) next() pathToken {
	t := p.tokens[p.at]
	if t.kind != pathEnd {
		p.at++
	}
	return t
}

func (p *pathParser) accept(k pathKind) bool {
	if p.peek().kind == k {
		p.next()
		return true
	}
	return false
}

func (p *pathParser) expect(k pathKind) {
	if t := p.peek(); !p.accept(k) {
		p.fail("%q stands where %q is needed", t.text, string(k))
	}
}

// binds says how strongly a token holds what is left of it.
func (k pathKind) binds() int {
	switch k {
	case "|":
		return 1
	case "||":
		return 2
	case "&&":
		return 3
	case "==", "!=", "<", "<=", ">", ">=":
		return 5
	case "[]":
		return 9
	case "*":
		return 20
	case "[?":
		return 21
	case ".":
		return 40
	case "{":
		return 50
	case "[":
		return 55
	case "(":
		return 60
	}
	return 0
}

// projections end where something binds less than this.
const projectionStop = 10

func (p *pathParser) expression(strength int) pathQuery {
	defer p.r.deeper()()
	p.r.spend(1)
	left := p.begin(p.next())
	for strength < p.peek().kind.binds() {
		left = p.extend(p.next(), left)
	}
	return left
}

func itself(_ *run, v any) any { return v }

// begin reads what begins with a token.
func (p *pathParser) begin(t pathToken) pathQuery {
	switch t.kind {
	case pathName:
		if p.peek().kind == "(" {
			return p.function(t.text)
		}
		return field(t.text)
	case pathQuoted:
		name, _ := t.value.(string)
		return field(name)
	case pathLiteral:
		return func(*run, any) any { return t.value }
	case "@":
		return itself
	case "*":
		return project(values, p.projected("*"))
	case "[]":
		return project(flattened, p.projected("[]"))
	case "[?":
		return p.filter(itself)
	case "[":
		if k := p.peek().kind; k == pathNumber || k == ":" {
			return p.index(itself)
		}
		if p.peek().kind == "*" && p.tokens[p.at+1].kind == "]" {
			p.at += 2
			return project(elements, p.projected("*"))
		}
		return p.multiList()
	case "{":
		return p.multiHash()
	case "!":
		x := p.expression(45)
		return func(r *run, v any) any { return !r.pathTruth(x(r, v)) }
	case "(":
		x := p.expression(0)
		p.expect(")")
		return x
	case "&":
		p.fail("an expression (&) is only of use as an argument of a function")
	}
	p.fail("%q cannot begin an expression", t.text)
	return nil
}

// extend reads what a token does with what is left of it.
func (p *pathParser) extend(t pathToken, left pathQuery) pathQuery {
	switch t.kind {
	case ".":
		if p.accept("*") {
			return project(after(left, values), p.projected("*"))
		}
		return after(left, p.dotted(40))
	case "|":
		return after(left, p.expression(1))
	case "||":
		right := p.expression(2)
		return func(r *run, v any) any {
			if x := left(r, v); r.pathTruth(x) {
				return x
			}
			return right(r, v)
		}
	case "&&":
		right := p.expression(3)
		return func(r *run, v any) any {
			if x := left(r, v); !r.pathTruth(x) {
				return x
			}
			return right(r, v)
		}
	case "[]":
		return project(after(left, flattened), p.projected("[]"))
	case "[?":
		return p.filter(left)
	case "[":
		if k := p.peek().kind; k == pathNumber || k == ":" {
			return p.index(left)
		}
		p.expect("*")
		p.expect("]")
		return project(after(left, elements), p.projected("*"))
	case "==", "!=", "<", "<=", ">", ">=":
		op, right := string(t.kind), p.expression(5)
		return func(r *run, v any) any { return r.pathCompare(op, left(r, v), right(r, v)) }
	}
	p.fail("%q is not expected there", t.text)
	return nil
}

func after(first, second pathQuery) pathQuery {
	return func(r *run, v any) any { return second(r, first(r, v)) }
}

// projected is what is asked of each element of a projection.
func (p *pathParser) projected(k pathKind) pathQuery {
	switch t := p.peek(); {
	case t.kind.binds() < projectionStop:
		return itself
	case t.kind == "[" || t.kind == "[?":
		return p.expression(k.binds())
	case t.kind == ".":
		p.next()
		if p.accept("*") {
			return project(values, p.projected("*"))
		}
		return p.dotted(k.binds())
	}
	p.fail("%q is not expected there", p.peek().text)
	return nil
}

// dotted is what may follow a dot.
func (p *pathParser) dotted(strength int) pathQuery {
	switch t := p.peek(); t.kind {
	case pathName, pathQuoted:
		return p.expression(strength)
	case "[":
		p.next()
		return p.multiList()
	case "{":
		p.next()
		return p.multiHash()
	}
	p.fail("%q cannot follow a dot", p.peek().text)
	return nil
}

// filter keeps the elements for which a condition holds.
func (p *pathParser) filter(left pathQuery) pathQuery {
	condition := p.expression(0)
	p.expect("]")
	each := p.projected("[?")
	kept := func(r *run, v any) any {
		l, ok := r.reveal(left(r, v)).(*List)
		if !ok {
			return nil
		}
		out := &List{}
		for _, item := range r.items(l) {
			if r.pathTruth(condition(r, item)) {
				r.alloc(16)
				out.Items = append(out.Items, item)
			}
		}
		return out
	}
	return project(kept, each)
}

// index is [n], or a slice, which is a projection.
func (p *pathParser) index(left pathQuery) pathQuery {
	var bounds [3]*int
	n := 0
	for !p.accept("]") {
		t := p.next()
		number, ok := t.value.(int)
		switch {
		case t.kind == ":" && n < 2:
			n++
		case t.kind == pathNumber && ok && bounds[n] == nil:
			bounds[n] = &number
		default:
			p.fail("%q is not expected in brackets", t.text)
		}
	}
	if n == 0 {
		at := *bounds[0]
		return func(r *run, v any) any {
			if l, ok := r.reveal(left(r, v)).(*List); ok && at < len(l.Items) && at >= -len(l.Items) {
				return r.item(l, at)
			}
			return nil
		}
	}
	cut := func(r *run, v any) any {
		l, ok := r.reveal(left(r, v)).(*List)
		if !ok {
			return nil
		}
		out := &List{}
		for _, i := range r.indexes(len(l.Items), bounds[0], bounds[1], bounds[2]) {
			out.Items = append(out.Items, l.Items[i])
		}
		return out
	}
	return project(cut, p.projected("*"))
}

func (p *pathParser) multiList() pathQuery {
	var parts []pathQuery
	for {
		parts = append(parts, p.expression(0))
		if p.accept("]") {
			break
		}
		p.expect(",")
	}
	return func(r *run, v any) any {
		if r.reveal(v) == nil {
			return nil
		}
		out := &List{}
		for _, q := range parts {
			r.alloc(16)
			out.Items = append(out.Items, q(r, v))
		}
		return out
	}
}

func (p *pathParser) multiHash() pathQuery {
	var names []string
	var parts []pathQuery
	for {
		t := p.next()
		name := t.text
		if t.kind == pathQuoted {
			name, _ = t.value.(string)
		} else if t.kind != pathName {
			p.fail("%q is not the name of a key", t.text)
		}
		p.expect(":")
		names, parts = append(names, name), append(parts, p.expression(0))
		if p.accept("}") {
			break
		}
		p.expect(",")
	}
	return func(r *run, v any) any {
		if r.reveal(v) == nil {
			return nil
		}
		out := NewDict()
		for i, q := range parts {
			r.alloc(48)
			out.Set(names[i], q(r, v))
		}
		return out
	}
}

// pathArgument is an argument of a function: a value, or an expression that the function asks of elements.
type pathArgument struct {
	value pathQuery
	each  pathQuery
}

func (p *pathParser) function(name string) pathQuery {
	p.expect("(")
	var arguments []pathArgument
	for !p.accept(")") {
		if len(arguments) > 0 {
			p.expect(",")
		}
		if p.accept("&") {
			arguments = append(arguments, pathArgument{each: p.expression(0)})
		} else {
			arguments = append(arguments, pathArgument{value: p.expression(0)})
		}
	}
	if !slices.Contains(pathFunctions(), name) {
		p.fail("there is no function %q here; there are %s", name, strings.Join(pathFunctions(), ", "))
	}
	return func(r *run, v any) any {
		c := &pathCall{r: r, name: name, at: v, arguments: arguments}
		return c.answer()
	}
}
