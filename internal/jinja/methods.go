package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
)

// method binds a method of a string, a list or a dict.
func (r *run) method(x any, name string) (*Callable, bool) {
	switch v := x.(type) {
	case string:
		if m, ok := stringMethods[name]; ok {
			return &Callable{Name: name, call: func(r *run, a *args) any { return checked(a, m(r, v, a)) }}, true
		}
	case *List:
		if m, ok := listMethods[name]; ok {
			return &Callable{Name: name, call: func(r *run, a *args) any { return checked(a, m(r, v, a)) }}, true
		}
	case *Dict:
		if m, ok := dictMethods[name]; ok {
			return &Callable{Name: name, call: func(r *run, a *args) any { return checked(a, m(r, v, a)) }}, true
		}
	case Mapping:
		switch name {
		case "items", "keys", "values", "get":
			m := dictMethods[name]
			return &Callable{Name: name, call: func(r *run, a *args) any {
				return checked(a, m(r, r.mapping(v), a))
			}}, true
		}
	}
	return nil, false
}

// checked returns a method's result when every argument was read.
func checked(a *args, v any) any {
	a.done()
	return v
}

type stringMethod func(r *run, s string, a *args) any

var stringMethods = map[string]stringMethod{
	"upper":      func(_ *run, s string, _ *args) any { return upper(s) },
	"lower":      func(_ *run, s string, _ *args) any { return lower(s) },
	"casefold":   func(_ *run, s string, _ *args) any { return cases.Fold().String(s) },
	"title":      func(_ *run, s string, _ *args) any { return title(s) },
	"capitalize": func(_ *run, s string, _ *args) any { return capitalize(s) },
	"swapcase":   func(_ *run, s string, _ *args) any { return swapCase(s) },
	"strip":      func(_ *run, s string, a *args) any { return strip(s, a, true, true) },
	"lstrip":     func(_ *run, s string, a *args) any { return strip(s, a, true, false) },
	"rstrip":     func(_ *run, s string, a *args) any { return strip(s, a, false, true) },
	"split":      func(r *run, s string, a *args) any { return r.split(s, a, false) },
	"rsplit":     func(r *run, s string, a *args) any { return r.split(s, a, true) },
	"splitlines": func(r *run, s string, a *args) any { return r.lines(s, a.boolean(0, "keepends", false)) },
	"startswith": func(r *run, s string, a *args) any { return affix(r, s, a, strings.HasPrefix) },
	"endswith":   func(r *run, s string, a *args) any { return affix(r, s, a, strings.HasSuffix) },
	"removeprefix": func(_ *run, s string, a *args) any {
		return strings.TrimPrefix(s, a.text(0, "prefix", ""))
	},
	"removesuffix": func(_ *run, s string, a *args) any {
		return strings.TrimSuffix(s, a.text(0, "suffix", ""))
	},
	"replace": func(r *run, s string, a *args) any {
		old, by := a.need(0, "old"), a.need(1, "new")
		return r.replace(s, r.wantText(old), r.wantText(by), a.integer(2, "count", -1))
	},
	"find": func(r *run, s string, a *args) any { return runeIndex(s, r.wantText(a.need(0, "sub")), strings.Index) },
	"rfind": func(r *run, s string, a *args) any {
		return runeIndex(s, r.wantText(a.need(0, "sub")), strings.LastIndex)
	},
	"index": func(r *run, s string, a *args) any {
		i := runeIndex(s, r.wantText(a.need(0, "sub")), strings.Index)
		if i < 0 {
			r.errorf("index: the text is not in the string")
		}
		return i
	},
	"count":  func(r *run, s string, a *args) any { return strings.Count(s, r.wantText(a.need(0, "sub"))) },
	"join":   func(r *run, s string, a *args) any { return r.joinItems(r.items(a.need(0, "iterable")), s, true) },
	"format": func(r *run, s string, a *args) any { return r.braceFormat(s, a) },
	"zfill": func(r *run, s string, a *args) any {
		sign := ""
		if strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") {
			sign, s = s[:1], s[1:]
		}
		return sign + r.pad(s, a.integer(0, "width", 0)-len(sign), "0", 1, 0)
	},
	"ljust": func(r *run, s string, a *args) any {
		return r.pad(s, a.integer(0, "width", 0), a.text(1, "", " "), 0, 1)
	},
	"rjust": func(r *run, s string, a *args) any {
		return r.pad(s, a.integer(0, "width", 0), a.text(1, "", " "), 1, 0)
	},
	"partition": func(r *run, s string, a *args) any { return partition(s, a.text(0, "sep", ""), strings.Index, false) },
	"rpartition": func(r *run, s string, a *args) any {
		return partition(s, a.text(0, "sep", ""), strings.LastIndex, true)
	},
	"isdigit":   func(_ *run, s string, _ *args) any { return every(s, unicode.IsDigit) },
	"isnumeric": func(_ *run, s string, _ *args) any { return every(s, unicode.IsNumber) },
	"isdecimal": func(_ *run, s string, _ *args) any { return every(s, unicode.IsDigit) },
	"isalpha":   func(_ *run, s string, _ *args) any { return every(s, unicode.IsLetter) },
	"isspace":   func(_ *run, s string, _ *args) any { return every(s, unicode.IsSpace) },
	"isalnum": func(_ *run, s string, _ *args) any {
		return every(s, func(c rune) bool { return unicode.IsLetter(c) || unicode.IsNumber(c) })
	},
	"isupper": func(_ *run, s string, _ *args) any { return s == upper(s) && s != lower(s) },
	"islower": func(_ *run, s string, _ *args) any { return s == lower(s) && s != upper(s) },
}

