package bundle

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxLock bounds a lock file in bytes; ours has about 30 kB.
const maxLock = 1 << 20

// Problem is one thing that is wrong with a lock file.
type Problem struct {
	File string
	Line int
	Text string
}

func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text) }

// LockError is all that is wrong with a lock file, in the order of its lines, and of the alphabet within one.
type LockError struct {
	Problems []Problem
}

func (e *LockError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// ReadLock reads and checks a lock file. An error about its contents is a *LockError.
func ReadLock(path string) (*Lock, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	return ParseLock(path, text)
}

// ParseLock reads and checks the text of a lock file; file names it in problems.
func ParseLock(file string, text []byte) (*Lock, error) {
	p := &parser{file: file}
	if len(text) > maxLock {
		p.problem(1, "is longer than %d bytes", maxLock)
		return nil, p.err()
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		p.yamlError(err)
		return nil, p.err()
	}
	var l Lock
	strict := yaml.NewDecoder(bytes.NewReader(text))
	strict.KnownFields(true)
	if err := strict.Decode(&l); err != nil && !errors.Is(err, io.EOF) {
		p.yamlError(err)
	}
	p.root = &root
	p.check(&l)
	if err := p.err(); err != nil {
		return nil, err
	}
	l.expand()
	return &l, nil
}

type parser struct {
	file     string
	root     *yaml.Node
	problems []Problem
}

func (p *parser) problem(line int, format string, args ...any) {
	p.problems = append(p.problems, Problem{File: p.file, Line: line, Text: fmt.Sprintf(format, args...)})
}

func (p *parser) err() error {
	if len(p.problems) == 0 {
		return nil
	}
	slices.SortFunc(p.problems, func(a, b Problem) int { // maps are checked in no order, and may be all on one line
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
	})
	return &LockError{Problems: slices.Compact(p.problems)}
}

// yamlError takes the line out of the library's "line 3: ...".
func (p *parser) yamlError(err error) {
	lines := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		lines = typed.Errors
	}
	for _, text := range lines {
		line := 1
		if rest, ok := strings.CutPrefix(text, "line "); ok {
			number, after, _ := strings.Cut(rest, ": ")
			if n, err := strconv.Atoi(number); err == nil {
				line, text = n, after
			}
		}
		p.problem(line, "%s", text)
	}
}

// at is a place in the file: keys and indexes from the root.
func (p *parser) at(where ...any) int {
	line := 1
	node := p.root
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	for _, w := range where {
		next := child(node, w)
		if next == nil {
			return line // the closest place there is
		}
		node = next
		line = node.Line
	}
	return line
}

func child(node *yaml.Node, where any) *yaml.Node {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch w := where.(type) {
	case int:
		if node.Kind == yaml.SequenceNode && w < len(node.Content) {
			return node.Content[w]
		}
	case string:
		for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == w {
				return node.Content[i+1]
			}
		}
	}
	return nil
}
