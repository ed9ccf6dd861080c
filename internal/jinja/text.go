package jinja

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// str is Python's str().
func (r *run) str(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	if isBlank(v) {
		return ""
	}
	var out strings.Builder
	r.repr(&out, v)
	return out.String()
}

// repr writes Python's repr().
func (r *run) repr(out *strings.Builder, v any) {
	defer r.deeper()()
	r.spend(1)
	before := out.Len()
	switch v := r.solid(v).(type) {
	case nil:
		out.WriteString("None")
	case bool:
		if v {
			out.WriteString("True")
		} else {
			out.WriteString("False")
		}
	case int:
		out.WriteString(strconv.Itoa(v))
	case float64:
		out.WriteString(floatText(v))
	case string:
		quotePython(out, v)
	case *List:
		r.reprList(out, v)
		return
	case *Dict:
		out.WriteByte('{')
		for i, k := range v.keys {
			if i > 0 {
				out.WriteString(", ")
			}
			r.repr(out, k)
			out.WriteString(": ")
			r.repr(out, r.reveal(v.values[slot(k)]))
		}
		out.WriteByte('}')
		return
	case Mapping:
		r.repr(out, r.mapping(v))
		return
	default:
		r.errorf("%s cannot become text", kind(v))
	}
	r.alloc(out.Len() - before)
}

func (r *run) reprList(out *strings.Builder, v *List) {
	opening, closing := byte('['), byte(']')
	if v.Tuple {
		opening, closing = '(', ')'
	}
	out.WriteByte(opening)
	for i, item := range v.Items {
		if i > 0 {
			out.WriteString(", ")
		}
		r.repr(out, r.reveal(item))
	}
	if v.Tuple && len(v.Items) == 1 {
		out.WriteByte(',')
	}
	out.WriteByte(closing)
}

// floatText is how Python writes a float: the shortest text that reads back, with .0 when whole.
func floatText(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// quotePython writes a string's repr: single quotes unless only double ones spare escaping.
func quotePython(out *strings.Builder, s string) {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	out.WriteByte(quote)
	for _, c := range s {
		switch {
		case c == rune(quote) || c == '\\':
			out.WriteByte('\\')
			out.WriteRune(c)
		case c == '\n':
			out.WriteString(`\n`)
		case c == '\t':
			out.WriteString(`\t`)
		case c == '\r':
			out.WriteString(`\r`)
		case c == ' ' || unicode.IsPrint(c):
			out.WriteRune(c)
		case c < 0x100:
			fmt.Fprintf(out, `\x%02x`, c)
		case c < 0x10000:
			fmt.Fprintf(out, `\u%04x`, c)
		default:
			fmt.Fprintf(out, `\U%08x`, c)
		}
	}
	out.WriteByte(quote)
}

// percent is Python's "format" % values.
func (r *run) percent(format string, values any) string {
	var out strings.Builder
	p := &percentArgs{r: r, whole: values}
	if l, ok := values.(*List); ok && l.Tuple {
		p.items, p.tuple = r.items(l), true
	}
	for i := 0; i < len(format); {
		next := strings.IndexByte(format[i:], '%')
		if next < 0 {
			out.WriteString(format[i:])
			break
		}
		out.WriteString(format[i : i+next])
		i += next + 1
		i += r.directive(&out, format[i:], p)
		r.alloc(16)
	}
	p.done()
	r.alloc(out.Len())
	return out.String()
}

// percentArgs hands out the values of a format.
type percentArgs struct {
	r     *run
	whole any
	items []any
	tuple bool
	used  int
}

func (p *percentArgs) next() any {
	p.used++
	if p.tuple {
		if p.used > len(p.items) {
			p.r.errorf("not enough values for the format")
		}
		return p.items[p.used-1]
	}
	if p.used > 1 {
		p.r.errorf("not enough values for the format")
	}
	return p.whole
}

func (p *percentArgs) done() {
	_, isDict := p.whole.(*Dict)
	if p.tuple && p.used < len(p.items) || !p.tuple && p.used == 0 && !isDict {
		p.r.errorf("not all values were used by the format")
	}
}

// directive writes one %-directive; s begins after the %. It returns how much it read.
func (r *run) directive(out *strings.Builder, s string, p *percentArgs) int {
	i, key, keyed := 0, "", false
	if strings.HasPrefix(s, "(") {
		end := strings.IndexByte(s, ')')
		if end < 0 {
			r.errorf("the format has an open key")
		}
		key, keyed, i = s[1:end], true, end+1
	}
	flags, start := "", i
	for i < len(s) && strings.IndexByte("#0- +", s[i]) >= 0 {
		i++
	}
	flags = s[start:i]
	start = i
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.') {
		i++
	}
	size := s[start:i]
	if len(size) > 6 || i >= len(s) {
		r.errorf("the format is incomplete, or too wide")
	}
	verb := s[i]
	if verb == '%' {
		out.WriteByte('%')
		return i + 1
	}
	var v any
	if keyed {
		v = r.defined(r.item(r.mapping(p.whole), key))
		p.used++
	} else {
		v = p.next()
	}
	r.formatOne(out, flags, size, verb, v)
	return i + 1
}

func (r *run) formatOne(out *strings.Builder, flags, size string, verb byte, v any) {
	width, precision, _ := strings.Cut(size, ".")
	for _, n := range []string{width, precision} {
		if w, _ := strconv.Atoi(n); w > 10000 {
			r.errorf("the format is too wide")
		} else {
			r.alloc(w)
		}
	}
	switch verb {
	case 's':
		fmt.Fprintf(out, "%"+strings.NewReplacer("0", "", "#", "", " ", "", "+", "").Replace(flags)+size+"s", r.str(v))
	case 'r':
		var b strings.Builder
		r.repr(&b, v)
		fmt.Fprintf(out, "%"+flags+size+"s", b.String())
	case 'd', 'i', 'u', 'x', 'X', 'o', 'c':
		r.formatInteger(out, flags, size, verb, v)
	case 'f', 'F', 'e', 'E', 'g', 'G':
		f, ok := numeric(v)
		if !ok {
			r.errorf("the format wants a number, not %s", kind(v))
		}
		if (verb == 'g' || verb == 'G') && !strings.Contains(size, ".") {
			size += ".6"
		}
		fmt.Fprintf(out, "%"+flags+size+string(verb), f)
	default:
		r.errorf("unknown format character %q", verb)
	}
}

func (r *run) formatInteger(out *strings.Builder, flags, size string, verb byte, v any) {
	if s, ok := v.(string); ok && verb == 'c' {
		fmt.Fprintf(out, "%"+flags+size+"s", s)
		return
	}
	n, ok := whole(v)
	if f, isFloat := v.(float64); isFloat && (verb == 'd' || verb == 'i' || verb == 'u') && math.Abs(f) < 1<<62 {
		n, ok = int(f), true
	}
	if !ok {
		r.errorf("the format wants an integer, not %s", kind(v))
	}
	if verb == 'i' || verb == 'u' {
		verb = 'd'
	}
	fmt.Fprintf(out, "%"+flags+size+string(verb), n)
}
