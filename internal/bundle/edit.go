package bundle

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

// editor changes values of a lock in their lines: comments, order and everything else stay as somebody wrote them.
type editor struct {
	root    *yaml.Node // the lock's mapping
	lines   []string
	changes []change
	err     error // the first one
}

// change is of one line, counted from 1: the text that takes its place (nil takes it away), and what follows after it.
type change struct {
	line    int
	replace bool
	text    []string
	rank    int // of several additions after one line
}

func newEditor(text []byte) (*editor, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	if len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("the lock is empty")
	}
	return &editor{root: root.Content[0], lines: strings.Split(string(text), "\n")}, nil
}

// writeLock replaces a lock, whose mode stays as somebody set it.
func writeLock(file string, text []byte) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	return whole.Write(file, text, info.Mode().Perm())
}

func (e *editor) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf(format, args...)
	}
}

// value puts another value in the place of a scalar.
func (e *editor) value(node *yaml.Node, value string) {
	if node.Value == value {
		return
	}
	line := e.lines[node.Line-1]
	before, after := line[:node.Column-1], line[node.Column-1:]
	token := node.Value
	switch {
	case node.Style == yaml.DoubleQuotedStyle || node.Style == yaml.SingleQuotedStyle:
		end := strings.IndexByte(after[1:], after[0])
		token = after[:max(end, 0)+2]
		value = after[:1] + value + after[:1]
	case !strings.HasPrefix(after, token):
		e.fail("line %d of the lock: write %s in one line, as it is", node.Line, token)
		return
	}
	e.changes = append(e.changes, change{line: node.Line, replace: true, text: []string{before + value + after[len(token):]}})
}

// set gives a key of a mapping a value; a key that is not there is added after the mapping's first line.
func (e *editor) set(mapping *yaml.Node, key, value string) {
	if have := child(mapping, key); have != nil {
		if have.Kind != yaml.ScalarNode || mapping.Style == yaml.FlowStyle {
			e.fail("line %d of the lock should have the key %s: write each key on a line of its own", have.Line, key)
			return
		}
		e.value(have, value)
		return
	}
	if mapping.Style == yaml.FlowStyle || len(mapping.Content) == 0 {
		e.fail("line %d of the lock has no room for the key %s: write each key on a line of its own", mapping.Line, key)
		return
	}
	first := mapping.Content[0]
	e.add(first.Line, strings.Repeat(" ", first.Column-1)+key+": "+value)
}

// remove takes a key and its value, which is in the same line, away.
func (e *editor) remove(mapping *yaml.Node, key string) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if k, v := mapping.Content[i], mapping.Content[i+1]; k.Value == key {
			if i == 0 || mapping.Style == yaml.FlowStyle || v.Kind != yaml.ScalarNode {
				e.fail("line %d of the lock: the key %s cannot be taken away, write it on a line of its own, and not first", k.Line, key)
				return
			}
			e.changes = append(e.changes, change{line: k.Line, replace: true})
		}
	}
}

// add puts lines after one; several additions after the same line stay in their order.
func (e *editor) add(after int, text ...string) {
	e.changes = append(e.changes, change{line: after, text: text, rank: len(e.changes)})
}

// last is the last line that a node's own text is on.
func last(node *yaml.Node) int {
	line := node.Line
	if node.Kind == yaml.ScalarNode && (node.Style == yaml.LiteralStyle || node.Style == yaml.FoldedStyle) {
		line += strings.Count(node.Value, "\n")
	}
	for _, c := range node.Content {
		line = max(line, last(c))
	}
	return line
}

// text is the lock with all changes. They are made from below, so that the numbers of lines stay right.
func (e *editor) text() ([]byte, error) {
	if e.err != nil {
		return nil, e.err
	}
	slices.SortStableFunc(e.changes, func(a, b change) int {
		replaced := 0 // additions after a line come before the line itself changes or goes
		if a.replace != b.replace {
			replaced = 1
			if b.replace {
				replaced = -1
			}
		}
		return cmp.Or(b.line-a.line, replaced, b.rank-a.rank)
	})
	lines := slices.Clone(e.lines)
	for _, c := range e.changes {
		if c.replace {
			lines = slices.Replace(lines, c.line-1, c.line, c.text...)
			continue
		}
		lines = slices.Insert(lines, c.line, c.text...)
	}
	return []byte(strings.Join(lines, "\n")), nil
}
