package api

import (
	"encoding/json"
	"errors"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// pythonText is Python's str() of a label's value, because that is what Magnum stores and clients compare with: true is
// "True", 1e3 is "1000.0". Only plain values have one.
func pythonText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		if v {
			return "True", true
		}
		return "False", true
	case json.Number:
		return pythonNumber(v.String())
	}
	return "", false
}

func pythonNumber(text string) (string, bool) {
	if !strings.ContainsAny(text, ".eE") {
		if text == "-0" {
			text = "0" // Python has no negative whole zero
		}
		return text, len(text) <= 256
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return "", false
	}
	out := strconv.FormatFloat(x, 'e', -1, 64)
	_, tail, _ := strings.Cut(out, "e")
	// repr() leaves plain notation below 1e-4 and from 1e16 on.
	if exp, err := strconv.Atoi(tail); err == nil && exp >= -4 && exp < 16 {
		out = strconv.FormatFloat(x, 'f', -1, 64)
		if !strings.Contains(out, ".") {
			out += ".0"
		}
	}
	return out, true
}

const (
	maxLiteral      = 256 << 10
	maxLiteralDepth = 16
)

var errLiteral = errors.New("malformed node or string")

// parseLiteral reads what ast.literal_eval would: dictionaries, lists, tuples, strings, numbers, True, False and None,
// and JSON's true, false and null besides. Clients send dictionaries in patches as Python's repr. Nothing is evaluated;
// depth and size are bounded. Values are those of encoding/json with numbers as json.Number.
func parseLiteral(s string) (any, error) {
	if len(s) > maxLiteral || !utf8.ValidString(s) {
		return nil, errLiteral
	}
	p := &literal{rest: s}
	v, ok := p.value(0)
	p.space()
	if !ok || p.rest != "" {
		return nil, errLiteral
	}
	return v, nil
}

type literal struct{ rest string }

func (p *literal) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n\f") }

// skip takes token, after any space, if it is what comes next.
func (p *literal) skip(token string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *literal) value(depth int) (any, bool) {
	p.space()
	if depth > maxLiteralDepth || p.rest == "" {
		return nil, false
	}
	switch p.rest[0] {
	case '{':
		return p.dict(depth)
	case '[':
		return p.list("[", "]", depth)
	case '(':
		return p.list("(", ")", depth)
	case '+', '-', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return p.number()
	}
	if text, ok := p.texts(); ok {
		return text, true
	}
	n := strings.IndexFunc(p.rest, func(r rune) bool { return r != '_' && (r < 'A' || r > 'z' || r > 'Z' && r < 'a') })
	if n < 0 {
		n = len(p.rest)
	}
	word := p.rest[:n]
	p.rest = p.rest[n:]
	switch word {
	case "True", "true":
		return true, true
	case "False", "false":
		return false, true
	case "None", "null":
		return nil, true
	}
	return nil, false
}

func (p *literal) dict(depth int) (any, bool) {
	p.skip("{")
	out := map[string]any{}
	for !p.skip("}") {
		key, ok := p.value(depth + 1)
		name, isText := key.(string)
		if !ok || !isText || !p.skip(":") {
			return nil, false
		}
		if out[name], ok = p.value(depth + 1); !ok {
			return nil, false
		}
		if !p.skip(",") {
			return out, p.skip("}")
		}
	}
	return out, true
}

// list reads a list or a tuple. One value in parentheses is that value.
func (p *literal) list(left, right string, depth int) (any, bool) {
	p.skip(left)
	out, comma := []any{}, false
	for !p.skip(right) {
		v, ok := p.value(depth + 1)
		if !ok {
			return nil, false
		}
		out = append(out, v)
		if p.skip(",") {
			comma = true
			continue
		}
		if !p.skip(right) {
			return nil, false
		}
		break
	}
	if left == "(" && len(out) == 1 && !comma {
		return out[0], true
	}
	return out, true
}

