package osa

import (
	"fmt"
	"iter"
	"math"
	"math/big"
	"slices"
)

// Pos is where something stands. Line 0 is the file as a whole.
type Pos struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

// String is file:line, as editors understand it.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Value is one of nil, bool, int64, *big.Int, float64, string, *List, *Map, Opaque, *Tagged.
type Value = any

// Opaque is a YAML value that JSON has no form for: a date, binary data, a set. It may stand where nobody looks; the
// original stops when it has to print it.
type Opaque struct {
	Tag, Text string
}

// Tagged is a value under a tag that the reader was told to keep, such as !vault or !unsafe.
type Tagged struct {
	Tag   string
	Value Value
	Pos   Pos
}

// Map is a mapping that keeps the order in which keys arrived. Keys are compared as Python compares them: 1, 1.0 and
// true are the same key. The zero value is an empty map.
type Map struct {
	Pos     Pos
	entries []Entry
	index   map[any]int // only for maps that are long enough to need one
}

// Entry is a key, its value, and where the key stands.
type Entry struct {
	Key   Value
	Value Value
	Pos   Pos
}

const indexFrom = 12

// sameKey brings keys that Python takes for equal to one form.
func sameKey(key Value) any {
	switch k := key.(type) {
	case bool:
		if k {
			return int64(1)
		}
		return int64(0)
	case float64:
		if k == math.Trunc(k) && math.Abs(k) < 1<<62 {
			return int64(k)
		}
	case *big.Int:
		return "\x00big" + k.String()
	}
	return key
}

func (m *Map) find(key Value) int {
	if m == nil {
		return -1
	}
	k := sameKey(key)
	if m.index != nil {
		if i, ok := m.index[k]; ok {
			return i
		}
		return -1
	}
	for i := range m.entries {
		if sameKey(m.entries[i].Key) == k {
			return i
		}
	}
	return -1
}

// Len is the number of entries.
func (m *Map) Len() int {
	if m == nil {
		return 0
	}
	return len(m.entries)
}

// Get returns the value of a key, nil without one.
func (m *Map) Get(key Value) Value {
	v, _ := m.Lookup(key)
	return v
}

// Lookup returns the value of a key and whether there is one.
func (m *Map) Lookup(key Value) (Value, bool) {
	if i := m.find(key); i >= 0 {
		return m.entries[i].Value, true
	}
	return nil, false
}

// Has says whether the key is there.
func (m *Map) Has(key Value) bool { return m.find(key) >= 0 }

// PosOf says where a key stands, and for a key that is not there where the map does.
func (m *Map) PosOf(key Value) Pos {
	if i := m.find(key); i >= 0 {
		return m.entries[i].Pos
	}
	if m == nil {
		return Pos{}
	}
	return m.Pos
}

// Set gives a key a value: a new key goes to the end, an old one keeps its place and its first spelling.
func (m *Map) Set(key, value Value, pos Pos) {
	if i := m.find(key); i >= 0 {
		m.entries[i].Value, m.entries[i].Pos = value, pos
		return
	}
	m.entries = append(m.entries, Entry{Key: key, Value: value, Pos: pos})
	switch {
	case m.index != nil:
		m.index[sameKey(key)] = len(m.entries) - 1
	case len(m.entries) > indexFrom:
		m.reindex()
	}
}

// Delete removes a key.
func (m *Map) Delete(key Value) {
	if i := m.find(key); i >= 0 {
		m.entries = slices.Delete(m.entries, i, i+1)
		if m.index != nil {
			m.reindex()
		}
	}
}

func (m *Map) reindex() {
	m.index = make(map[any]int, len(m.entries)*2)
	for i := range m.entries {
		m.index[sameKey(m.entries[i].Key)] = i
	}
}

// All walks keys and values in order.
func (m *Map) All() iter.Seq2[Value, Value] {
	return func(yield func(Value, Value) bool) {
		for _, e := range m.Entries() {
			if !yield(e.Key, e.Value) {
				return
			}
		}
	}
}

// Entries returns the entries in order. The slice belongs to the map.
func (m *Map) Entries() []Entry {
	if m == nil {
		return nil
	}
	return m.entries
}

// Copy returns a map with the same entries; the values are shared.
func (m *Map) Copy() *Map {
	out := &Map{Pos: m.Pos, entries: slices.Clone(m.entries)}
	if m.index != nil {
		out.reindex()
	}
	return out
}

// List is a sequence that several maps may share.
type List struct {
	Pos   Pos
	items []Value
	pos   []Pos               // of the first len(pos) items
	names map[string]struct{} // the strings among the items, for lists that are long enough
}

// NewList makes a list of values.
func NewList(items ...Value) *List { return &List{items: items} }

// Len is the number of items.
func (l *List) Len() int {
	if l == nil {
		return 0
	}
	return len(l.items)
}

// Items returns the items in order. The slice belongs to the list.
func (l *List) Items() []Value {
	if l == nil {
		return nil
	}
	return l.items
}

// PosOf says where item i stands.
func (l *List) PosOf(i int) Pos {
	if i < len(l.pos) {
		return l.pos[i]
	}
	return l.Pos
}

// Strings returns the items that are strings.
func (l *List) Strings() []string {
	out := make([]string, 0, l.Len())
	for _, v := range l.Items() {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func (l *List) add(v Value, pos Pos) {
	if len(l.pos) == len(l.items) {
		l.pos = append(l.pos, pos)
	}
	l.items = append(l.items, v)
	if s, ok := v.(string); ok && l.names != nil {
		l.names[s] = struct{}{}
	}
}

// Has says whether an equal item is there.
func (l *List) Has(v Value) bool {
	s, isString := v.(string)
	if isString && len(l.items) > indexFrom {
		if l.names == nil {
			l.names = make(map[string]struct{}, 2*len(l.items))
			for _, have := range l.Strings() {
				l.names[have] = struct{}{}
			}
		}
		_, ok := l.names[s]
		return ok
	}
	for _, have := range l.items {
		if t, ok := have.(string); isString && ok {
			if s == t {
				return true
			}
		} else if isString == ok && Equal(have, v) {
			return true
		}
	}
	return false
}

// appendIf appends what is not there yet.
func (l *List) appendIf(v Value) {
	if !l.Has(v) {
		l.items = append(l.items, v)
		if s, ok := v.(string); ok && l.names != nil {
			l.names[s] = struct{}{}
		}
	}
}
