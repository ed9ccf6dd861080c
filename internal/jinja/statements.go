package jinja

import "strings"

// statement is a part of a template's body.
type (
	dataStatement struct{ text string }
	emitStatement struct{ x node }
	setStatement  struct {
		place
		targets target
		x       node // nil: the body's text
		filters []*filterNode
		body    []any
	}
	ifStatement struct {
		tests  []node
		bodies [][]any
		other  []any
	}
	forStatement struct {
		place
		targets   target
		x, filter node
		body      []any
		other     []any
	}
	withStatement struct {
		targets []target
		values  []node
		body    []any
	}
	filterStatement struct {
		filters []*filterNode
		body    []any
	}
)

// target is what is assigned to: a name, an attribute of a namespace, or several of them.
type target struct {
	name, attribute string
	several         []target
}

// parseTemplate parses the run's text.
func parseTemplate(r *run) []any {
	l := &lexer{r: r, text: r.text}
	p := &parser{r: r, tokens: l.template()}
	body, _ := p.body()
	return body
}

// body parses until one of the words, which it returns and eats; with no words, until the end.
func (p *parser) body(until ...string) (body []any, end string) {
	defer p.r.deeper()()
	for {
		t := p.next()
		switch t.kind {
		case tokEOF:
			if len(until) > 0 {
				p.fail(t, "expected %s before the end", strings.Join(until, " or "))
			}
			return body, ""
		case tokData:
			body = append(body, &dataStatement{t.text})
		case tokOpen:
			body = append(body, &emitStatement{p.tuple(true)})
			if end := p.next(); end.kind != tokClose {
				p.unexpected(end)
			}
		case tokBlockOpen:
			word := p.expectName()
			for _, u := range until {
				if word.text == u {
					return body, u
				}
			}
			body = append(body, p.statement(word))
		default:
			p.unexpected(t)
		}
	}
}

// closeBlock eats the end of a statement.
func (p *parser) closeBlock() {
	if t := p.next(); t.kind != tokBlockClose {
		p.unexpected(t)
	}
}

func (p *parser) statement(word token) any {
	switch word.text {
	case "set":
		return p.set(word)
	case "if":
		return p.ifs()
	case "for":
		return p.loop(word)
	case "with":
		return p.with()
	case "filter":
		s := &filterStatement{filters: p.blockFilters()}
		p.closeBlock()
		s.body, _ = p.body("endfilter")
		p.closeBlock()
		return s
	case "include", "import", "from", "extends", "block", "macro", "call", "do", "break", "continue", "autoescape", "trans":
		p.fail(word, "the statement %q is not available in values of variables", word.text)
	}
	p.fail(word, "unknown statement %q", word.text)
	return nil
}

// blockFilters parses "upper | trim" of a filter block.
func (p *parser) blockFilters() []*filterNode {
	var out []*filterNode
	for {
		f, _ := p.filter(nil).(*filterNode)
		out = append(out, f)
		if !p.acceptOp("|") {
			return out
		}
	}
}

func (p *parser) target() target {
	defer p.r.deeper()()
	var several []target
	for {
		if p.acceptOp("(") {
			several = append(several, p.target())
			p.expectOp(")")
		} else {
			t := p.expectName()
			one := target{name: t.text}
			switch t.text {
			case "true", "false", "none", "True", "False", "None", "in", "is", "if", "else", "not", "and", "or":
				p.unexpected(t)
			}
			if p.acceptOp(".") {
				one.attribute = p.expectName().text
			}
			several = append(several, one)
		}
		if !p.acceptOp(",") {
			break
		}
	}
	if len(several) == 1 {
		return several[0]
	}
	return target{several: several}
}

func (p *parser) set(word token) any {
	s := &setStatement{place: place(word.pos), targets: p.target()}
	if p.acceptOp("=") {
		s.x = p.tuple(true)
		p.closeBlock()
		return s
	}
	if p.acceptOp("|") {
		s.filters = p.blockFilters()
	}
	p.closeBlock()
	s.body, _ = p.body("endset")
	p.closeBlock()
	return s
}

func (p *parser) ifs() any {
	s := &ifStatement{}
	for {
		s.tests = append(s.tests, p.tuple(true))
		p.closeBlock()
		body, end := p.body("elif", "else", "endif")
		s.bodies = append(s.bodies, body)
		switch end {
		case "elif":
			continue
		case "else":
			p.closeBlock()
			s.other, _ = p.body("endif")
		}
		p.closeBlock()
		return s
	}
}

func (p *parser) loop(word token) any {
	s := &forStatement{place: place(word.pos), targets: p.target()}
	if !p.acceptName("in") {
		p.fail(p.peek(), "expected in")
	}
	s.x = p.tuple(false)
	if p.acceptName("if") {
		s.filter = p.expression()
	}
	if p.isName("recursive") {
		p.fail(p.peek(), "recursive loops are not available in values of variables")
	}
	p.closeBlock()
	var end string
	s.body, end = p.body("else", "endfor")
	if end == "else" {
		p.closeBlock()
		s.other, _ = p.body("endfor")
	}
	p.closeBlock()
	return s
}

func (p *parser) with() any {
	s := &withStatement{}
	for p.peek().kind != tokBlockClose {
		if len(s.targets) > 0 {
			p.expectOp(",")
		}
		t := p.expectName()
		p.expectOp("=")
		s.targets = append(s.targets, target{name: t.text})
		s.values = append(s.values, p.expression())
	}
	p.closeBlock()
	s.body, _ = p.body("endwith")
	p.closeBlock()
	return s
}
