package jinja

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

type tokenKind int

const (
	tokEOF tokenKind = iota
	tokData
	tokOpen       // {{
	tokClose      // }}
	tokBlockOpen  // {%
	tokBlockClose // %}
	tokName
	tokString
	tokInt
	tokFloat
	tokOp
)

type token struct {
	kind   tokenKind
	text   string
	number any
	pos    int
}

// lexer cuts a template into tokens. Ansible sets trim_blocks: the newline after a statement or a comment is dropped.
type lexer struct {
	r      *run
	text   string
	pos    int
	tokens []token
	raw    bool // within "{{ }}", where Ansible takes backslashes in strings for themselves
}

func (l *lexer) fail(pos int, format string, a ...any) {
	l.r.fail(pos, fmt.Errorf("syntax error: "+format, a...))
}

func (l *lexer) emit(t token) {
	l.r.spend(1)
	l.tokens = append(l.tokens, t)
}

// template cuts a whole template.
func (l *lexer) template() []token {
	for l.pos < len(l.text) {
		rest := l.text[l.pos:]
		at := nextOpening(rest)
		if at < 0 {
			l.emit(token{kind: tokData, text: rest, pos: l.pos})
			l.pos = len(l.text)
			break
		}
		data, opening := rest[:at], rest[at:at+2]
		start := l.pos + at
		l.pos = start + 2
		if strings.HasPrefix(l.text[l.pos:], "-") {
			data = strings.TrimRight(data, whitespace)
			l.pos++
		} else if strings.HasPrefix(l.text[l.pos:], "+") && opening == "{%" {
			l.pos++
		}
		if data != "" {
			l.emit(token{kind: tokData, text: data, pos: start - at})
		}
		switch opening {
		case "{#":
			l.comment(start)
		case "{%":
			l.statement(start)
		default:
			l.emit(token{kind: tokOpen, pos: start})
			l.raw = true
			l.inner("}}")
			l.raw = false
			l.emit(token{kind: tokClose, pos: l.pos})
			l.closing("}}")
			l.r.spans = append(l.r.spans, span{start, l.pos})
		}
	}
	l.emit(token{kind: tokEOF, pos: len(l.text)})
	return l.tokens
}

const whitespace = " \t\r\n\v\f"

func nextOpening(s string) int {
	for i := 0; i+1 < len(s); i++ {
		if s[i] == '{' && (s[i+1] == '{' || s[i+1] == '%' || s[i+1] == '#') {
			return i
		}
	}
	return -1
}

func (l *lexer) comment(start int) {
	end := strings.Index(l.text[l.pos:], "#}")
	if end < 0 {
		l.fail(start, "a comment is not closed with #}")
	}
	strip := end > 0 && l.text[l.pos+end-1] == '-'
	l.pos += end + 2
	l.after(strip, true)
}

// after drops what follows a closing mark: all blanks when it was asked for, else one newline when trim.
func (l *lexer) after(strip, trim bool) {
	if strip {
		l.pos += len(l.text[l.pos:]) - len(strings.TrimLeft(l.text[l.pos:], whitespace))
	} else if trim && strings.HasPrefix(l.text[l.pos:], "\n") {
		l.pos++
	}
}

var (
	rawBegin = regexp.MustCompile(`^\s*raw\s*(-?)%\}`)
	rawEnd   = regexp.MustCompile(`\{%[-+]?\s*endraw\s*[-+]?%\}`)
)

func (l *lexer) statement(start int) {
	if m := rawBegin.FindStringSubmatchIndex(l.text[l.pos:]); m != nil {
		l.verbatim(start, m[1], m[3] > m[2])
		return
	}
	l.emit(token{kind: tokBlockOpen, pos: start})
	l.inner("%}")
	l.emit(token{kind: tokBlockClose, pos: l.pos})
	l.closing("%}")
	l.r.spans = append(l.r.spans, span{start, l.pos})
}

func (l *lexer) verbatim(start, length int, strip bool) {
	l.pos += length
	l.after(strip, true)
	m := rawEnd.FindStringIndex(l.text[l.pos:])
	if m == nil {
		l.fail(start, "raw is not closed with endraw")
	}
	data, mark := l.text[l.pos:l.pos+m[0]], l.text[l.pos+m[0]:l.pos+m[1]]
	if strings.HasPrefix(mark, "{%-") {
		data = strings.TrimRight(data, whitespace)
	}
	if data != "" {
		l.emit(token{kind: tokData, text: data, pos: l.pos})
	}
	l.pos += m[1]
	l.after(strings.HasSuffix(mark, "-%}"), true)
}

// closing eats the closing mark and what it takes with it.
func (l *lexer) closing(mark string) {
	strip := l.text[l.pos] == '-'
	keep := l.text[l.pos] == '+'
	l.pos += len(mark)
	if strip || keep {
		l.pos++
	}
	l.after(strip, mark == "%}" && !keep)
}

