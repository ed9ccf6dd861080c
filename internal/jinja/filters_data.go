package jinja

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// dataFilters change types.
var dataFilters = map[string]filterFunc{
	"int":   intFilter,
	"float": floatFilter,
	"bool": func(r *run, in any, _ *args) any {
		if in == nil && r.box.Types == Text {
			return nil
		}
		return truthOf(in)
	},
	"abs": func(r *run, in any, _ *args) any {
		if f, ok := in.(float64); ok {
			return math.Abs(f)
		}
		n := r.wantInteger(in)
		if n == math.MinInt {
			r.overflow()
		}
		return max(n, -n)
	},
	"round": roundFilter,
	"pow":   func(r *run, in any, a *args) any { return r.operate("**", in, a.need(0, "y")) },
	"ternary": func(r *run, in any, a *args) any {
		// The side that is not taken may be undefined.
		yes, givenYes := a.get(0, "true_val")
		no, givenNo := a.get(1, "false_val")
		if !givenYes || !givenNo {
			r.errorf("ternary: needs a value for true and one for false")
		}
		if null, ok := a.get(2, "none_val"); ok && in == nil && null != nil {
			return null
		}
		if r.truth(in) {
			return yes
		}
		return no
	},
	"to_json": func(r *run, in any, a *args) any { return r.toJSON(in, a, "") },
	"to_nice_json": func(r *run, in any, a *args) any {
		return r.toJSON(in, a, strings.Repeat(" ", min(max(a.integer(-1, "indent", 4), 0), 64)))
	},
	"tojson":    func(r *run, in any, a *args) any { return r.toJSON(in, a, "") },
	"from_json": fromJSON,
	"from_yaml": fromYAML,
	"to_yaml":   toYAML, "to_nice_yaml": toYAML,
}

func intFilter(r *run, in any, a *args) any {
	var fallback any = 0
	if v, ok := a.get(0, "default"); ok {
		fallback = v
	}
	base := a.integer(1, "base", 10)
	switch v := in.(type) {
	case string:
		text := strings.ReplaceAll(strings.TrimSpace(v), "_", "")
		if base == 16 || base == 8 || base == 2 {
			text = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(lower(text), "0x"), "0o"), "0b")
		}
		if base < 2 || base > 36 {
			return fallback
		}
		if n, err := strconv.ParseInt(text, base, 64); err == nil {
			return int(n)
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(f) < 1<<62 {
			return int(f)
		}
	case float64:
		if math.Abs(v) < 1<<62 {
			return int(v)
		}
	default:
		if n, ok := whole(r.solid(in)); ok {
			return n
		}
	}
	return fallback
}

func floatFilter(r *run, in any, a *args) any {
	var fallback any = 0.0
	if v, ok := a.get(0, "default"); ok {
		fallback = v
	}
	if s, ok := in.(string); ok {
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil {
			return fallback
		}
		return f
	}
	f, ok := numeric(r.solid(in))
	if !ok {
		return fallback
	}
	return f
}

func roundFilter(r *run, in any, a *args) any {
	f, ok := numeric(in)
	if !ok {
		r.errorf("round: expected a number, found %s", kind(in))
	}
	scale := math.Pow(10, float64(min(max(a.integer(0, "precision", 0), -18), 18)))
	switch method := a.text(1, "method", "common"); method {
	case "ceil":
		return math.Ceil(f*scale) / scale
	case "floor":
		return math.Floor(f*scale) / scale
	case "common":
		return math.RoundToEven(f*scale) / scale
	}
	r.errorf("round: the method must be common, ceil or floor")
	return nil
}

// toJSON writes as Python's json does: blanks after separators, everything beyond ASCII escaped.
func (r *run) toJSON(in any, a *args, indent string) any {
	if n, ok := a.get(-1, "indent"); ok && n != nil {
		indent = strings.Repeat(" ", min(max(r.wantInteger(n), 0), 64))
	}
	ascii := a.boolean(-1, "ensure_ascii", true)
	j := &jsonWriter{r: r, indent: indent, sort: a.boolean(-1, "sort_keys", strings.HasPrefix(a.of, "to_nice")), ascii: ascii}
	j.value(in, 0)
	return j.out.String()
}

type jsonWriter struct {
	r           *run
	out         strings.Builder
	indent      string
	sort, ascii bool
}

func (j *jsonWriter) value(v any, level int) {
	defer j.r.deeper()()
	j.r.spend(1)
	before := j.out.Len()
	switch v := j.r.defined(v).(type) {
	case nil:
		j.out.WriteString("null")
	case bool:
		j.out.WriteString(strconv.FormatBool(v))
	case string:
		j.text(v)
	case *List:
		j.sequence('[', ']', len(v.Items), level, func(i int) { j.value(j.r.reveal(v.Items[i]), level+1) })
		return
	case *Dict, Mapping:
		j.mapping(j.r.mapping(v), level)
		return
	case int, float64:
		j.out.WriteString(j.r.str(v))
	default:
		j.r.errorf("%s cannot become JSON", kind(v))
	}
	j.r.alloc(j.out.Len() - before)
}

