package bundle

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// record writes the digests of what was made into the lock's text, each in its line: comments and order stay.
func (b *builder) record(context.Context) error {
	if !b.Record {
		return nil
	}
	text, err := recorded(b.text, b.digests)
	if err != nil {
		return err
	}
	b.text = text
	return writeAtomically(b.LockFile, text, 0o644)
}

func recorded(text []byte, digests map[string]string) ([]byte, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	p := &parser{root: &root}
	lines := strings.Split(string(text), "\n")
	type change struct {
		line int // counted from 1
		key  string
		text string
		add  bool // a line after this one
	}
	var changes []change
	for _, section := range []struct{ name, kind, key string }{
		{"modules", "module", "sum"},
		{"packages", "package", "digest"},
		{"files", "file", "digest"},
		{"images", "image", "digest"},
		{"manifests", "manifest", "digest"},
		{"addons", "addon", "digest"},
	} {
		list := child(root.Content[0], section.name)
		if list == nil {
			continue
		}
		for i, item := range list.Content {
			name := child(item, "name")
			value, made := digests[section.kind+" "+name.Value]
			if !made {
				continue
			}
			has := child(item, section.key) != nil
			line := p.at(section.name, i, section.key)
			if !has {
				line = name.Line
			}
			changes = append(changes, change{line: line, key: section.key, text: value, add: !has})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return b.line - a.line }) // from below, so that numbers stay right
	for _, c := range changes {
		line := lines[c.line-1]
		if c.add {
			indent := strings.Repeat(" ", strings.Index(line, "name:"))
			lines = slices.Insert(lines, c.line, fmt.Sprintf("%s%s: %s", indent, c.key, c.text))
			continue
		}
		at := strings.Index(line, c.key+":")
		if at < 0 {
			return nil, fmt.Errorf("line %d of the lock should have the key %s: write each key on a line of its own", c.line, c.key)
		}
		lines[c.line-1] = line[:at] + c.key + ": " + c.text
	}
	return []byte(strings.Join(lines, "\n")), nil
}
