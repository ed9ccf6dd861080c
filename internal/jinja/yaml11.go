package jinja

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// YAML 1.1's numbers, as the specification's type repository and PyYAML write them.
var (
	integerForm = regexp.MustCompile(`^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)
	floatForm   = regexp.MustCompile(`^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|` +
		`[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
)

func integer11(s string) (any, bool) {
	if !integerForm.MatchString(s) {
		return nil, false
	}
	text := strings.ReplaceAll(s, "_", "")
	sign := 1
	if strings.HasPrefix(text, "-") {
		sign = -1
	}
	text = strings.TrimLeft(text, "+-")
	switch {
	case strings.Contains(text, ":"):
		n, ok := sexagesimal(text)
		return sign * int(n), ok
	case strings.HasPrefix(text, "0b"):
		return based(text[2:], 2, sign)
	case strings.HasPrefix(text, "0x"):
		return based(text[2:], 16, sign)
	case len(text) > 1 && text[0] == '0':
		return based(text[1:], 8, sign)
	}
	return based(text, 10, sign)
}

func based(text string, base, sign int) (any, bool) {
	n, err := strconv.ParseInt(text, base, 64)
	return sign * int(n), err == nil
}

func sexagesimal(text string) (float64, bool) {
	var total float64
	for part := range strings.SplitSeq(text, ":") {
		f, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return 0, false
		}
		total = total*60 + f
	}
	return total, total < 1<<53
}

func float11(s string) (any, bool) {
	if !floatForm.MatchString(s) {
		return nil, false
	}
	text := lower(strings.ReplaceAll(s, "_", ""))
	sign := 1.0
	if strings.HasPrefix(text, "-") {
		sign = -1
	}
	text = strings.TrimLeft(text, "+-")
	switch {
	case text == ".inf":
		return math.Inf(int(sign)), true
	case text == ".nan":
		return math.NaN(), true
	case strings.Contains(text, ":"):
		f, ok := sexagesimal(text)
		return sign * f, ok
	}
	f, err := strconv.ParseFloat(text, 64)
	return sign * f, err == nil && !math.IsInf(f, 0)
}