// inner cuts an expression or a statement until mark, which is left. An empty mark means until the end.
func (l *lexer) inner(mark string) {
	start, nesting := l.pos, 0
	for {
		l.pos += len(l.text[l.pos:]) - len(strings.TrimLeft(l.text[l.pos:], whitespace))
		rest := l.text[l.pos:]
		if rest == "" {
			if mark != "" {
				l.fail(start, "no %s follows", mark)
			}
			return
		}
		if mark != "" && nesting == 0 && closes(rest, mark) {
			return
		}
		t := l.token(rest)
		if t.kind == tokOp {
			switch t.text {
			case "(", "[", "{":
				nesting++
			case ")", "]", "}":
				nesting--
			}
			if nesting < 0 {
				l.fail(t.pos, "unexpected %q", t.text)
			}
		}
		l.emit(t)
	}
}

func closes(rest, mark string) bool {
	return strings.HasPrefix(rest, mark) || strings.HasPrefix(rest, "-"+mark) || mark == "%}" && strings.HasPrefix(rest, "+"+mark)
}

var (
	floatPattern   = regexp.MustCompile(`^[0-9]+(?:_[0-9]+)*(?:\.[0-9]+(?:_[0-9]+)*)?(?:[eE][+-]?[0-9]+(?:_[0-9]+)*)?`)
	integerPattern = regexp.MustCompile(`^(?:0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[0-9a-fA-F])+|[0-9]+(?:_[0-9]+)*)`)
	namePattern    = regexp.MustCompile(`^[\pL_][\pL\pN\p{Mn}\p{Mc}_]*`)
	operators      = []string{
		"==", "!=", "<=", ">=", "//", "**",
		"+", "-", "*", "/", "%", "~", "<", ">", "=", ".", ",", ":", "|", "(", ")", "[", "]", "{", "}", ";",
	}
)

func (l *lexer) token(rest string) token {
	start := l.pos
	switch c := rest[0]; {
	case c == '\'' || c == '"':
		return l.quoted(rest)
	case c >= '0' && c <= '9':
		return l.number(rest)
	}
	if name := namePattern.FindString(rest); name != "" {
		l.pos += len(name)
		return token{kind: tokName, text: name, pos: start}
	}
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			l.pos += len(op)
			return token{kind: tokOp, text: op, pos: start}
		}
	}
	c, _ := utf8.DecodeRuneInString(rest)
	l.fail(start, "unexpected character %q", c)
	return token{}
}

func (l *lexer) number(rest string) token {
	start := l.pos
	whole, float := integerPattern.FindString(rest), floatPattern.FindString(rest)
	if len(float) > len(whole) && (start == 0 || l.text[start-1] != '.') {
		l.pos += len(float)
		f, err := strconv.ParseFloat(strings.ReplaceAll(float, "_", ""), 64)
		if err != nil || math.IsInf(f, 0) {
			l.fail(start, "the number is out of range")
		}
		return token{kind: tokFloat, number: f, pos: start}
	}
	l.pos += len(whole)
	digits, base := strings.ReplaceAll(whole, "_", ""), 0
	if len(digits) < 2 || digits[1] >= '0' && digits[1] <= '9' {
		base = 10 // 010 is ten here
	}
	n, err := strconv.ParseInt(digits, base, 64)
	if err != nil {
		l.fail(start, "the number is out of range")
	}
	return token{kind: tokInt, number: int(n), pos: start, text: whole}
}

func (l *lexer) quoted(rest string) token {
	start, quote := l.pos, rest[0]
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case quote:
			l.pos += i + 1
			if l.raw && strings.Contains(rest[1:i], `\`+string(quote)) {
				l.fail(start, "a quote behind a backslash ends the string, in Ansible: use the other quotes")
			}
			if l.raw {
				return token{kind: tokString, text: rest[1:i], pos: start}
			}
			text, err := unescape(rest[1:i])
			if err != nil {
				l.fail(start, "%w", err)
			}
			return token{kind: tokString, text: text, pos: start}
		}
	}
	l.fail(start, "a string is not closed")
	return token{}
}

// unescape reads Python's backslash sequences. An unknown one stands for itself.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out.WriteByte(s[i])
			continue
		}
		i++
		if c, ok := simpleEscapes[s[i]]; ok {
			out.WriteString(c)
			continue
		}
		n, err := numericEscape(&out, s[i:])
		if err != nil {
			return "", err
		}
		i += n - 1
	}
	return out.String(), nil
}

var simpleEscapes = map[byte]string{
	'n': "\n", 't': "\t", 'r': "\r", '\\': `\`, '\'': "'", '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v", '\n': "",
}

// numericEscape writes what \x41, \u0041 or \101 stands for; s begins after the backslash. It returns how much it read.
func numericEscape(out *strings.Builder, s string) (int, error) {
	width := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[0]]
	if width > 0 {
		if len(s) < 1+width {
			return 0, errors.New("a truncated escape sequence in a string")
		}
		n, err := strconv.ParseUint(s[1:1+width], 16, 32)
		if err != nil || n > utf8.MaxRune {
			return 0, errors.New("a wrong escape sequence in a string")
		}
		out.WriteRune(rune(n))
		return 1 + width, nil
	}
	digits := 0
	for digits < 3 && digits < len(s) && s[digits] >= '0' && s[digits] <= '7' {
		digits++
	}
	if digits == 0 {
		out.WriteByte('\\')
		out.WriteByte(s[0])
		return 1, nil
	}
	n, err := strconv.ParseUint(s[:digits], 8, 32)
	out.WriteRune(rune(n))
	return digits, err
}
