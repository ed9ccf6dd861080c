package jinja

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// pathKind is a kind of token: a sign stands for itself.
type pathKind string

const (
	pathEnd     pathKind = "end"
	pathName    pathKind = "name"
	pathQuoted  pathKind = "quoted name"
	pathNumber  pathKind = "number"
	pathLiteral pathKind = "literal"
)

type pathToken struct {
	kind  pathKind
	text  string
	value any
}

type pathParser struct {
	r      *run
	text   string
	tokens []pathToken
	at     int
}

func (p *pathParser) fail(format string, a ...any) {
	p.r.errorf("json_query: %v", fmt.Errorf(format, a...))
}

var pathForms = regexp.MustCompile(`^(?:(\s+)|([A-Za-z_][A-Za-z0-9_]*)|(-?[0-9]+)|("(?:\\.|[^"\\])*")|('(?:\\'|[^'])*')|(` + "`(?:\\\\`|[^`])*`" + `)|(\|\||&&|==|!=|<=|>=|\[\?|\[\]|[.*@\[\](){}|&<>!:,]))`)

// scan cuts the question into tokens.
func (p *pathParser) scan() {
	for rest := p.text; rest != ""; {
		p.r.spend(1)
		m := pathForms.FindStringSubmatch(rest)
		if m == nil {
			p.fail("%q cannot be read", rest)
		}
		rest = rest[len(m[0]):]
		t := pathToken{text: m[0]}
		switch {
		case m[1] != "":
			continue
		case m[2] != "":
			t.kind = pathName
		case m[3] != "":
			n, err := strconv.Atoi(m[3])
			if err != nil {
				p.fail("the number %s is out of range", m[3])
			}
			t.kind, t.value = pathNumber, n
		case m[4] != "":
			v, err := DecodeJSON([]byte(m[4]))
			if err != nil {
				p.fail("%s is not a quoted name", m[4])
			}
			t.kind, t.value = pathQuoted, v
		case m[5] != "":
			t.kind, t.value = pathLiteral, strings.ReplaceAll(m[5][1:len(m[5])-1], `\'`, `'`)
		case m[6] != "":
			inside := strings.ReplaceAll(m[6][1:len(m[6])-1], "\\`", "`")
			v, err := DecodeJSON([]byte(inside))
			if err != nil { // JMESPath once took bare words for text
				v = strings.TrimLeft(inside, " \t\r\n")
			}
			t.kind, t.value = pathLiteral, v
		default:
			t.kind = pathKind(m[0])
		}
		p.tokens = append(p.tokens, t)
	}
	p.tokens = append(p.tokens, pathToken{kind: pathEnd, text: "the end"})
}