// wantText insists on a string.
func (r *run) wantText(v any) string {
	if isBlank(v) {
		return ""
	}
	s, ok := r.defined(v).(string)
	if !ok {
		r.errorf("expected a string, found %s", kind(v))
	}
	return s
}

func every(s string, is func(rune) bool) bool {
	return s != "" && strings.IndexFunc(s, func(c rune) bool { return !is(c) }) < 0
}

func strip(s string, a *args, left, right bool) string {
	chars := whitespace
	if v, ok := a.get(0, "chars"); ok && v != nil {
		chars = a.r.wantText(v)
	}
	if left {
		s = strings.TrimLeft(s, chars)
	}
	if right {
		s = strings.TrimRight(s, chars)
	}
	return s
}

func affix(r *run, s string, a *args, has func(string, string) bool) bool {
	v := a.need(0, "affix")
	if l, ok := v.(*List); ok && l.Tuple {
		for _, item := range r.items(l) {
			if has(s, r.wantText(item)) {
				return true
			}
		}
		return false
	}
	return has(s, r.wantText(v))
}

func runeIndex(s, part string, find func(string, string) int) int {
	i := find(s, part)
	if i < 0 {
		return -1
	}
	return utf8.RuneCountInString(s[:i])
}

// split is str.split and str.rsplit: without a separator, on runs of whitespace.
func (r *run) split(s string, a *args, fromRight bool) *List {
	sep, given := a.get(0, "sep")
	limit := a.integer(1, "maxsplit", -1)
	r.alloc(16 + 16*len(s)/2)
	if !given || sep == nil {
		return r.splitFields(s, limit, fromRight)
	}
	by := r.wantText(sep)
	if by == "" {
		r.errorf("split: the separator is empty")
	}
	parts := strings.Split(s, by)
	if limit >= 0 && len(parts) > limit+1 {
		if fromRight {
			cut := len(parts) - limit
			parts = append([]string{strings.Join(parts[:cut], by)}, parts[cut:]...)
		} else {
			parts = append(parts[:limit:limit], strings.Join(parts[limit:], by))
		}
	}
	return NewList(texts(parts)...)
}