func (j *jsonWriter) mapping(d *Dict, level int) {
	keys := d.keys
	if j.sort {
		keys = j.r.sorted(keys, false, func(k any) any { return j.r.str(k) })
	}
	j.sequence('{', '}', len(keys), level, func(i int) {
		key, ok := keys[i].(string)
		if !ok {
			var b strings.Builder
			w := &jsonWriter{r: j.r}
			w.value(keys[i], 0)
			b.WriteString(w.out.String())
			key = b.String()
		}
		j.text(key)
		j.out.WriteString(": ")
		j.value(j.r.reveal(d.values[slot(keys[i])]), level+1)
	})
}

func (j *jsonWriter) sequence(opening, closing byte, n, level int, item func(int)) {
	j.out.WriteByte(opening)
	newline := func(level int) {
		if j.indent != "" && n > 0 {
			pad := "\n" + strings.Repeat(j.indent, level)
			j.r.alloc(len(pad))
			j.out.WriteString(pad)
		}
	}
	for i := range n {
		if i > 0 {
			j.out.WriteByte(',')
			if j.indent == "" {
				j.out.WriteByte(' ')
			}
		}
		newline(level + 1)
		item(i)
	}
	newline(level)
	j.out.WriteByte(closing)
}

func (j *jsonWriter) text(s string) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		j.r.errorf("text that is not UTF-8 cannot become JSON")
	}
	text := strings.TrimSuffix(b.String(), "\n")
	if !j.ascii {
		j.out.WriteString(text)
		return
	}
	for _, c := range text {
		switch {
		case c < 0x80:
			j.out.WriteRune(c)
		case c < 0x10000:
			j.escape(uint32(c))
		default:
			c -= 0x10000
			j.escape(0xd800 + uint32(c>>10))
			j.escape(0xdc00 + uint32(c&0x3ff))
		}
	}
}

func (j *jsonWriter) escape(c uint32) {
	hex := strconv.FormatUint(uint64(c), 16)
	j.out.WriteString(`\u` + strings.Repeat("0", 4-len(hex)) + hex)
}

func fromJSON(r *run, in any, _ *args) any {
	text := r.wantText(in)
	r.alloc(4 * len(text))
	v, err := DecodeJSON([]byte(text))
	if err != nil {
		r.errorf("from_json: the text is not JSON")
	}
	return v
}

func fromYAML(r *run, in any, _ *args) any {
	text, ok := in.(string)
	if !ok {
		return in
	}
	r.alloc(8 * len(text))
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		r.errorf("from_yaml: the text is not YAML")
	}
	budget := r.limits.Steps - r.steps
	v, err := FromYAML(&doc, &budget, nil)
	r.steps = r.limits.Steps - budget
	if err != nil {
		r.errorf("from_yaml: the text is not YAML that fits")
	}
	return v
}

// toYAML writes flow-free YAML. Its layout is Go's, not PyYAML's, which wraps lines: only the meaning is the same.
func toYAML(r *run, in any, a *args) any {
	indent := min(max(a.integer(-1, "indent", 4), 2), 16)
	a.boolean(-1, "default_flow_style", false)
	a.integer(-1, "width", 0)
	a.boolean(-1, "sort_keys", true)
	v := r.plain(in)
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(indent)
	if err := e.Encode(v); err != nil {
		r.errorf("%s: the value cannot become YAML", a.of)
	}
	r.alloc(out.Len())
	return out.String()
}

// plain is a value as Go's encoders know it.
func (r *run) plain(v any) any {
	defer r.deeper()()
	r.spend(1)
	r.alloc(32)
	switch v := r.solid(v).(type) {
	case *List:
		out := make([]any, len(v.Items))
		for i, item := range v.Items {
			out[i] = r.plain(r.reveal(item))
		}
		return out
	case *Dict, Mapping:
		d := r.mapping(v)
		out := make(map[any]any, d.Len())
		for _, k := range d.keys {
			out[k] = r.plain(r.reveal(d.values[slot(k)]))
		}
		return out
	case nil, bool, int, float64, string:
		return v
	}
	r.errorf("%s is not data", kind(v))
	return nil
}

// addressFilters are ansible.utils', as far as configurations use them.
var addressFilters = map[string]filterFunc{
	"ipaddr": func(r *run, in any, a *args) any { return r.ipaddr(in, a, 0) },
	"ipv4":   func(r *run, in any, a *args) any { return r.ipaddr(in, a, 4) },
	"ipv6":   func(r *run, in any, a *args) any { return r.ipaddr(in, a, 6) },
	"ipwrap": func(r *run, in any, _ *args) any { return r.ipwrap(in) },
	"nthhost": func(r *run, in any, a *args) any {
		return r.nthHost(in, a.integer(0, "query", 0))
	},
}
