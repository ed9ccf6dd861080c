package api

import (
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// An object writes JSON by appending, without reflection: answers are most of what this service does. Every field ends
// with a comma, and closing takes the last one back.
type object struct{ b []byte }

func (o *object) raw(s string) { o.b = append(o.b, s...) }
func (o *object) open()        { o.b = append(o.b, '{') }
func (o *object) close()       { o.end('}') }

func (o *object) end(bracket byte) {
	if n := len(o.b) - 1; o.b[n] == ',' {
		o.b = o.b[:n]
	}
	o.b = append(o.b, bracket)
}

// key starts a field. Names are ours and need no escaping.
func (o *object) key(name string) {
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *object) str(name, v string) {
	o.key(name)
	o.b = append(appendString(o.b, v), ',')
}

// text is a string that is null when empty, as Magnum shows what was never set.
func (o *object) text(name, v string) {
	if v == "" {
		o.null(name)
		return
	}
	o.str(name, v)
}

func (o *object) null(name string) {
	o.key(name)
	o.raw("null,")
}

func (o *object) integer(name string, v int) { o.long(name, int64(v)) }

func (o *object) long(name string, v int64) {
	o.key(name)
	o.b = append(strconv.AppendInt(o.b, v, 10), ',')
}

// size is a number that is null when 0.
func (o *object) size(name string, v int) {
	if v == 0 {
		o.null(name)
		return
	}
	o.integer(name, v)
}

func (o *object) boolean(name string, v bool) {
	o.key(name)
	o.b = append(strconv.AppendBool(o.b, v), ',')
}

// Magnum's dates carry an offset in digits, and microseconds only where an object was not read back.
const dateFormat = "2006-01-02T15:04:05+00:00"

func (o *object) date(name string, t time.Time) {
	if t.IsZero() {
		o.null(name)
		return
	}
	o.key(name)
	o.b = append(o.b, '"')
	o.b = t.UTC().AppendFormat(o.b, dateFormat)
	o.b = append(o.b, '"', ',')
}

// dict writes keys in order, so that equal things look equal.
func (o *object) dict(name string, m map[string]string) {
	o.key(name)
	o.open()
	var few [32]string // most maps are small: no allocation for the keys
	keys := few[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		o.entry(k, m[k])
	}
	o.close()
	o.raw(",")
}

func (o *object) entry(k, v string) {
	o.b = append(appendString(o.b, k), ':')
	o.b = append(appendString(o.b, v), ',')
}

func (o *object) list(name string, items []string) {
	o.key(name)
	o.raw("[")
	for _, s := range items {
		o.b = append(appendString(o.b, s), ',')
	}
	o.end(']')
	o.raw(",")
}

// links are the two addresses of a thing: with and without the API's version. parts follow the base URL.
func (o *object) links(base string, parts ...string) {
	o.raw(`"links":[{"href":`)
	o.address(base+"/v1", parts)
	o.raw(`,"rel":"self"},{"href":`)
	o.address(base, parts)
	o.raw(`,"rel":"bookmark"}],`)
}

func (o *object) address(base string, parts []string) {
	o.raw(`"`)
	o.b = appendEscaped(o.b, base)
	for _, p := range parts {
		o.b = appendEscaped(append(o.b, '/'), p)
	}
	o.raw(`"`)
}

func appendString(b []byte, s string) []byte {
	return append(appendEscaped(append(b, '"'), s), '"')
}

// appendEscaped writes the inside of a JSON string; what is not UTF-8 becomes U+FFFD.
func appendEscaped(b []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		ch := s[i]
		if ch >= ' ' && ch < utf8.RuneSelf && ch != '"' && ch != '\\' {
			i++
			continue
		}
		if ch >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
			b = append(append(b, s[from:i]...), `\ufffd`...)
		} else {
			b = appendEscape(append(b, s[from:i]...), ch)
		}
		i++
		from = i
	}
	return append(b, s[from:]...)
}

func appendEscape(b []byte, ch byte) []byte {
	switch ch {
	case '"', '\\':
		return append(b, '\\', ch)
	case '\n':
		return append(b, '\\', 'n')
	case '\t':
		return append(b, '\\', 't')
	case '\r':
		return append(b, '\\', 'r')
	}
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', '0', '0', hex[ch>>4], hex[ch&15])
}
