package jinja

import (
	"math"
	"math/bits"
	"strings"
)

// truth is Python's bool().
func (r *run) truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case int:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *List:
		return len(v.Items) > 0
	case *Dict:
		return v.Len() > 0
	case Mapping:
		return len(v.Keys()) > 0
	case *Undefined:
		r.defined(v)
		return false
	}
	return true
}

// items are the elements a loop sees, revealed: the keys of a mapping, the characters of a string.
func (r *run) items(v any) []any {
	raw := r.rawItems(v)
	out := make([]any, len(raw))
	r.alloc(16 * len(raw))
	for i, item := range raw {
		out[i] = r.reveal(item)
	}
	return out
}

// rawItems are the elements as they are kept: for passing on without looking.
func (r *run) rawItems(v any) []any {
	switch v := v.(type) {
	case *List:
		r.spend(len(v.Items))
		return v.Items
	case *Dict:
		r.spend(len(v.keys))
		return v.keys
	case Mapping:
		return texts(v.Keys())
	case string:
		r.spend(len(v))
		r.alloc(16 * len(v))
		out := make([]any, 0, len(v))
		for _, c := range v {
			out = append(out, string(c))
		}
		return out
	case *Undefined:
		r.defined(v)
		return nil
	}
	r.errorf("%s cannot be iterated", kind(v))
	return nil
}

func texts(keys []string) []any {
	out := make([]any, len(keys))
	for i, k := range keys {
		out[i] = k
	}
	return out
}

// mapping insists on a dict. One that is computed is read out.
func (r *run) mapping(v any) *Dict {
	switch v := r.defined(v).(type) {
	case *Dict:
		return v
	case Mapping:
		out := NewDict()
		for _, k := range v.Keys() {
			r.spend(1)
			value, _ := v.Get(k)
			out.Set(k, value)
		}
		return out
	}
	r.errorf("expected a mapping, found %s", kind(v))
	return nil
}

// whole is an integer's value; booleans are integers here.
func whole(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// numeric is any number's value.
func numeric(v any) (float64, bool) {
	if f, ok := v.(float64); ok {
		return f, true
	}
	n, ok := whole(v)
	return float64(n), ok
}

func (r *run) unary(n *unaryNode) any {
	x := r.value(n.x)
	r.pos = n.at()
	if n.op == "not" {
		return !r.truth(x)
	}
	r.solid(x)
	if f, ok := x.(float64); ok {
		if n.op == "-" {
			return -f
		}
		return f
	}
	i, ok := whole(x)
	if !ok {
		r.errorf("%s cannot have a sign", kind(x))
	}
	if n.op == "+" {
		return i
	}
	if i == math.MinInt {
		r.overflow()
	}
	return -i
}

func (r *run) binary(n *binaryNode) any {
	switch n.op {
	case "and":
		if x := r.value(n.x); !r.truth(x) {
			return x
		}
		return r.eval(n.y)
	case "or":
		if x := r.value(n.x); r.truth(x) {
			return x
		}
		return r.eval(n.y)
	}
	x, y := r.value(n.x), r.value(n.y)
	r.pos = n.at()
	return r.operate(n.op, x, y)
}

func (r *run) operate(op string, x, y any) any {
	switch op {
	case "~":
		a, b := r.str(x), r.str(y)
		r.alloc(len(a) + len(b))
		return a + b
	}
	r.solid(x)
	r.solid(y)
	switch op {
	case "+":
		if v, ok := r.addition(x, y); ok {
			return v
		}
	case "*":
		if v, ok := r.repeat(x, y); ok {
			return v
		}
		if v, ok := r.repeat(y, x); ok {
			return v
		}
	case "%":
		if format, ok := x.(string); ok {
			return r.percent(format, y)
		}
	}
	a, aInt := whole(x)
	b, bInt := whole(y)
	if aInt && bInt && op != "/" {
		return r.integers(op, a, b)
	}
	f, fOK := numeric(x)
	g, gOK := numeric(y)
	if !fOK || !gOK {
		r.errorf("%s %s %s is not possible", kind(x), op, kind(y))
	}
	return r.floats(op, f, g)
}

// addition joins strings and lists.
func (r *run) addition(x, y any) (any, bool) {
	switch a := x.(type) {
	case string:
		if b, ok := y.(string); ok {
			r.alloc(len(a) + len(b))
			return a + b, true
		}
	case *List:
		if b, ok := y.(*List); ok && a.Tuple == b.Tuple {
			r.alloc(16 * (len(a.Items) + len(b.Items)))
			return &List{Tuple: a.Tuple, Items: append(append([]any(nil), a.Items...), b.Items...)}, true
		}
	}
	return nil, false
}

// repeat is "ab" * 3 and [0] * 3.
func (r *run) repeat(x, times any) (any, bool) {
	n, ok := whole(times)
	if !ok {
		return nil, false
	}
	n = max(n, 0)
	switch v := x.(type) {
	case string:
		r.alloc(r.product(len(v), n))
		return strings.Repeat(v, n), true
	case *List:
		r.alloc(r.product(16*len(v.Items), n))
		out := &List{Tuple: v.Tuple, Items: make([]any, 0, len(v.Items)*n)}
		for range n {
			if len(v.Items) == 0 {
				break
			}
			out.Items = append(out.Items, v.Items...)
		}
		return out, true
	}
	return nil, false
}

// product multiplies what will be allocated, without overflow.
func (r *run) product(a, b int) int {
	if a > 0 && b > r.limits.Bytes/a {
		return r.limits.Bytes + 1
	}
	return a * b
}

func (r *run) overflow() {
	r.errorf("the number is out of range")
}

func (r *run) integers(op string, a, b int) any {
	switch op {
	case "+":
		if c := a + b; (c > a) == (b > 0) {
			return c
		}
		r.overflow()
	case "-":
		if c := a - b; (c < a) == (b > 0) {
			return c
		}
		r.overflow()
	case "*":
		return r.times(a, b)
	case "//", "%":
		if b == 0 {
			r.errorf("division by zero")
		}
		if a == math.MinInt && b == -1 {
			r.overflow()
		}
		q, m := a/b, a%b
		if m != 0 && (m < 0) != (b < 0) { // Python rounds down
			q, m = q-1, m+b
		}
		if op == "%" {
			return m
		}
		return q
	case "**":
		if b < 0 {
			return r.floats(op, float64(a), float64(b))
		}
		out := 1
		for ; b > 0 && out != 0 && a != 1; b-- {
			r.spend(1)
			out, _ = r.times(out, a).(int)
		}
		return out
	}
	r.errorf("unknown operator %q", op)
	return nil
}

func (r *run) times(a, b int) any {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi != 0 || lo > math.MaxInt64 {
		r.overflow()
	}
	return a * b
}

func magnitude(a int) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

func (r *run) floats(op string, a, b float64) any {
	if b == 0 && (op == "/" || op == "//" || op == "%") || a == 0 && b < 0 && op == "**" {
		r.errorf("division by zero")
	}
	var out float64
	switch op {
	case "+":
		out = a + b
	case "-":
		out = a - b
	case "*":
		out = a * b
	case "/":
		out = a / b
	case "//":
		out = math.Floor(a / b)
	case "%":
		out = a - b*math.Floor(a/b)
	case "**":
		out = math.Pow(a, b)
	}
	if math.IsInf(out, 0) || math.IsNaN(out) {
		r.overflow()
	}
	return out
}
