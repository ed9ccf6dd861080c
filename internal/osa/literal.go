package osa

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// pythonLiteral reads a value as Python's ast.literal_eval does, which Ansible applies to each value of an INI
// inventory: numbers, quoted text, None, True, False, and lists, tuples and dicts of them; a comment may follow.
// Anything else is not ok, and stays text. Sets, bytes and complex numbers, which no variable of OpenStack-Ansible is,
// stay text too.
func pythonLiteral(text string) (v Value, ok bool) {
	p := &literalReader{text: strings.TrimLeft(text, " \t")}
	v, ok = p.value(0)
	if !ok {
		return nil, false
	}
	p.blanks()
	if p.peek() == ',' { // a bare tuple: 1, 2
		items := []Value{v}
		for p.accept(',') {
			p.blanks()
			if p.at == len(p.text) {
				break
			}
			item, ok := p.value(0)
			if !ok {
				return nil, false
			}
			items = append(items, item)
			p.blanks()
		}
		v = NewList(items...)
	}
	return v, p.at == len(p.text)
}

type literalReader struct {
	text string
	at   int
}

func (p *literalReader) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *literalReader) accept(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

// blanks skips blanks, and a comment to the end of the line.
func (p *literalReader) blanks() {
	for p.at < len(p.text) && strings.IndexByte(" \t\f\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
	if p.peek() == '#' {
		p.at = len(p.text)
	}
}

func (p *literalReader) value(depth int) (Value, bool) {
	if depth > maxYAMLDepth {
		return nil, false
	}
	p.blanks()
	switch c := p.peek(); {
	case c == '[':
		items, _, ok := p.items(']', depth)
		return NewList(items...), ok
	case c == '(':
		items, commas, ok := p.items(')', depth)
		if ok && len(items) == 1 && commas == 0 {
			return items[0], true
		}
		return NewList(items...), ok
	case c == '{':
		return p.dict(depth)
	case c == '\'' || c == '"' || c == 'u' || c == 'U' || c == 'r' || c == 'R':
		return p.strings()
	case c == '-' || c == '+':
		p.at++
		v, ok := p.number()
		if ok && c == '-' {
			v = negated(v)
		}
		return v, ok
	case c >= '0' && c <= '9' || c == '.':
		return p.number()
	}
	for word, v := range map[string]Value{"None": nil, "True": true, "False": false} {
		if rest, ok := strings.CutPrefix(p.text[p.at:], word); ok && !startsWord(rest) {
			p.at += len(word)
			return v, true
		}
	}
	return nil, false
}

func startsWord(s string) bool {
	c, _ := utf8.DecodeRuneInString(s)
	return s != "" && (c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf)
}

// items reads the elements of a list or tuple.
func (p *literalReader) items(end byte, depth int) (items []Value, commas int, ok bool) {
	p.at++
	for {
		p.blanks()
		if p.accept(end) {
			return items, commas, true
		}
		if len(items) > commas { // an element without a comma behind it
			return nil, 0, false
		}
		v, ok := p.value(depth + 1)
		if !ok {
			return nil, 0, false
		}
		items = append(items, v)
		p.blanks()
		if p.accept(',') {
			commas++
		}
	}
}

func (p *literalReader) dict(depth int) (Value, bool) {
	p.at++
	m := &Map{}
	for first := true; ; first = false {
		p.blanks()
		if p.accept('}') {
			return m, true
		}
		if !first {
			if !p.accept(',') {
				return nil, false
			}
			p.blanks()
			if p.accept('}') {
				return m, true
			}
		}
		key, ok := p.value(depth + 1)
		switch key.(type) {
		case *List, *Map:
			return nil, false
		}
		p.blanks()
		if !ok || !p.accept(':') {
			return nil, false
		}
		v, ok := p.value(depth + 1)
		if !ok {
			return nil, false
		}
		m.Set(key, v, Pos{})
	}
}

var (
	pythonFloatForm   = regexp.MustCompile(`^(?:\d+(?:_\d+)*\.(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:[eE][-+]?\d+(?:_\d+)*)?|^\d+(?:_\d+)*[eE][-+]?\d+(?:_\d+)*`)
	pythonIntegerForm = regexp.MustCompile(`^(?:0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|[1-9](?:_?\d)*|0(?:_?0)*)`)
)

func (p *literalReader) number() (Value, bool) {
	p.blanks()
	rest := p.text[p.at:]
	if s := pythonFloatForm.FindString(rest); s != "" && !startsWord(rest[len(s):]) {
		p.at += len(s)
		f, _ := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64) // out of range is infinite, as in Python
		return f, true
	}
	s := pythonIntegerForm.FindString(rest)
	if s == "" || len(s) > 4300 || startsWord(rest[len(s):]) || strings.HasPrefix(rest[len(s):], ".") {
		return nil, false
	}
	n, ok := new(big.Int).SetString(strings.ReplaceAll(s, "_", ""), 0)
	if strings.Trim(s, "0_") == "" {
		n, ok = new(big.Int), true
	}
	if !ok {
		return nil, false
	}
	p.at += len(s)
	return smallest(n), true
}

func negated(v Value) Value {
	switch n := v.(type) {
	case int64:
		return smallest(new(big.Int).Neg(big.NewInt(n)))
	case *big.Int:
		return smallest(new(big.Int).Neg(n))
	case float64:
		return -n
	}
	return v
}

// strings reads text, of several literals side by side.
func (p *literalReader) strings() (Value, bool) {
	var out []byte
	for {
		raw := false
		switch p.peek() {
		case 'u', 'U':
			p.at++
		case 'r', 'R':
			raw = true
			p.at++
		}
		quote := p.peek()
		if quote != '\'' && quote != '"' {
			return nil, false
		}
		var ok bool
		if out, ok = p.string(out, quote, raw); !ok {
			return nil, false
		}
		p.blanks()
		if strings.IndexByte("'\"uUrR", p.peek()) < 0 || p.at == len(p.text) {
			return string(out), true
		}
	}
}

func (p *literalReader) string(out []byte, quote byte, raw bool) ([]byte, bool) {
	end := string(quote)
	if triple := strings.Repeat(end, 3); strings.HasPrefix(p.text[p.at:], triple) {
		end = triple
	}
	for p.at += len(end); p.at < len(p.text); {
		switch rest := p.text[p.at:]; {
		case strings.HasPrefix(rest, end):
			p.at += len(end)
			return out, true
		case rest[0] == '\\' && len(rest) > 1 && raw:
			out = append(out, rest[:2]...)
			p.at += 2
		case rest[0] == '\\' && len(rest) > 1:
			var ok bool
			if out, ok = p.escape(out); !ok {
				return nil, false
			}
		default:
			out = append(out, rest[0])
			p.at++
		}
	}
	return nil, false
}

// escape reads what a backslash begins. An escape that Python does not know stands for itself.
func (p *literalReader) escape(out []byte) ([]byte, bool) {
	c := p.text[p.at+1]
	if i := strings.IndexByte(`abfnrtv\'"`, c); i >= 0 {
		p.at += 2
		return append(out, "\a\b\f\n\r\t\v\\'\""[i]), true
	}
	digits, base, most := p.text[p.at+2:], 16, 0
	switch c {
	case 'x':
		most = 2
	case 'u':
		most = 4
	case 'U':
		most = 8
	case 'N':
		return nil, false // a name of Unicode's
	case '0', '1', '2', '3', '4', '5', '6', '7':
		digits, base = p.text[p.at+1:], 8
		for most < 3 && most < len(digits) && digits[most] >= '0' && digits[most] <= '7' {
			most++
		}
		p.at--
	default:
		p.at += 2
		return append(out, '\\', c), true
	}
	if len(digits) < most {
		return nil, false
	}
	n, err := strconv.ParseUint(digits[:most], base, 32)
	if err != nil || n > utf8.MaxRune {
		return nil, false
	}
	p.at += 2 + most
	return appendWide(out, rune(n)), true
}
