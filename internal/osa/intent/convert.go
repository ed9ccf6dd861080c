package intent

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// plain is a value as Go programs know it.
func plain(v osa.Value) any {
	switch v := v.(type) {
	case *osa.Map:
		out := make(map[string]any, v.Len())
		for _, e := range v.Entries() {
			out[fmt.Sprint(e.Key)] = plain(e.Value)
		}
		return out
	case *osa.List:
		out := make([]any, 0, v.Len())
		for _, item := range v.Items() {
			out = append(out, plain(item))
		}
		return out
	case *osa.Tagged:
		return plain(v.Value)
	case osa.Opaque:
		return v.Text
	case *big.Int:
		return v.String()
	}
	return v
}

// asText is what Ansible would print for a scalar: True and False, numbers in their shortest form.
func asText(v osa.Value) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return strconv.FormatFloat(v, 'f', 1, 64), true
		}
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case bool:
		if v {
			return "True", true
		}
		return "False", true
	case *big.Int:
		return v.String(), true
	case osa.Opaque:
		return v.Text, true
	}
	return "", false
}

// asBool is Ansible's filter bool, and nothing beyond: what it would take for false silently is not accepted.
func asBool(v osa.Value) (value, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case int64:
		return v == 1, v == 0 || v == 1
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "yes", "on", "1", "true", "y", "t":
			return true, true
		case "no", "off", "0", "false", "n", "f", "":
			return false, true
		}
	}
	return false, false
}

func asInt(v osa.Value) (int, bool) {
	switch v := v.(type) {
	case int64:
		return int(v), v >= math.MinInt32 && v <= math.MaxInt32
	case float64:
		return int(v), v == math.Trunc(v) && math.Abs(v) < math.MaxInt32
	case string:
		n, err := strconv.Atoi(strings.TrimSpace(v))
		return n, err == nil
	}
	return 0, false
}

func asTexts(v osa.Value) ([]string, bool) {
	list, ok := v.(*osa.List)
	if !ok {
		if text, ok := asText(v); ok {
			return []string{text}, true
		}
		return []string{}, false
	}
	out := make([]string, 0, list.Len())
	for _, item := range list.Items() {
		text, ok := asText(item)
		if !ok {
			return []string{}, false
		}
		out = append(out, text)
	}
	return out, true
}

// describe names a value for a message: short scalars are shown.
func describe(v osa.Value) string {
	switch v := v.(type) {
	case nil:
		return "empty"
	case *osa.Map:
		return "a mapping"
	case *osa.List:
		return "a list"
	default:
		text, _ := asText(v)
		if len(text) > 60 {
			text = text[:60] + "..."
		}
		return strconv.Quote(text)
	}
}
