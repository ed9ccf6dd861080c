package osa

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The types of YAML 1.1 as PyYAML 6 finds them. Traps that are meant: "1e5" and "0o17" are strings, 0644 and 12:30:45
// are integers, "y" is a string while "yes" and "on" are booleans, an underscore may stand in a number.
var (
	yamlBool      = regexp.MustCompile(`^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$`)
	yamlNull      = regexp.MustCompile(`^(?:~|null|Null|NULL|)$`)
	yamlInt       = regexp.MustCompile(`^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)
	yamlFloat     = regexp.MustCompile(`^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
	yamlTimestamp = regexp.MustCompile(`^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?(?:[Tt]|[ \t]+)[0-9][0-9]?:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9][0-9]?(?::[0-9]{2})?))?)$`)
)

func isPlain(n *yaml.Node) bool {
	return n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) == 0
}

// errTag does not repeat the tag: it may be a password that nobody quoted.
var errTag = errors.New("it has a tag that is not supported here; a text that begins with ! has to be quoted")

func scalar(n *yaml.Node, tag string) (Value, error) {
	if tag == "" && isPlain(n) {
		tag = implicitTag(n.Value)
		if tag == "!!value" && n.Value == "=" {
			return nil, fmt.Errorf("a bare = cannot be read: put it in quotes")
		}
		if n.Value == "<<" {
			return nil, fmt.Errorf("<< is a key that merges, and no value: put it in quotes")
		}
	}
	switch tag {
	case "", "!!str":
		return n.Value, nil
	case "!!null":
		return nil, nil //nolint:nilnil // null is a value
	case "!!bool":
		switch strings.ToLower(n.Value) {
		case "yes", "true", "on":
			return true, nil
		case "no", "false", "off":
			return false, nil
		}
		return nil, fmt.Errorf("%q is not a boolean", n.Value)
	case "!!int":
		return yamlInteger(n.Value)
	case "!!float":
		return yamlNumber(n.Value)
	case "!!timestamp":
		return yamlTime(n.Value)
	case "!!binary":
		return Opaque{Tag: tag, Text: n.Value}, nil
	}
	return nil, errTag
}

func implicitTag(s string) string {
	if s == "" {
		return "!!null"
	}
	switch c := s[0]; {
	case c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.':
		switch {
		case yamlFloat.MatchString(s):
			return "!!float"
		case yamlInt.MatchString(s):
			return "!!int"
		case yamlTimestamp.MatchString(s):
			return "!!timestamp"
		}
	case yamlBool.MatchString(s):
		return "!!bool"
	case yamlNull.MatchString(s):
		return "!!null"
	case s == "=":
		return "!!value"
	}
	return "!!str"
}

// yamlInteger reads what Python's constructor makes of an integer: binary, octal with a leading 0, hexadecimal, base
// 60.
func yamlInteger(text string) (Value, error) {
	bad := fmt.Errorf("%q is not an integer", text)
	s := strings.ReplaceAll(text, "_", "")
	negative := strings.HasPrefix(s, "-")
	if s = strings.TrimLeft(s, "+-"); s == "" || len(s) > 4300 {
		return nil, bad
	}
	n, ok := new(big.Int), true
	switch {
	case s == "0":
	case strings.HasPrefix(s, "0b"):
		n, ok = n.SetString(s[2:], 2)
	case strings.HasPrefix(s, "0x"):
		n, ok = n.SetString(s[2:], 16)
	case s[0] == '0':
		n, ok = n.SetString(strings.TrimPrefix(s, "0o"), 8)
	default:
		for _, part := range strings.Split(s, ":") {
			digit, good := new(big.Int).SetString(part, 10)
			if !good {
				return nil, bad
			}
			n.Add(n.Mul(n, big.NewInt(60)), digit)
		}
	}
	if !ok {
		return nil, bad
	}
	if negative {
		n.Neg(n)
	}
	return smallest(n), nil
}

// smallest returns an int64 where one is enough.
func smallest(n *big.Int) Value {
	if n.IsInt64() {
		return n.Int64()
	}
	return n
}

func yamlNumber(text string) (Value, error) {
	s := strings.ToLower(strings.ReplaceAll(text, "_", ""))
	sign := 1.0
	if strings.HasPrefix(s, "-") {
		sign = -1
	}
	s = strings.TrimLeft(s, "+-")
	switch s {
	case ".inf":
		return sign * math.Inf(1), nil
	case ".nan":
		return math.NaN(), nil
	}
	v := 0.0
	for _, part := range strings.Split(s, ":") {
		f, err := strconv.ParseFloat(part, 64)
		if err != nil && !math.IsInf(f, 0) || strings.ContainsAny(part, "xp") {
			return nil, fmt.Errorf("%q is not a number", text)
		}
		v = v*60 + f
	}
	return sign * v, nil
}

func yamlTime(text string) (Value, error) {
	if !yamlTimestamp.MatchString(text) {
		return nil, fmt.Errorf("%q is not a date", text)
	}
	var year, month, day int
	if _, err := fmt.Sscanf(text, "%d-%d-%d", &year, &month, &day); err != nil || year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return nil, fmt.Errorf("%q is not a date: put it in quotes if it is text", text)
	}
	return Opaque{Tag: "!!timestamp", Text: text}, nil
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
