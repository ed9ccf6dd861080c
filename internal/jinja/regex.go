package jinja

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// pattern compiles Python's expression with Go's engine, which cannot loop: looking around and back references are
// refused.
func (r *run) pattern(text string, a *args, ignoreCase, multiline bool) *regexp.Regexp {
	r.alloc(len(text) * 16)
	r.spend(len(text))
	flags := ""
	if ignoreCase {
		flags += "i"
	}
	if multiline {
		flags += "m"
	}
	source := strings.ReplaceAll(text, `\Z`, `\z`)
	if !multiline {
		source = dollarAtEnd(source)
	}
	if flags != "" {
		source = "(?" + flags + ")" + source
	}
	re, err := regexp.Compile(source)
	if err != nil {
		r.errorf("%s: the regular expression is not possible here: %v", a.of, err)
	}
	return re
}

// dollarAtEnd makes a closing $ match before a last newline, as Python's does.
func dollarAtEnd(source string) string {
	if head, ok := strings.CutSuffix(source, "$"); ok && !strings.HasSuffix(head, `\`) {
		return head + `(?:\n?\z)`
	}
	return source
}

// matches is match, search and regex.
func (r *run) matches(in any, a *args, how string) bool {
	text := r.str(in)
	p := r.wantText(a.need(0, "pattern"))
	re := r.pattern(p, a, a.boolean(1, "ignorecase", false), a.boolean(2, "multiline", false))
	r.spend(len(text) / 16)
	at := re.FindStringIndex(text)
	switch how {
	case "match":
		return r.anchored(p, re, text) != nil
	case "fullmatch":
		at = r.anchored(p, re, text)
		return at != nil && at[1] == len(text)
	}
	return at != nil
}

// anchored matches at the beginning.
func (r *run) anchored(source string, re *regexp.Regexp, text string) []int {
	again, err := regexp.Compile(`\A(?:` + re.String() + `)`)
	if err != nil {
		r.errorf("the regular expression %q is not possible here", source)
	}
	return again.FindStringIndex(text)
}

func regexReplace(r *run, in any, a *args) any {
	text := r.str(in)
	p, by := a.text(0, "pattern", ""), a.text(1, "replacement", "")
	ignore, multi := a.boolean(2, "ignorecase", false), a.boolean(3, "multiline", false)
	count := a.integer(-1, "count", 0)
	re := r.pattern(p, a, ignore, multi)
	template := r.replacement(by, re)
	var out []byte
	last, done := 0, 0
	for _, m := range re.FindAllStringSubmatchIndex(text, -1) {
		if count > 0 && done == count {
			break
		}
		out = append(out, text[last:m[0]]...)
		out = re.ExpandString(out, template, text, m)
		r.alloc(16 + len(template))
		r.spend(1)
		last = m[1]
		done++
		if len(out) > r.limits.Bytes {
			r.alloc(len(out))
		}
	}
	out = append(out, text[last:]...)
	r.alloc(len(out))
	return string(out)
}

// replacement turns \1, \g<name> into Go's ${1}, ${name}.
func (r *run) replacement(s string, re *regexp.Regexp) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '$':
			out.WriteString("$$")
		case s[i] != '\\' || i+1 == len(s):
			out.WriteByte(s[i])
		case s[i+1] >= '0' && s[i+1] <= '9':
			if n := int(s[i+1] - '0'); n > re.NumSubexp() {
				r.errorf("the replacement names group %d, which the regular expression has not", n)
			}
			out.WriteString("${" + s[i+1:i+2] + "}")
			i++
		case strings.HasPrefix(s[i+1:], "g<") && strings.Contains(s[i:], ">"):
			end := strings.IndexByte(s[i:], '>')
			name := s[i+3 : i+end]
			if n, err := strconv.Atoi(name); err != nil && re.SubexpIndex(name) < 0 || err == nil && (n < 0 || n > re.NumSubexp()) {
				r.errorf("the replacement names group %q, which the regular expression has not", name)
			}
			out.WriteString("${" + name + "}")
			i += end
		default:
			if c, ok := simpleEscapes[s[i+1]]; ok {
				out.WriteString(c)
			} else {
				out.WriteString(s[i : i+2])
			}
			i++
		}
	}
	return out.String()
}

func regexSearch(r *run, in any, a *args) any {
	text := r.str(in)
	groups := a.rest(1)
	re := r.pattern(r.wantText(a.need(0, "regex")), a, a.boolean(-1, "ignorecase", false), a.boolean(-1, "multiline", false))
	m := re.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	if len(groups) == 0 {
		return m[0]
	}
	out := &List{}
	for _, g := range groups {
		name := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(r.wantText(g), `\g<`), `\`), ">")
		n, err := strconv.Atoi(name)
		if err != nil {
			n = re.SubexpIndex(name)
		}
		if n < 0 || n >= len(m) {
			r.errorf("regex_search: there is no such group")
		}
		out.Items = append(out.Items, m[n])
	}
	return out
}

func regexFindall(r *run, in any, a *args) any {
	text := r.str(in)
	re := r.pattern(a.text(0, "regex", ""), a, a.boolean(2, "ignorecase", false), a.boolean(1, "multiline", false))
	out := &List{}
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		r.alloc(32 + 16*len(m))
		switch len(m) {
		case 1:
			out.Items = append(out.Items, m[0])
		case 2:
			out.Items = append(out.Items, m[1])
		default:
			out.Items = append(out.Items, &List{Tuple: true, Items: texts(m[1:])})
		}
	}
	return out
}

// looseCompare compares versions as Ansible's "version" test does: runs of digits as numbers, the rest as text.
func looseCompare(x, y string) int {
	a, b := versionParts(x), versionParts(y)
	for i := range min(len(a), len(b)) {
		m, errM := strconv.Atoi(a[i])
		n, errN := strconv.Atoi(b[i])
		switch {
		case errM == nil && errN == nil:
			if m != n {
				return compareOrdered(m, n)
			}
		case a[i] != b[i]:
			return strings.Compare(a[i], b[i])
		}
	}
	return compareOrdered(len(a), len(b))
}

func versionParts(s string) []string {
	var out []string
	for s != "" {
		if s[0] == '.' {
			s = s[1:]
			continue
		}
		digit := unicode.IsDigit(rune(s[0]))
		end := strings.IndexFunc(s, func(c rune) bool { return c == '.' || unicode.IsDigit(c) != digit })
		if end <= 0 {
			end = len(s)
		}
		out = append(out, s[:end])
		s = s[end:]
	}
	return out
}

func splitDots(s string) func(func(string) bool) {
	return strings.SplitSeq(s, ".")
}

func smallInteger(s string) (int, bool) {
	if s == "" || len(s) > 9 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}