func (r *run) splitFields(s string, limit int, fromRight bool) *List {
	fields := strings.Fields(s)
	if limit < 0 || len(fields) <= limit {
		return NewList(texts(fields)...)
	}
	if fromRight {
		r.errorf("rsplit: a limit needs a separator here")
	}
	rest := s
	var parts []string
	for range limit {
		rest = strings.TrimLeftFunc(rest, unicode.IsSpace)
		end := strings.IndexFunc(rest, unicode.IsSpace)
		if end < 0 {
			break
		}
		parts = append(parts, rest[:end])
		rest = rest[end:]
	}
	if rest = strings.TrimLeftFunc(rest, unicode.IsSpace); rest != "" {
		parts = append(parts, rest)
	}
	return NewList(texts(parts)...)
}

func (r *run) lines(s string, keep bool) *List {
	out := &List{}
	for s != "" {
		end := strings.IndexAny(s, "\r\n\v\f")
		if end < 0 {
			end = len(s)
		}
		next := min(end+1, len(s))
		if strings.HasPrefix(s[end:], "\r\n") {
			next++
		}
		r.alloc(32)
		if keep {
			out.Items = append(out.Items, s[:next])
		} else {
			out.Items = append(out.Items, s[:end])
		}
		s = s[next:]
	}
	return out
}

func (r *run) replace(s, old, by string, count int) string {
	n := strings.Count(s, old)
	if count >= 0 {
		n = min(n, count)
	}
	r.alloc(len(s) + r.product(len(by), n))
	return strings.Replace(s, old, by, count)
}

// pad adds fill on either side until the string is wide enough.
func (r *run) pad(s string, width int, fill string, left, right int) string {
	missing := width - utf8.RuneCountInString(s)
	if missing <= 0 {
		return s
	}
	if utf8.RuneCountInString(fill) != 1 {
		r.errorf("the fill must be one character")
	}
	r.alloc(r.product(missing, len(fill)))
	l := missing * left / (left + right)
	return strings.Repeat(fill, l) + s + strings.Repeat(fill, missing-l)
}

func partition(s, sep string, find func(string, string) int, fromRight bool) *List {
	i := find(s, sep)
	if i < 0 || sep == "" {
		if fromRight {
			return &List{Tuple: true, Items: []any{"", "", s}}
		}
		return &List{Tuple: true, Items: []any{s, "", ""}}
	}
	return &List{Tuple: true, Items: []any{s[:i], sep, s[i+len(sep):]}}
}

// braceFormat is "{} {name}".format(...), without format specifications but a width.
func (r *run) braceFormat(s string, a *args) string {
	values := a.rest(0)
	named := a.named
	a.named = NewDict()
	var out strings.Builder
	for next := 0; s != ""; {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			break
		}
		out.WriteString(s[:i])
		if strings.HasPrefix(s[i:], "{{") || strings.HasPrefix(s[i:], "}}") {
			out.WriteByte(s[i])
			s = s[i+2:]
			continue
		}
		end := strings.IndexByte(s[i:], '}')
		if s[i] == '}' || end < 0 {
			r.errorf("format: a brace is not closed")
		}
		field := s[i+1 : i+end]
		s = s[i+end+1:]
		out.WriteString(r.str(r.formatField(field, values, named, &next)))
		r.alloc(16)
	}
	out.WriteString(s)
	r.alloc(out.Len())
	return out.String()
}

func (r *run) formatField(field string, values []any, named *Dict, next *int) any {
	if strings.ContainsAny(field, ":!.[") {
		r.errorf("format: only plain fields are known here")
	}
	if v, ok := named.Get(field); ok {
		return r.reveal(v)
	}
	i := *next
	if field == "" {
		*next++
	} else {
		i = 0
		for _, c := range field {
			if c < '0' || c > '9' || i > len(values) {
				r.errorf("format: a field has no value")
			}
			i = i*10 + int(c-'0')
		}
	}
	if i >= len(values) {
		r.errorf("format: a field has no value")
	}
	return values[i]
}
