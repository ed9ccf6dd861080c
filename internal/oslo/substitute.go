package oslo

import "strings"

// The work for one value is bounded: files come from operators, but "a = $b$b, b = $c$c ..." is easily written.
const (
	maxReferences = 1000
	maxLength     = 1 << 20
)

// expansion replaces references in one value.
type expansion struct {
	config *Config
	budget int
	path   []key // the options being expanded, to notice circles
	fault  string
}

// expand gives the text of v with all references replaced. The second result says what was wrong; empty means nothing.
func (c *Config) expand(k key, text string) (string, string) {
	if !strings.Contains(text, "$") {
		return text, ""
	}
	e := expansion{config: c, budget: maxReferences, path: []key{k}}
	text = e.expand(k.group, text)
	return text, e.fault
}

func (e *expansion) expand(group, text string) string {
	text = strings.ReplaceAll(text, `\$`, "$$")
	var b strings.Builder
	for e.fault == "" {
		before, rest, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			break
		}
		name, length := reference(rest)
		switch {
		case strings.HasPrefix(rest, "$"):
			b.WriteByte('$')
			length = 1
		case length == 0: // a dollar sign alone stands for itself
			b.WriteByte('$')
		default:
			b.WriteString(e.resolve(group, name))
			if b.Len() > maxLength {
				e.fault = "a shorter text after replacing its references"
			}
		}
		text = rest[length:]
	}
	return b.String()
}

// resolve looks an option up as oslo.config does: "group.name" in that group, "name" in the group of the value that
// refers to it and then in DEFAULT.
func (e *expansion) resolve(group, name string) string {
	if e.budget--; e.budget < 0 {
		e.fault = "fewer references in it to other options"
		return ""
	}
	candidates := []key{newKey(group, name), newKey(Default, name)}
	if g, n, ok := strings.Cut(name, "."); ok {
		candidates[0] = newKey(g, n)
	}
	for _, k := range candidates {
		values := e.config.ask(k)
		if len(values) > 0 {
			return e.nested(k, values[len(values)-1].text)
		}
		if text, ok := e.config.defaults[k]; ok {
			return e.nested(k, text)
		}
	}
	e.fault = "$" + name + " to be the name of an option that is set (write $$ for a dollar sign)"
	return ""
}

func (e *expansion) nested(k key, text string) string {
	for _, p := range e.path {
		if p == k {
			e.fault = "no reference in a circle, but $" + k.option + " leads back to itself"
			return ""
		}
	}
	e.path = append(e.path, k)
	text = e.expand(k.group, text)
	e.path = e.path[:len(e.path)-1]
	return text
}

// reference reads "name" or "{name}" at the start of s and gives the name and the length read; 0 if there is none.
// Without braces a name takes in dots: "$host.example.com" is option "example.com" of group "host".
func reference(s string) (name string, length int) {
	body, braced := strings.CutPrefix(s, "{")
	n := 0
	for n < len(body) && isNameByte(body[n], n == 0) {
		n++
	}
	switch {
	case n == 0:
		return "", 0
	case !braced:
		return body[:n], n
	case n < len(body) && body[n] == '}':
		return body[:n], n + 2
	default:
		return "", 0
	}
}

func isNameByte(c byte, first bool) bool {
	switch {
	case c == '_', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		return true
	case c == '.', '0' <= c && c <= '9':
		return !first
	default:
		return false
	}
}
