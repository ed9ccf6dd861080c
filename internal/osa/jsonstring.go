package osa

import (
	"math"
	"unicode/utf16"
	"unicode/utf8"
)

func literals() [6]literal {
	return [6]literal{
		{"null", nil},
		{"true", true},
		{"false", false},
		{"NaN", math.NaN()},
		{"Infinity", math.Inf(1)},
		{"-Infinity", math.Inf(-1)},
	}
}

// string reads a string. A surrogate without its other half, which Python keeps, is kept in the three bytes that UTF-8
// would give it; the writer knows them.
func (p *jsonReader) string() (string, error) {
	p.at++
	start := p.at
	for p.at < len(p.text) && p.text[p.at] != '"' && p.text[p.at] != '\\' && p.text[p.at] >= 0x20 {
		p.at++
	}
	if p.peek() == '"' {
		p.at++
		return string(p.text[start : p.at-1]), nil
	}
	out := append([]byte(nil), p.text[start:p.at]...)
	for {
		switch c := p.peek(); {
		case p.at == len(p.text):
			return "", p.fail("the text ends inside a string")
		case c == '"':
			p.at++
			return string(out), nil
		case c < 0x20:
			return "", p.fail("a control character inside a string")
		case c != '\\':
			out = append(out, c)
			p.at++
		default:
			var err error
			if out, err = p.escape(out); err != nil {
				return "", err
			}
		}
	}
}

func (p *jsonReader) escape(out []byte) ([]byte, error) {
	p.at++
	c := p.peek()
	p.at++
	switch c {
	case '"', '\\', '/':
		return append(out, c), nil
	case 'b':
		return append(out, '\b'), nil
	case 'f':
		return append(out, '\f'), nil
	case 'n':
		return append(out, '\n'), nil
	case 'r':
		return append(out, '\r'), nil
	case 't':
		return append(out, '\t'), nil
	case 'u':
		r, ok := p.hex4()
		if !ok {
			return nil, p.fail("\\u needs four hexadecimal digits")
		}
		if utf16.IsSurrogate(r) && p.starts(`\u`) {
			mark := p.at
			p.at += 2
			low, ok := p.hex4()
			if both := utf16.DecodeRune(r, low); ok && both != utf8.RuneError {
				return utf8.AppendRune(out, both), nil
			}
			p.at = mark
		}
		return appendWide(out, r), nil
	}
	p.at--
	return nil, p.fail("an unknown escape in a string")
}

func (p *jsonReader) hex4() (rune, bool) {
	if len(p.text)-p.at < 4 {
		return 0, false
	}
	var r rune
	for _, c := range p.text[p.at : p.at+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	p.at += 4
	return r, true
}

// appendWide appends a rune, and a surrogate as if it were one.
func appendWide(out []byte, r rune) []byte {
	if utf16.IsSurrogate(r) {
		return append(out, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0xBF, 0x80|byte(r)&0xBF)
	}
	return utf8.AppendRune(out, r)
}

// decodeWide is utf8.DecodeRuneInString that knows what appendWide makes.
func decodeWide(s string) (rune, int) {
	if len(s) >= 3 && s[0] == 0xED && s[1] >= 0xA0 && s[1] < 0xC0 && s[2]&0xC0 == 0x80 {
		return 0xD000 | rune(s[1]&0x3F)<<6 | rune(s[2]&0x3F), 3
	}
	return utf8.DecodeRuneInString(s)
}
