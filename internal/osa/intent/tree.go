package intent

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Field is a node of the tree that views print: a path, and either children or a value.
type Field struct {
	Name     string // its name in JSON, "" for an element of a list
	Path     string
	Value    any     // a string, a number or a boolean, nil if there are Children or List is set
	Children []Field // of a struct or mapping, in order
	List     bool    // Children are elements
	Masked   bool
}

// Tree is the Intent as fields in their order. What is secret is masked unless reveal is set.
func (in Intent) Tree(reveal bool) Field {
	w := &walker{in: in, reveal: reveal}
	return w.field("", "", reflect.ValueOf(in), false)
}

// MarshalJSON masks what is secret.
func (in Intent) MarshalJSON() ([]byte, error) { return in.Tree(false).MarshalJSON() }

type walker struct {
	in     Intent
	reveal bool
}

func (w *walker) field(name, path string, v reflect.Value, hidden bool) Field {
	f := Field{Name: name, Path: path}
	if o, ok := w.in.Origins[path]; ok {
		hidden = o.Secret // an origin of its own decides, for a part as well as for the whole
	}
	for v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.IsValid() {
		if s, ok := v.Interface().(Secret); ok {
			f.Value = s.String()
			if f.Masked = s.Set() && !w.reveal; w.reveal {
				f.Value = s.Reveal()
			}
			return f
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		f.Children = w.structure(path, v, hidden)
		return f
	case reflect.Map:
		f.Children = w.mapping(path, v, hidden)
		return f
	case reflect.Slice:
		f.List, f.Children = true, []Field{}
		for i := range v.Len() {
			f.Children = append(f.Children, w.field("", fmt.Sprintf("%s[%d]", path, i), v.Index(i), hidden))
		}
		return f
	}
	f.Value = scalar(v)
	if hidden && !w.reveal && !v.IsZero() {
		f.Value, f.Masked = mask, true
	}
	return f
}

func scalar(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err == nil {
			return string(text)
		}
	}
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int64:
		return v.Int()
	case reflect.Float64:
		return v.Float()
	}
	return fmt.Sprint(v.Interface())
}

func (w *walker) structure(path string, v reflect.Value, hidden bool) []Field {
	out := []Field{}
	for i := range v.NumField() {
		t := v.Type().Field(i)
		if t.Anonymous {
			out = append(out, w.structure(path, v.Field(i), hidden)...)
			continue
		}
		name, _, _ := strings.Cut(t.Tag.Get("json"), ",")
		if name == "-" || name == "" {
			continue
		}
		out = append(out, w.field(name, join(path, name), v.Field(i), hidden))
	}
	return out
}

func (w *walker) mapping(path string, v reflect.Value, hidden bool) []Field {
	out := []Field{}
	values := map[string]reflect.Value{}
	for _, k := range v.MapKeys() {
		values[k.String()] = v.MapIndex(k)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		out = append(out, w.field(name, join(path, name), values[name], hidden))
	}
	return out
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
