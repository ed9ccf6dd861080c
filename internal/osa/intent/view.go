package intent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// MarshalJSON keeps the order of fields.
func (f Field) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	switch {
	case f.List:
		out.WriteByte('[')
	case f.Children != nil:
		out.WriteByte('{')
	default:
		return json.Marshal(f.Value)
	}
	for i, c := range f.Children {
		if i > 0 {
			out.WriteByte(',')
		}
		if !f.List {
			key, err := json.Marshal(c.Name)
			if err != nil {
				return nil, err
			}
			out.Write(append(key, ':'))
		}
		value, err := c.MarshalJSON()
		if err != nil {
			return nil, err
		}
		out.Write(value)
	}
	if f.List {
		out.WriteByte(']')
	} else {
		out.WriteByte('}')
	}
	return out.Bytes(), nil
}

// leaf says whether a field has nothing below it to print on lines of its own.
func (f Field) leaf() bool { return len(f.Children) == 0 }

// text is a leaf's value for people: text in quotes only where it would be misread.
func (f Field) text() string {
	switch v := f.Value.(type) {
	case nil:
		if f.List {
			return "[]"
		}
		if f.Children != nil {
			return "{}"
		}
		return "null"
	case string:
		if v == "" || strings.ContainsAny(v, "\n\"") || v != strings.TrimSpace(v) {
			return fmt.Sprintf("%q", v)
		}
		return v
	}
	return fmt.Sprint(f.Value)
}

// WriteYAML writes the Intent as YAML, each field with its origin as a comment.
func (in Intent) WriteYAML(out io.Writer, reveal bool) error {
	enc := yaml.NewEncoder(out)
	enc.SetIndent(2)
	if err := enc.Encode(in.yaml(in.Tree(reveal), Origin{})); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	return enc.Close()
}

// yaml makes a node. A comment stands where the origin differs from the one above it.
func (in Intent) yaml(f Field, above Origin) *yaml.Node {
	origin := in.Origin(f.Path)
	if f.Path == "" {
		origin = Origin{}
	}
	n := &yaml.Node{}
	switch {
	case f.List:
		n.Kind = yaml.SequenceNode
	case f.Children != nil:
		n.Kind = yaml.MappingNode
	default:
		_ = n.Encode(f.Value) // a scalar always can be
	}
	for _, c := range f.Children {
		child := in.yaml(c, origin)
		if !f.List {
			key := &yaml.Node{Kind: yaml.ScalarNode, Value: c.Name}
			if c.Name == "" || c.Name == "null" || c.Name == "y" || c.Name == "n" {
				key.Style = yaml.DoubleQuotedStyle
			}
			if !c.leaf() { // a comment beside what goes on below belongs to its name
				key.LineComment, child.LineComment = child.LineComment, ""
			}
			n.Content = append(n.Content, key)
		}
		n.Content = append(n.Content, child)
	}
	if origin != above && f.Path != "" {
		n.LineComment = origin.String()
	}
	if f.leaf() && f.Children != nil {
		n.Style = yaml.FlowStyle
	}
	return n
}

// WriteText writes one line for each field: its path, its value, where it comes from.
func (in Intent) WriteText(out io.Writer, reveal bool) error {
	var rows [][2]string
	var places []string
	var walk func(Field)
	walk = func(f Field) {
		if !f.leaf() {
			for _, c := range f.Children {
				walk(c)
			}
			return
		}
		rows = append(rows, [2]string{f.Path, f.text()})
		places = append(places, in.Origin(f.Path).String())
	}
	walk(in.Tree(reveal))
	name, value := 0, 0
	for _, r := range rows {
		name, value = max(name, len(r[0])), max(value, min(len(r[1]), 48))
	}
	for i, r := range rows {
		line := fmt.Sprintf("%-*s  %-*s  %s", name, r[0], value, r[1], places[i])
		if _, err := fmt.Fprintln(out, strings.TrimRight(line, " ")); err != nil {
			return fmt.Errorf("write text: %w", err)
		}
	}
	return nil
}

// WriteJSON writes the Intent, the origin of every field that has one of its own, and what was found.
func (in Intent) WriteJSON(out io.Writer, found osa.Findings, reveal bool) error {
	type finding struct {
		Severity string  `json:"severity"`
		Code     string  `json:"code"`
		Pos      osa.Pos `json:"pos"`
		Text     string  `json:"text"`
		Fix      string  `json:"fix"`
	}
	findings := []finding{}
	for _, f := range found.Sorted() {
		findings = append(findings, finding{f.Severity.String(), f.Code, f.Pos, f.Text, f.Fix})
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		Intent   Field             `json:"intent"`
		Origins  map[string]Origin `json:"origins"`
		Findings []finding         `json:"findings"`
	}{in.Tree(reveal), in.Origins, findings})
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}