func (p *literal) number() (any, bool) {
	n := strings.IndexFunc(p.rest, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEFxXoO_+-.", r) })
	if n < 0 {
		n = len(p.rest)
	}
	text := p.rest[:n]
	p.rest = p.rest[n:]
	plain := strings.TrimLeft(text, "+-")
	if len(text)-len(plain) > 1 || plain == "" || len(text) > 256 {
		return nil, false
	}
	sign := strings.TrimPrefix(text[:len(text)-len(plain)], "+")
	zeros := strings.Trim(plain, "0_") == "" && plain[0] == '0'
	octal := len(plain) > 1 && plain[0] == '0' && plain[1] >= '0' && plain[1] <= '9'
	if whole, ok := new(big.Int).SetString(plain, 0); ok && (zeros || !octal) {
		return json.Number(sign + whole.String()), true
	}
	if strings.ContainsAny(plain, "xXoO") {
		return nil, false
	}
	x, err := strconv.ParseFloat(strings.ReplaceAll(plain, "_", ""), 64)
	if err != nil || octal && !strings.ContainsAny(plain, ".eE") {
		return nil, false
	}
	return json.Number(sign + strconv.FormatFloat(x, 'e', -1, 64)), true
}

// texts reads string literals; neighbours are one string.
func (p *literal) texts() (string, bool) {
	var out strings.Builder
	found := false
	for {
		p.space()
		quoted := strings.TrimPrefix(strings.TrimPrefix(p.rest, "u"), "U") // Python 2 wrote u'...'
		if quoted == "" || quoted[0] != '\'' && quoted[0] != '"' {
			return out.String(), found
		}
		p.rest = quoted
		if !p.text(&out) {
			return "", false
		}
		found = true
	}
}

// text reads one string literal with single, double or triple quotes.
func (p *literal) text(out *strings.Builder) bool {
	quote := p.rest[:1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(p.rest, triple) {
		quote = triple
	}
	p.rest = p.rest[len(quote):]
	for {
		if rest, ok := strings.CutPrefix(p.rest, quote); ok {
			p.rest = rest
			return true
		}
		if p.rest == "" || p.rest[0] == '\n' && len(quote) == 1 {
			return false
		}
		if p.rest[0] == '\\' {
			if !p.escape(out) {
				return false
			}
			continue
		}
		out.WriteByte(p.rest[0])
		p.rest = p.rest[1:]
	}
}

// escape reads one of Python's escapes. Unknown ones stay as they are, as in Python.
func (p *literal) escape(out *strings.Builder) bool {
	if len(p.rest) < 2 {
		return false
	}
	ch := p.rest[1]
	p.rest = p.rest[2:]
	if i := strings.IndexByte(`\'"abfnrtv/`, ch); i >= 0 {
		out.WriteByte("\\'\"\a\b\f\n\r\t\v/"[i]) // \/ is JSON's
		return true
	}
	width := map[byte]int{'x': 2, 'u': 4, 'U': 8}[ch]
	switch {
	case ch == '\n':
		return true
	case width == 0 && ch >= '0' && ch <= '7':
		return p.octal(out, ch)
	case width == 0:
		out.WriteByte('\\')
		out.WriteByte(ch)
		return true
	case len(p.rest) < width:
		return false
	}
	r, err := strconv.ParseUint(p.rest[:width], 16, 32)
	p.rest = p.rest[width:]
	if err != nil || r > utf8.MaxRune {
		return false
	}
	if low, ok := p.lowSurrogate(ch, r); ok { // JSON writes large runes as a pair
		r = low
	}
	out.WriteRune(rune(r))
	return true
}

func (p *literal) lowSurrogate(ch byte, high uint64) (uint64, bool) {
	if ch != 'u' || high < 0xd800 || high >= 0xdc00 || len(p.rest) < 6 || p.rest[:2] != `\u` {
		return 0, false
	}
	low, err := strconv.ParseUint(p.rest[2:6], 16, 32)
	if err != nil || low < 0xdc00 || low > 0xdfff {
		return 0, false
	}
	p.rest = p.rest[6:]
	return 0x10000 + (high-0xd800)<<10 + (low - 0xdc00), true
}

func (p *literal) octal(out *strings.Builder, first byte) bool {
	r := rune(first - '0')
	for i := 0; i < 2 && p.rest != "" && p.rest[0] >= '0' && p.rest[0] <= '7'; i++ {
		r = r*8 + rune(p.rest[0]-'0')
		p.rest = p.rest[1:]
	}
	out.WriteRune(r)
	return true
}
