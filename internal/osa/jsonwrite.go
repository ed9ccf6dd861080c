package osa

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// maxJSONBytes bounds the text: values that share much can be small in memory and endless on paper.
const maxJSONBytes = 128 << 20

// WriteJSON writes a value as the original writes its inventory: four spaces, sorted keys, ASCII, no newline at the
// end.
func WriteJSON(v Value) ([]byte, error) {
	w := &jsonWriter{out: make([]byte, 0, 1<<16)}
	if err := w.value(v, 0, Pos{}); err != nil {
		return nil, err
	}
	return w.out, nil
}

type jsonWriter struct {
	out []byte
}

func (w *jsonWriter) newline(depth int) {
	w.out = append(w.out, '\n')
	for range depth {
		w.out = append(w.out, "    "...)
	}
}

func (w *jsonWriter) value(v Value, depth int, pos Pos) error {
	if len(w.out) > maxJSONBytes || depth > 2*maxYAMLDepth {
		return &JSONError{Pos: pos, Text: "the inventory would be larger than anything can read"}
	}
	switch x := v.(type) {
	case *Map:
		return w.object(x, depth)
	case *List:
		return w.array(x, depth)
	case string:
		w.string(x)
	default:
		s, ok := jsonScalar(v)
		if !ok {
			return &JSONError{Pos: pos, Text: kind(v) + " cannot stand in the inventory: put it in quotes"}
		}
		w.out = append(w.out, s...)
	}
	return nil
}

func jsonScalar(v Value) (string, bool) {
	switch x := v.(type) {
	case nil:
		return "null", true
	case bool:
		return strconv.FormatBool(x), true
	case int64:
		return strconv.FormatInt(x, 10), true
	case *big.Int:
		return x.String(), true
	case float64:
		return pythonFloat(x), true
	}
	return "", false
}

// pythonFloat is Python's repr of a float: the shortest text that reads back, with an exponent below 1e-4 and from 1e16
// on.
func pythonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func (w *jsonWriter) object(m *Map, depth int) error {
	if m.Len() == 0 {
		w.out = append(w.out, "{}"...)
		return nil
	}
	sorted, err := sortedEntries(m)
	if err != nil {
		return err
	}
	w.out = append(w.out, '{')
	for i, e := range sorted {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.newline(depth + 1)
		if s, ok := e.Key.(string); ok {
			w.string(s)
		} else {
			s, _ := jsonScalar(e.Key) // sortedEntries lets nothing else through
			w.string(s)
		}
		w.out = append(w.out, ": "...)
		if err := w.value(e.Value, depth+1, e.Pos); err != nil {
			return err
		}
	}
	w.newline(depth)
	w.out = append(w.out, '}')
	return nil
}

// sortedEntries orders keys as Python compares them, and refuses what Python cannot: strings with numbers, null with
// anything.
func sortedEntries(m *Map) ([]Entry, error) {
	out := slices.Clone(m.entries)
	var failed error
	for _, e := range out {
		if _, text := e.Key.(string); !text {
			if _, ok := jsonScalar(e.Key); !ok {
				return nil, &JSONError{Pos: e.Pos, Text: kind(e.Key) + " cannot be a key in the inventory: put it in quotes"}
			}
			if _, first := out[0].Key.(string); len(out) > 1 && (first || e.Key == nil) {
				failed = &JSONError{Pos: e.Pos, Text: fmt.Sprintf("the key %v is %s among keys of another type: put it in quotes", e.Key, kind(e.Key))}
			}
		} else if _, first := out[0].Key.(string); !first {
			failed = &JSONError{Pos: out[0].Pos, Text: fmt.Sprintf("the key %v is %s among keys of another type: put it in quotes", out[0].Key, kind(out[0].Key))}
		}
	}
	if failed != nil {
		return nil, failed
	}
	slices.SortStableFunc(out, func(a, b Entry) int {
		if s, ok := a.Key.(string); ok {
			return strings.Compare(s, b.Key.(string)) //nolint:forcetypeassert // all keys are strings when one is
		}
		return asFloat(a.Key).Cmp(asFloat(b.Key))
	})
	return out, nil
}

func asFloat(v Value) *big.Float {
	switch x := v.(type) {
	case bool:
		if x {
			return big.NewFloat(1)
		}
	case int64:
		return new(big.Float).SetInt64(x)
	case *big.Int:
		return new(big.Float).SetInt(x)
	case float64:
		if !math.IsNaN(x) {
			return big.NewFloat(x)
		}
	}
	return new(big.Float)
}

func (w *jsonWriter) array(l *List, depth int) error {
	if l.Len() == 0 {
		w.out = append(w.out, "[]"...)
		return nil
	}
	w.out = append(w.out, '[')
	for i, item := range l.items {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.newline(depth + 1)
		if err := w.value(item, depth+1, l.PosOf(i)); err != nil {
			return err
		}
	}
	w.newline(depth)
	w.out = append(w.out, ']')
	return nil
}

const hexDigits = "0123456789abcdef"

func (w *jsonWriter) string(s string) {
	w.out = append(w.out, '"')
	for start := 0; start < len(s); {
		if c := s[start]; c >= ' ' && c <= '~' && c != '"' && c != '\\' {
			end := start + 1
			for end < len(s) && s[end] >= ' ' && s[end] <= '~' && s[end] != '"' && s[end] != '\\' {
				end++
			}
			w.out = append(w.out, s[start:end]...)
			start = end
			continue
		}
		r, size := decodeWide(s[start:])
		start += size
		w.escape(r)
	}
	w.out = append(w.out, '"')
}

func (w *jsonWriter) escape(r rune) {
	switch r {
	case '"', '\\':
		w.out = append(w.out, '\\', byte(r))
	case '\n':
		w.out = append(w.out, `\n`...)
	case '\r':
		w.out = append(w.out, `\r`...)
	case '\t':
		w.out = append(w.out, `\t`...)
	case '\f':
		w.out = append(w.out, `\f`...)
	case '\b':
		w.out = append(w.out, `\b`...)
	default:
		if r > 0xFFFF {
			high, low := utf16.EncodeRune(r)
			w.escape(high)
			r = low
		}
		w.out = append(w.out, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
	}
}
