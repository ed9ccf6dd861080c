package policy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxDepth bounds brackets and nots, so that a broken file cannot exhaust the stack.
const maxDepth = 100

// parser reads one check by recursive descent. oslo.policy splits at white space first and then peels brackets off the
// words, so a word may contain brackets ("%(project_id)s") but not start or end with one.
type parser struct {
	tokens   []string
	warnings []string
	depth    int
}

// parseText parses the language. The warnings are for a check that is valid but can never pass.
func parseText(text string) (*check, []string, error) {
	// Blanks alone are not @: oslo.policy fails to parse them, too.
	if text == "" {
		return &check{op: opTrue}, nil, nil
	}
	p := parser{tokens: tokenize(text)}
	k, err := p.or()
	if err == nil && len(p.tokens) > 0 {
		err = fmt.Errorf("%q does not belong here", p.tokens[0])
	}
	return k, p.warnings, err
}

// parseList parses the old form, an or of ands.
func parseList(list [][]string) (*check, []string, error) {
	if len(list) == 0 {
		return &check{op: opTrue}, nil, nil
	}
	var (
		p        parser
		or       = &check{op: opOr}
		problems []error
	)
	for _, words := range list {
		if len(words) == 0 {
			continue // as oslo.policy; [[]] is an or of nothing and refuses
		}
		and := &check{op: opAnd}
		for _, word := range words {
			k, err := p.word(word)
			problems = append(problems, err)
			and.args = append(and.args, k)
		}
		or.args = append(or.args, and)
	}
	return or, p.warnings, errors.Join(problems...)
}

func tokenize(text string) []string {
	var tokens []string
	for _, word := range strings.Fields(text) {
		for strings.HasPrefix(word, "(") {
			tokens, word = append(tokens, "("), word[1:]
		}
		bare := strings.TrimRight(word, ")")
		if bare != "" {
			tokens = append(tokens, bare)
		}
		for range len(word) - len(bare) {
			tokens = append(tokens, ")")
		}
	}
	return tokens
}

func (p *parser) or() (*check, error) {
	return p.joined(opOr, "or", p.and)
}

func (p *parser) and() (*check, error) {
	return p.joined(opAnd, "and", p.not)
}

func (p *parser) joined(o op, operator string, operand func() (*check, error)) (*check, error) {
	first, err := operand()
	if err != nil {
		return nil, err
	}
	k := &check{op: o, args: []*check{first}}
	for p.accept(operator) {
		next, err := operand()
		if err != nil {
			return nil, err
		}
		k.args = append(k.args, next)
	}
	if len(k.args) == 1 {
		return first, nil
	}
	return k, nil
}

func (p *parser) not() (*check, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return nil, fmt.Errorf("more than %d brackets or nots inside each other", maxDepth)
	}
	switch {
	case p.accept("not"):
		k, err := p.not()
		return &check{op: opNot, args: []*check{k}}, err
	case p.accept("("):
		k, err := p.or()
		if err == nil && !p.accept(")") {
			err = errors.New("a bracket is not closed")
		}
		return k, err
	case len(p.tokens) == 0:
		return nil, errors.New("a check is missing at the end")
	}
	word := p.tokens[0]
	switch strings.ToLower(word) {
	case "and", "or", ")":
		return nil, fmt.Errorf("a check is missing before %q", word)
	}
	p.tokens = p.tokens[1:]
	return p.word(word)
}

// accept takes the next token if it is this one. Operators may be in any case of letters.
func (p *parser) accept(token string) bool {
	if len(p.tokens) == 0 || !strings.EqualFold(p.tokens[0], token) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

// word parses one check without operators.
func (p *parser) word(word string) (*check, error) {
	switch word {
	case "@":
		return &check{op: opTrue}, nil
	case "!":
		return &check{op: opFalse}, nil
	}
	kind, match, ok := strings.Cut(word, ":")
	if !ok {
		return nil, fmt.Errorf("%q is no check: write kind:match, such as role:member", word)
	}
	switch kind {
	case "rule":
		return &check{op: opRule, text: match}, nil
	case "is_admin":
		return isAdmin(match)
	case "http", "https", "opa":
		return nil, fmt.Errorf("%q asks another server, which Jeroboam does not do: write the condition into the rule", word)
	}
	want, err := p.template(match)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", word, err)
	}
	if kind == "role" {
		return &check{op: opRole, want: want}, nil
	}
	if text, ok := literal(kind); ok {
		return &check{op: opLiteral, text: text, want: want}, nil
	}
	return p.attribute(kind, word, want)
}

func (p *parser) attribute(kind, word string, want template) (*check, error) {
	if a, ok := newAttribute(kind); ok {
		return &check{op: opMatch, attribute: a, want: want}, nil
	}
	switch kind {
	case "domain_id", "domain", "domain_name", "trust_id", "user_domain_name", "project_domain_name":
		p.warnings = append(p.warnings, fmt.Sprintf("%q never passes: Jeroboam does not know a caller's %s", word, kind))
		return &check{op: opFalse}, nil
	}
	return nil, fmt.Errorf("%q: a caller has no %s; known are role, rule, is_admin, user_id, user_name, user_domain_id, "+
		"project_id, project_name, project_domain_id, roles and system_scope", word, kind)
}

func isAdmin(match string) (*check, error) {
	admin := &check{op: opAdmin}
	switch match {
	case "True":
		return admin, nil
	case "False":
		return &check{op: opNot, args: []*check{admin}}, nil
	default:
		return nil, fmt.Errorf("%q: write is_admin:True or is_admin:False", "is_admin:"+match)
	}
}

// template parses Python's "%(name)s" and "%%".
func (p *parser) template(match string) (template, error) {
	var (
		parts template
		text  strings.Builder
	)
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, part{literal: text.String()})
			text.Reset()
		}
	}
	for {
		before, rest, found := strings.Cut(match, "%")
		text.WriteString(before)
		if !found {
			flush()
			return parts, nil
		}
		if after, ok := strings.CutPrefix(rest, "%"); ok {
			text.WriteByte('%')
			match = after
			continue
		}
		name, after, ok := strings.Cut(strings.TrimPrefix(rest, "("), ")s")
		if !ok || !strings.HasPrefix(rest, "(") {
			return nil, errors.New("write %(name)s for an attribute of the target and %% for a percent sign")
		}
		f, err := p.field(name)
		if err != nil {
			return nil, err
		}
		flush()
		parts = append(parts, part{field: f})
		match = after
	}
}

func (p *parser) field(name string) (field, error) {
	switch name {
	case "project_id", "tenant_id":
		return fieldProjectID, nil
	case "user_id":
		return fieldUserID, nil
	case "trustee_domain_id":
		p.warnings = append(p.warnings, "%(trustee_domain_id)s equals nothing: Jeroboam makes no trustee users")
		return fieldAbsent, nil
	default:
		return fieldNone, fmt.Errorf("a target has no %s; known are project_id and user_id", name)
	}
}

// literal understands the Python constants that make sense on the left side of a check.
func literal(kind string) (string, bool) {
	switch kind {
	case "True", "False", "None":
		return kind, true
	}
	if n := len(kind); n >= 2 && kind[0] == kind[n-1] && (kind[0] == '\'' || kind[0] == '"') {
		return kind[1 : n-1], true
	}
	if n, err := strconv.Atoi(kind); err == nil {
		return strconv.Itoa(n), true
	}
	return "", false
}
