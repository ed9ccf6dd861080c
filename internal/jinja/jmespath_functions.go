package jinja

import (
	"slices"
	"strings"
)

// pathFunctions are the functions of JMESPath that are here: those that choose, order and count.
func pathFunctions() []string {
	return []string{
		"contains", "ends_with", "join", "keys", "length", "map", "max", "max_by", "merge", "min", "min_by", "not_null", "reverse",
		"sort", "sort_by", "starts_with", "sum", "to_array", "to_string", "type", "values",
	}
}

// pathCall is one call of a function.
type pathCall struct {
	r         *run
	name      string
	at        any
	arguments []pathArgument
}

func (c *pathCall) fail(want string) {
	c.r.errorf("json_query: the function %s needs %s", typeName(c.name), typeName(want))
}

// value is an argument's value.
func (c *pathCall) value(i int) any {
	if i >= len(c.arguments) || c.arguments[i].value == nil {
		c.fail("another number or kind of arguments")
	}
	return c.r.reveal(c.arguments[i].value(c.r, c.at))
}

func (c *pathCall) text(i int) string {
	s, ok := c.value(i).(string)
	if !ok {
		c.fail("text")
	}
	return s
}

func (c *pathCall) list(i int) []any {
	l, ok := c.value(i).(*List)
	if !ok {
		c.fail("a list")
	}
	return c.r.items(l)
}

func (c *pathCall) mapping(i int) *Dict {
	switch v := c.value(i).(type) {
	case *Dict, Mapping:
		return c.r.mapping(v)
	}
	c.fail("a mapping")
	return nil
}

func (c *pathCall) each(i int) pathQuery {
	if i >= len(c.arguments) || c.arguments[i].each == nil {
		c.fail("an expression that begins with &")
	}
	return c.arguments[i].each
}

func (c *pathCall) answer() any {
	r := c.r
	switch c.name {
	case "contains":
		switch in := c.value(0).(type) {
		case string:
			part, ok := c.value(1).(string)
			return ok && strings.Contains(in, part)
		case *List:
			return r.contains(in, c.value(1))
		}
		c.fail("text or a list")
	case "starts_with":
		return strings.HasPrefix(c.text(0), c.text(1))
	case "ends_with":
		return strings.HasSuffix(c.text(0), c.text(1))
	case "join":
		return r.joinItems(c.list(1), c.text(0), true)
	case "length":
		switch v := c.value(0).(type) {
		case string, *List, *Dict, Mapping:
			return r.length(v)
		}
		c.fail("text, a list or a mapping")
	case "keys":
		return NewList(slices.Clone(c.mapping(0).keys)...)
	case "values":
		return values(r, c.mapping(0))
	case "merge":
		out := NewDict()
		for i := range c.arguments {
			r.update(out, c.mapping(i))
		}
		return out
	case "not_null":
		for i := range c.arguments {
			if v := c.value(i); v != nil {
				return v
			}
		}
		return nil
	case "to_array":
		if l, ok := c.value(0).(*List); ok {
			return l
		}
		return NewList(c.value(0))
	case "to_string":
		if s, ok := c.value(0).(string); ok {
			return s
		}
		return r.toJSON(c.value(0), &args{r: r, of: c.name, named: NewDict()}, "")
	case "type":
		return pathType(c.value(0))
	case "map":
		out, each := &List{}, c.each(0)
		for _, item := range c.list(1) {
			r.alloc(16)
			out.Items = append(out.Items, each(r, item)) // unlike a projection it keeps what is null
		}
		return out
	}
	return c.ordered()
}

// ordered are the functions that put elements in an order.
func (c *pathCall) ordered() any {
	r := c.r
	key := func(v any) any { return v }
	if strings.HasSuffix(c.name, "_by") {
		each := c.each(1)
		key = func(v any) any { return r.reveal(each(r, v)) }
	}
	switch c.name {
	case "reverse":
		if s, ok := c.value(0).(string); ok {
			runes := []rune(s)
			slices.Reverse(runes)
			return string(runes)
		}
		return NewList(reversed(c.list(0))...)
	case "sort", "sort_by":
		return NewList(r.sorted(c.list(0), false, key)...)
	case "sum":
		var total any = 0
		for _, n := range c.list(0) {
			total = r.operate("+", total, n)
		}
		return total
	}
	items := c.list(0)
	if len(items) == 0 {
		return nil
	}
	best, sign := items[0], 1
	if strings.HasPrefix(c.name, "min") {
		sign = -1
	}
	for _, item := range items[1:] {
		if r.order(key(item), key(best))*sign > 0 {
			best = item
		}
	}
	return best
}

func pathType(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case int, float64:
		return "number"
	case string:
		return "string"
	case *List:
		return "array"
	}
	return "object"
}
