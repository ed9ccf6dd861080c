package oslo

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Has says whether a file or the environment sets the option. It does not count as asking for its value.
func (c *Config) Has(group, option string) bool {
	return len(c.find(newKey(group, option))) > 0
}

// String gives an option as it stands, or def if it is not set.
func (c *Config) String(group, option, def string) string {
	if text, _, ok := c.last(group, option); ok {
		return text
	}
	return def
}

// Choice gives an option that must be one of the allowed words. Case matters.
func (c *Config) Choice(group, option, def string, allowed ...string) string {
	return get(c, group, option, def, "one of "+strings.Join(allowed, ", "), func(s string) (string, bool) {
		return s, slices.Contains(allowed, s)
	})
}

// Bool takes oslo.config's words in any case: true, 1, on, yes and false, 0, off, no. An empty value is an error.
func (c *Config) Bool(group, option string, def bool) bool {
	return get(c, group, option, def, "true or false", func(s string) (value, ok bool) {
		switch strings.ToLower(s) {
		case "true", "1", "on", "yes":
			return true, true
		case "false", "0", "off", "no":
			return false, true
		}
		return false, false
	})
}

// Int takes a whole number. An empty value is as good as none, as in oslo.config.
func (c *Config) Int(group, option string, def int) int {
	return getNumber(c, group, option, def, "a whole number", strconv.Atoi)
}

// Float takes a finite number. An empty value is as good as none.
func (c *Config) Float(group, option string, def float64) float64 {
	return getNumber(c, group, option, def, "a number", parseFloat)
}

// Seconds takes a number of seconds, which may have a fraction. An empty value is as good as none.
func (c *Config) Seconds(group, option string, def time.Duration) time.Duration {
	return getNumber(c, group, option, def, "a number of seconds", func(s string) (time.Duration, error) {
		f, err := parseFloat(s)
		if err == nil && math.Abs(f) > math.MaxInt64/float64(time.Second) {
			err = strconv.ErrRange
		}
		return time.Duration(f * float64(time.Second)), err
	})
}

// List splits at commas and trims the items. Commas at the end are dropped, an empty value is an empty list.
func (c *Config) List(group, option string, def []string) []string {
	text, _, ok := c.last(group, option)
	if !ok {
		return def
	}
	text = strings.TrimRight(strings.TrimFunc(text, isSpace), ",")
	if text == "" {
		return []string{}
	}
	items := strings.Split(text, ",")
	for i := range items {
		items[i] = strings.TrimFunc(items[i], isSpace)
	}
	return items
}

// Strings gives every value of an option that may be repeated (oslo.config's MultiOpt), over all files in order. A
// variable of the environment replaces them all.
func (c *Config) Strings(group, option string, def []string) []string {
	k := newKey(group, option)
	values := c.ask(k)
	if len(values) == 0 {
		return def
	}
	texts := make([]string, 0, len(values))
	for _, v := range values {
		text, fault := c.expand(k, v.text)
		if fault != "" {
			c.report(&Error{Option: v.at, Expected: fault})
			continue
		}
		texts = append(texts, text)
	}
	return texts
}

// last gives the value that wins, with references replaced; false if the option is not set or cannot be understood.
func (c *Config) last(group, option string) (string, Option, bool) {
	k := newKey(group, option)
	values := c.ask(k)
	if len(values) == 0 {
		return "", Option{}, false
	}
	v := values[len(values)-1]
	text, fault := c.expand(k, v.text)
	if fault != "" {
		c.report(&Error{Option: v.at, Expected: fault})
		return "", Option{}, false
	}
	return text, v.at, true
}

func get[T any](c *Config, group, option string, def T, expected string, parse func(string) (T, bool)) T {
	text, at, ok := c.last(group, option)
	if !ok {
		return def
	}
	result, ok := parse(text)
	if !ok {
		c.report(&Error{Option: at, Expected: expected, Found: strconv.Quote(text)})
		return def
	}
	return result
}

// underscores are Python's 1_000, which Go's decimal parsers do not take.
var underscores = regexp.MustCompile(`[0-9](_[0-9]+)+`)

func getNumber[T any](c *Config, group, option string, def T, expected string, parse func(string) (T, error)) T {
	return get(c, group, option, def, expected, func(s string) (T, bool) {
		s = strings.TrimFunc(s, isSpace)
		if s == "" {
			return def, true
		}
		s = underscores.ReplaceAllStringFunc(s, func(m string) string { return strings.ReplaceAll(m, "_", "") })
		result, err := parse(s)
		return result, err == nil
	})
}

// parseFloat is strconv's without what is no number to an operator: hexadecimal, infinity and NaN.
func parseFloat(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err == nil && (math.IsInf(f, 0) || math.IsNaN(f) || strings.ContainsAny(s, "xX")) {
		err = strconv.ErrSyntax
	}
	return f, err
}
