package jinja

import "fmt"

// node is an expression. The types below are the whole grammar.
type node interface{ at() int }

type place int

func (p place) at() int { return int(p) }

type (
	literal struct {
		place
		value any
	}
	nameNode struct {
		place
		name string
	}
	listNode struct {
		place
		items []node
		tuple bool
	}
	dictNode struct {
		place
		keys, values []node
	}
	unaryNode struct {
		place
		op string
		x  node
	}
	binaryNode struct {
		place
		op   string
		x, y node
	}
	compareNode struct { // a < b < c
		place
		first node
		ops   []string
		rest  []node
	}
	condNode struct { // then if test else other; other may be nil
		place
		test, then, other node
	}
	attrNode struct {
		place
		x    node
		name string
	}
	itemNode struct {
		place
		x, key node
	}
	sliceNode struct { // each bound may be nil
		place
		x, from, to, step node
	}
	callNode struct {
		place
		fn   node
		args argNodes
	}
	filterNode struct {
		place
		x    node // nil in a filter block: the block's text
		name string
		args argNodes
	}
	testNode struct {
		place
		x    node
		name string
		args argNodes
		not  bool
	}
)

type argNodes struct {
	positional []node
	star       node
	names      []string
	named      []node
	starStar   node
}

type parser struct {
	r      *run
	tokens []token
	i      int
}

// parseExpression parses the whole text as one expression.
func parseExpression(r *run) node {
	l := &lexer{r: r, text: r.text}
	l.inner("")
	l.emit(token{kind: tokEOF, pos: len(r.text)})
	p := &parser{r: r, tokens: l.tokens}
	x := p.tuple(true)
	if t := p.peek(); t.kind != tokEOF {
		p.unexpected(t)
	}
	return x
}

func (p *parser) peek() token { return p.tokens[p.i] }

func (p *parser) next() token {
	t := p.tokens[p.i]
	if t.kind != tokEOF {
		p.i++
	}
	return t
}

func (p *parser) isOp(text string) bool { t := p.peek(); return t.kind == tokOp && t.text == text }

func (p *parser) isName(text string) bool { t := p.peek(); return t.kind == tokName && t.text == text }

func (p *parser) acceptOp(text string) bool {
	if p.isOp(text) {
		p.i++
		return true
	}
	return false
}

func (p *parser) acceptName(text string) bool {
	if p.isName(text) {
		p.i++
		return true
	}
	return false
}

func (p *parser) expectOp(text string) {
	if !p.acceptOp(text) {
		p.fail(p.peek(), "expected %q, found %s", text, describe(p.peek()))
	}
}

func (p *parser) expectName() token {
	t := p.next()
	if t.kind != tokName {
		p.fail(t, "expected a name, found %s", describe(t))
	}
	return t
}

func (p *parser) fail(t token, format string, a ...any) {
	p.r.fail(t.pos, fmt.Errorf("syntax error: "+format, a...))
}

func (p *parser) unexpected(t token) { p.fail(t, "unexpected %s", describe(t)) }

func describe(t token) string {
	switch t.kind {
	case tokEOF:
		return "the end"
	case tokData, tokOpen:
		return "the start of an expression"
	case tokClose:
		return `"}}"`
	case tokBlockOpen, tokBlockClose:
		return `"%}"`
	case tokString:
		return "a string"
	case tokInt, tokFloat:
		return "a number"
	case tokName, tokOp:
	}
	return fmt.Sprintf("%q", t.text)
}

// tuple parses "a" or "a, b". Without a comma it is the expression itself.
func (p *parser) tuple(conditional bool) node {
	pos := p.peek().pos
	var items []node
	comma := false
	for !p.endsTuple() {
		if conditional {
			items = append(items, p.expression())
		} else {
			items = append(items, p.or())
		}
		if comma = p.acceptOp(","); !comma {
			break
		}
	}
	if len(items) == 1 && !comma {
		return items[0]
	}
	if len(items) == 0 {
		p.unexpected(p.peek())
	}
	return &listNode{place: place(pos), items: items, tuple: true}
}

func (p *parser) endsTuple() bool {
	t := p.peek()
	return t.kind == tokEOF || t.kind == tokClose || t.kind == tokBlockClose || t.kind == tokOp && t.text == ")"
}

// expression is "a if test else b" and everything that binds tighter.
func (p *parser) expression() node {
	defer p.r.deeper()()
	x := p.or()
	for p.isName("if") {
		pos := p.next().pos
		c := &condNode{place: place(pos), then: x, test: p.or()}
		if p.acceptName("else") {
			c.other = p.expression()
		}
		x = c
	}
	return x
}

func (p *parser) or() node {
	x := p.and()
	for p.isName("or") {
		pos := p.next().pos
		x = &binaryNode{place: place(pos), op: "or", x: x, y: p.and()}
	}
	return x
}

func (p *parser) and() node {
	x := p.not()
	for p.isName("and") {
		pos := p.next().pos
		x = &binaryNode{place: place(pos), op: "and", x: x, y: p.not()}
	}
	return x
}

func (p *parser) not() node {
	if p.isName("not") {
		defer p.r.deeper()()
		pos := p.next().pos
		return &unaryNode{place: place(pos), op: "not", x: p.not()}
	}
	return p.compare()
}

func (p *parser) compare() node {
	pos := p.peek().pos
	c := &compareNode{place: place(pos), first: p.sum()}
	for {
		t := p.peek()
		switch {
		case t.kind == tokOp && (t.text == "==" || t.text == "!=" || t.text == "<" || t.text == "<=" || t.text == ">" || t.text == ">="):
			p.next()
			c.ops = append(c.ops, t.text)
		case p.isName("in"):
			p.next()
			c.ops = append(c.ops, "in")
		case p.isName("not") && p.tokens[p.i+1].kind == tokName && p.tokens[p.i+1].text == "in":
			p.i += 2
			c.ops = append(c.ops, "not in")
		default:
			if len(c.ops) == 0 {
				return c.first
			}
			return c
		}
		c.rest = append(c.rest, p.sum())
	}
}

// chain parses a left-associative level.
func (p *parser) chain(next func() node, ops ...string) node {
	x := next()
	for {
		t := p.peek()
		found := false
		for _, op := range ops {
			found = found || t.kind == tokOp && t.text == op
		}
		if !found {
			return x
		}
		p.next()
		x = &binaryNode{place: place(t.pos), op: t.text, x: x, y: next()}
	}
}

func (p *parser) sum() node     { return p.chain(p.concat, "+", "-") }
func (p *parser) concat() node  { return p.chain(p.product, "~") }
func (p *parser) product() node { return p.chain(p.power, "*", "/", "//", "%") }
func (p *parser) power() node {
	return p.chain(func() node { return p.unary(true) }, "**")
}

func (p *parser) unary(filters bool) node {
	defer p.r.deeper()()
	t := p.peek()
	var x node
	switch {
	case p.acceptOp("-"):
		x = &unaryNode{place: place(t.pos), op: "-", x: p.unary(false)}
	case p.acceptOp("+"):
		x = &unaryNode{place: place(t.pos), op: "+", x: p.unary(false)}
	default:
		x = p.primary()
	}
	x = p.postfix(x)
	if filters {
		x = p.filters(x)
	}
	return x
}
