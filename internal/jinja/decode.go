package jinja

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// DecodeJSON reads JSON with the order of keys, and integers as integers.
func DecodeJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := decodeJSON(d, 0)
	if err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("there is more after the value")
	}
	return v, nil
}

func decodeJSON(d *json.Decoder, depth int) (any, error) {
	if depth > 200 {
		return nil, errors.New("nested too deep")
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			return decodeArray(d, depth)
		}
		return decodeObject(d, depth)
	case json.Number:
		return number(t.String())
	}
	return t, nil
}

func decodeArray(d *json.Decoder, depth int) (any, error) {
	out := &List{}
	for d.More() {
		v, err := decodeJSON(d, depth+1)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, v)
	}
	_, err := d.Token()
	return out, err
}

func decodeObject(d *json.Decoder, depth int) (any, error) {
	out := NewDict()
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := decodeJSON(d, depth+1)
		if err != nil {
			return nil, err
		}
		out.Set(k, v)
	}
	_, err := d.Token()
	return out, err
}

func number(s string) (any, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return int(n), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) {
		return nil, errors.New("a number is out of range")
	}
	return f, nil
}

// FromYAML makes a value of YAML, read as YAML 1.1, which is what Ansible reads: yes is true, 0644 is octal, 1:30 is
// 90. The budget counts nodes, since aliases can make many of few. The scalar function, when there is one, may replace
// a scalar.
func FromYAML(n *yaml.Node, budget *int, scalar func(n *yaml.Node, v any) (any, error)) (any, error) {
	d := &yamlDecoder{budget: budget, scalar: scalar}
	return d.value(n, 0)
}

type yamlDecoder struct {
	budget *int
	scalar func(*yaml.Node, any) (any, error)
}

func (d *yamlDecoder) value(n *yaml.Node, depth int) (any, error) {
	*d.budget--
	if *d.budget < 0 || depth > 200 {
		return nil, fmt.Errorf("line %d: too many values, or nested too deep (an alias within itself?)", n.Line)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) == 0 {
			return nil, nil
		}
		return d.value(n.Content[0], depth+1)
	case yaml.AliasNode:
		return d.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		out := &List{}
		for _, c := range n.Content {
			v, err := d.value(c, depth+1)
			if err != nil {
				return nil, err
			}
			out.Items = append(out.Items, v)
		}
		return out, nil
	case yaml.MappingNode:
		out := NewDict()
		return out, d.mapping(out, n, depth)
	case yaml.ScalarNode:
		v, err := Scalar(n)
		if err != nil || d.scalar == nil {
			return v, err
		}
		return d.scalar(n, v)
	}
	return nil, nil // an empty document
}

func (d *yamlDecoder) mapping(out *Dict, n *yaml.Node, depth int) error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag == "!!merge" {
			if err := d.merge(out, n.Content[i+1], depth+1); err != nil {
				return err
			}
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Tag == "!!merge" {
			continue
		}
		for k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: a key that is not a plain value", k.Line)
		}
		key, err := Scalar(k)
		if err != nil {
			return err
		}
		v, err := d.value(n.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		out.Set(key, v)
	}
	return nil
}

// merge is "<<": what it brings comes first and gives way to what stands beside it, and to earlier mappings of a list.
func (d *yamlDecoder) merge(out *Dict, n *yaml.Node, depth int) error {
	v, err := d.value(n, depth)
	if err != nil {
		return err
	}
	sources := []any{v}
	if l, ok := v.(*List); ok {
		sources = l.Items
	}
	for _, s := range sources {
		m, ok := s.(*Dict)
		if !ok {
			return fmt.Errorf("line %d: << needs a mapping", n.Line)
		}
		for _, k := range m.keys {
			if _, there := out.Get(k); !there {
				out.Set(k, m.values[slot(k)])
			}
		}
	}
	return nil
}

// Scalar reads one scalar by YAML 1.1.
func Scalar(n *yaml.Node) (any, error) {
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	explicit := n.Style&yaml.TaggedStyle != 0
	switch {
	case explicit && n.Tag == "!!str", quoted && !explicit, explicit && !strings.HasPrefix(n.Tag, "!!"):
		return n.Value, nil
	}
	switch n.Value {
	case "", "~", "null", "Null", "NULL":
		return nil, nil
	case "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
		return true, nil
	case "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
		return false, nil
	}
	if v, ok := integer11(n.Value); ok {
		return v, nil
	}
	if v, ok := float11(n.Value); ok {
		return v, nil
	}
	return n.Value, nil
}
