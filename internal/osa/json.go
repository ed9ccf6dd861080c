package osa

import (
	"fmt"
	"math/big"
	"strconv"
	"unicode/utf8"
)

// ReadJSON reads JSON as Python's json.loads does after decoding as ASCII: keys keep their order, the last of
// duplicates wins, integers are exact, NaN and Infinity are numbers, lone surrogates stay. It is strict otherwise.
func ReadJSON(file string, text []byte) (v Value, err error) {
	p := &jsonReader{file: file, text: text, line: 1}
	for i, b := range text {
		if b >= utf8.RuneSelf {
			p.at = i
			p.countLines()
			return nil, p.fail("a byte outside ASCII: the original writes \\u escapes and refuses anything else")
		}
	}
	p.space()
	if v, err = p.value(0); err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.text) {
		return nil, p.fail("text after the end of the value")
	}
	return v, nil
}

const maxJSONDepth = 200

type jsonReader struct {
	file string
	text []byte
	at   int
	line int
}

// JSONError is text that is no JSON.
type JSONError struct {
	Pos  Pos
	Text string
}

// Error names the place.
func (e *JSONError) Error() string { return e.Pos.String() + ": " + e.Text }

func (p *jsonReader) fail(format string, args ...any) error {
	return &JSONError{Pos: p.pos(), Text: fmt.Sprintf(format, args...)}
}

func (p *jsonReader) pos() Pos { return Pos{File: p.file, Line: p.line} }

func (p *jsonReader) countLines() {
	for _, b := range p.text[:p.at] {
		if b == '\n' {
			p.line++
		}
	}
}

func (p *jsonReader) space() {
	for ; p.at < len(p.text); p.at++ {
		switch p.text[p.at] {
		case '\n':
			p.line++
		case ' ', '\t', '\r':
		default:
			return
		}
	}
}

func (p *jsonReader) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *jsonReader) value(depth int) (Value, error) {
	if depth > maxJSONDepth {
		return nil, p.fail("nested more than %d levels deep", maxJSONDepth)
	}
	switch c := p.peek(); {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return p.string()
	case c == '-' && !p.starts("-Infinity") || c >= '0' && c <= '9':
		return p.number()
	}
	for _, word := range literals() {
		if p.starts(word.text) {
			p.at += len(word.text)
			return word.value, nil
		}
	}
	if p.at == len(p.text) {
		return nil, p.fail("the text ends where a value should be")
	}
	return nil, p.fail("a value cannot start with %q", p.peek())
}

func (p *jsonReader) starts(word string) bool {
	return len(p.text)-p.at >= len(word) && string(p.text[p.at:p.at+len(word)]) == word
}

func (p *jsonReader) object(depth int) (Value, error) {
	m := &Map{Pos: p.pos()}
	p.at++
	if p.space(); p.peek() == '}' {
		p.at++
		return m, nil
	}
	for {
		if p.peek() != '"' {
			return nil, p.fail("expected a key in double quotes")
		}
		pos := p.pos()
		key, err := p.string()
		if err != nil {
			return nil, err
		}
		if p.space(); p.peek() != ':' {
			return nil, p.fail("expected a colon after the key %q", key)
		}
		p.at++
		p.space()
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		m.Set(key, v, pos)
		if done, err := p.next('}'); err != nil || done {
			return m, err
		}
	}
}

func (p *jsonReader) array(depth int) (Value, error) {
	l := &List{Pos: p.pos()}
	p.at++
	if p.space(); p.peek() == ']' {
		p.at++
		return l, nil
	}
	for {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, v)
		if done, err := p.next(']'); err != nil || done {
			return l, err
		}
	}
}

// next reads what follows an element: the end, or a comma and what is before the next element.
func (p *jsonReader) next(end byte) (bool, error) {
	p.space()
	switch p.peek() {
	case end:
		p.at++
		return true, nil
	case ',':
		p.at++
		p.space()
		return false, nil
	}
	return false, p.fail("expected a comma or %q", end)
}

func (p *jsonReader) number() (Value, error) {
	start, float := p.at, false
	digits := func() int {
		from := p.at
		for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
			p.at++
		}
		return p.at - from
	}
	if p.peek() == '-' {
		p.at++
	}
	if p.peek() == '0' {
		p.at++
	} else if digits() == 0 {
		return nil, p.fail("a minus sign without a number")
	}
	if mark := p.at; p.peek() == '.' {
		if p.at++; digits() == 0 {
			p.at = mark
			return nil, p.fail("a decimal point without digits")
		}
		float = true
	}
	if mark := p.at; p.peek() == 'e' || p.peek() == 'E' {
		p.at++
		if p.peek() == '+' || p.peek() == '-' {
			p.at++
		}
		if digits() == 0 {
			p.at = mark
			return nil, p.fail("an exponent without digits")
		}
		float = true
	}
	s := string(p.text[start:p.at])
	if float {
		f, _ := strconv.ParseFloat(s, 64) // the syntax is checked; a value out of range is infinite in Python too
		return f, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	if len(s) > 4300 {
		return nil, p.fail("an integer of %d digits", len(s))
	}
	n, _ := new(big.Int).SetString(s, 10)
	return n, nil
}

type literal struct {
	text  string
	value Value
}
