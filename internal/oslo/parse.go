package oslo

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// parser reads one file line by line. It differs from oslo.config's only in going on after an error.
type parser struct {
	file string
	add  func(value)

	line    int
	section string
	lost    bool     // the last section header was bad: what follows belongs nowhere
	skip    bool     // the last assignment was bad: its continuation lines are not errors of their own
	option  string   // the assignment being collected, "" for none
	start   int      // its line
	texts   []string // its lines of text

	problems []error
}

func (p *parser) parse(data []byte) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if bytes.Contains(data, []byte("\r")) {
		// Python's text mode: all three line ends are one.
		data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
		data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
	}
	for raw := range bytes.Lines(data) {
		p.line++
		if !utf8.Valid(raw) {
			p.flush()
			p.fail("UTF-8 text")
			p.skip = true
			continue
		}
		p.next(strings.TrimRightFunc(string(raw), isSpace))
	}
	p.flush()
}

// next takes one line without its trailing white space.
func (p *parser) next(line string) {
	switch {
	case line == "":
		p.flush()
		p.skip = false
	case line[0] == ' ' || line[0] == '\t':
		p.continuation(line)
	default:
		p.flush()
		p.skip = false
		switch line[0] {
		case '[':
			p.header(line)
		case '#', ';':
		default:
			p.assignment(line)
		}
	}
}

func (p *parser) continuation(line string) {
	switch {
	case p.option != "":
		p.texts = append(p.texts, strings.TrimLeftFunc(line, isSpace))
	case !p.skip:
		p.fail("no indentation, since there is no option above that this line could continue")
	}
}

func (p *parser) header(line string) {
	p.section, p.lost = "", true
	switch {
	case !strings.HasSuffix(line, "]"):
		p.fail("a section header that ends with ]")
	case len(line) <= 2:
		p.fail("a section name between [ and ]")
	default:
		p.section, p.lost = line[1:len(line)-1], false
	}
}

func (p *parser) assignment(line string) {
	p.skip = true
	i := strings.IndexAny(line, "=:")
	if i < 0 {
		p.fail("key = value, a [section] or a comment")
		return
	}
	option := strings.TrimFunc(line[:i], isSpace)
	if option == "" {
		p.fail("the name of an option before " + line[i:i+1])
		return
	}
	if p.section == "" {
		if !p.lost {
			p.fail("a [section] before the first option")
			p.lost = true // said once is enough
		}
		return
	}
	p.skip = false
	p.option, p.start = option, p.line
	p.texts = []string{unquote(strings.TrimFunc(line[i+1:], isSpace))}
}

// flush hands over the assignment that was being collected, if any.
func (p *parser) flush() {
	if p.option == "" {
		return
	}
	p.add(value{
		text: strings.Join(p.texts, "\n"),
		at:   Option{File: p.file, Line: p.start, Group: p.section, Option: p.option},
	})
	p.option, p.texts = "", nil
}

func (p *parser) fail(expected string) {
	p.problems = append(p.problems, &Error{Option: Option{File: p.file, Line: p.line}, Expected: expected})
}

// unquote strips one pair of equal quotes. A value that is a single quote becomes empty, as in oslo.config.
func unquote(s string) string {
	if s == "" || s[0] != s[len(s)-1] || (s[0] != '"' && s[0] != '\'') {
		return s
	}
	if len(s) == 1 {
		return ""
	}
	return s[1 : len(s)-1]
}

// isSpace is Python's str.isspace, which knows four separators that Go's does not.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || (r >= 0x1c && r <= 0x1f)
}
