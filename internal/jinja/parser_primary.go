package jinja

import "strings"

// primary is a literal, a name, or something in brackets.
func (p *parser) primary() node {
	t := p.next()
	switch t.kind {
	case tokName:
		return p.word(t)
	case tokString:
		text := t.text
		for p.peek().kind == tokString {
			text += p.next().text
		}
		return &literal{place(t.pos), text}
	case tokInt, tokFloat:
		return &literal{place(t.pos), t.number}
	case tokOp:
		switch t.text {
		case "(":
			if p.acceptOp(")") {
				return &listNode{place: place(t.pos), tuple: true}
			}
			x := p.tuple(true)
			p.expectOp(")")
			return x
		case "[":
			return p.list(t)
		case "{":
			return p.dict(t)
		}
	case tokEOF, tokData, tokOpen, tokClose, tokBlockOpen, tokBlockClose:
	}
	p.unexpected(t)
	return nil
}

func (p *parser) word(t token) node {
	switch t.text {
	case "true", "True":
		return &literal{place(t.pos), true}
	case "false", "False":
		return &literal{place(t.pos), false}
	case "none", "None":
		return &literal{place(t.pos), nil}
	case "and", "or", "if", "else", "in", "is", "not":
		p.unexpected(t)
	}
	return &nameNode{place(t.pos), t.text}
}

func (p *parser) list(open token) node {
	l := &listNode{place: place(open.pos)}
	for !p.acceptOp("]") {
		if len(l.items) > 0 {
			p.expectOp(",")
			if p.acceptOp("]") {
				break
			}
		}
		l.items = append(l.items, p.expression())
	}
	return l
}

func (p *parser) dict(open token) node {
	d := &dictNode{place: place(open.pos)}
	for !p.acceptOp("}") {
		if len(d.keys) > 0 {
			p.expectOp(",")
			if p.acceptOp("}") {
				break
			}
		}
		d.keys = append(d.keys, p.expression())
		p.expectOp(":")
		d.values = append(d.values, p.expression())
	}
	return d
}

// postfix is attributes, items and calls after a primary.
func (p *parser) postfix(x node) node {
	for {
		p.r.spend(1)
		t := p.peek()
		switch {
		case p.acceptOp("."):
			name := p.next()
			switch name.kind {
			case tokName:
				x = &attrNode{place(t.pos), x, name.text}
			case tokInt:
				x = &itemNode{place(t.pos), x, &literal{place(name.pos), name.number}}
			default:
				p.unexpected(name)
			}
			p.noteMethod(name.text)
		case p.acceptOp("["):
			x = p.subscript(x, t)
		case p.isOp("("):
			x = &callNode{place(t.pos), x, p.arguments()}
		default:
			return x
		}
	}
}

// noteMethod remembers that the template changes values in place, so that it gets its own copies.
func (p *parser) noteMethod(name string) {
	switch name {
	case "append", "extend", "insert", "pop", "popitem", "remove", "update", "setdefault", "reverse", "sort", "clear":
		p.r.mutates = true
	}
}

func (p *parser) subscript(x node, open token) node {
	var bounds [3]node
	n, colons := 0, 0
	for !p.acceptOp("]") {
		switch {
		case p.acceptOp(":"):
			colons++
			n = colons
		case n < 3 && bounds[n] == nil:
			bounds[n] = p.expression()
			if colons == 0 && p.acceptOp(",") {
				p.fail(open, "a subscript of several values")
			}
		default:
			p.unexpected(p.peek())
		}
		if colons > 2 {
			p.unexpected(p.peek())
		}
	}
	if colons > 0 {
		return &sliceNode{place(open.pos), x, bounds[0], bounds[1], bounds[2]}
	}
	if bounds[0] == nil {
		p.fail(open, "an empty subscript")
	}
	return &itemNode{place(open.pos), x, bounds[0]}
}

// arguments parses "(a, *b, c=d, **e)".
func (p *parser) arguments() argNodes {
	p.expectOp("(")
	var a argNodes
	for first := true; !p.acceptOp(")"); first = false {
		if !first {
			p.expectOp(",")
			if p.acceptOp(")") {
				break
			}
		}
		p.argument(&a)
	}
	return a
}

func (p *parser) argument(a *argNodes) {
	t := p.peek()
	switch {
	case p.acceptOp("*"):
		a.star = p.expression()
	case p.acceptOp("**"):
		a.starStar = p.expression()
	case t.kind == tokName && p.tokens[p.i+1].kind == tokOp && p.tokens[p.i+1].text == "=":
		p.i += 2
		a.names = append(a.names, t.text)
		a.named = append(a.named, p.expression())
	default:
		if len(a.names) > 0 || a.starStar != nil {
			p.fail(t, "a positional argument follows a named one")
		}
		a.positional = append(a.positional, p.expression())
	}
}

// filters is "| filter", "is test" and calls, which bind tighter than any operator.
func (p *parser) filters(x node) node {
	for {
		t := p.peek()
		switch {
		case p.isOp("|"):
			p.next()
			x = p.filter(x)
		case p.isName("is"):
			p.next()
			x = p.test(x, t)
		case p.isOp("("):
			x = &callNode{place(t.pos), x, p.arguments()}
		default:
			return x
		}
	}
}

func (p *parser) filter(x node) node {
	p.r.spend(1)
	pos := p.peek().pos
	f := &filterNode{place: place(pos), x: x, name: p.dotted()}
	if p.isOp("(") {
		f.args = p.arguments()
	}
	return f
}

// dotted is the name of a filter or a test, such as ansible.utils.ipaddr.
func (p *parser) dotted() string {
	parts := []string{p.expectName().text}
	for p.acceptOp(".") {
		parts = append(parts, p.expectName().text)
	}
	return strings.Join(parts, ".")
}

func (p *parser) test(x node, is token) node {
	p.r.spend(1)
	n := &testNode{place: place(is.pos), x: x, not: p.acceptName("not")}
	n.name = p.dotted()
	t := p.peek()
	switch {
	case p.isOp("("):
		n.args = p.arguments()
	case p.isName("is"):
		p.fail(t, "tests cannot be chained with is")
	case t.kind == tokName && t.text != "else" && t.text != "or" && t.text != "and" && t.text != "in" && t.text != "not" && t.text != "if",
		t.kind == tokString, t.kind == tokInt, t.kind == tokFloat,
		t.kind == tokOp && (t.text == "[" || t.text == "{"):
		n.args.positional = []node{p.postfix(p.primary())}
	}
	return n
}
