package policy

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Source is one policy file, YAML or JSON. Name stands in messages.
type Source struct {
	Name string
	Data []byte
}

// Load is New with the overrides of policy files; rules of later files win, as in oslo.policy's policy_dirs. The error
// joins all problems of all files.
func Load(settings Settings, files ...Source) (*Enforcer, error) {
	var (
		rules    []Rule
		problems []error
	)
	for _, f := range files {
		r := reader{file: f.Name, lines: make(map[string]int)}
		r.read(f.Data)
		rules = append(rules, r.rules...)
		problems = append(problems, r.problems...)
	}
	e, err := build(settings, rules)
	if err := errors.Join(append(problems, err)...); err != nil {
		return nil, err
	}
	return e, nil
}

// reader turns one file into rules. It walks YAML nodes, because they know their lines.
type reader struct {
	file     string
	lines    map[string]int
	rules    []Rule
	problems []error
}

func (r *reader) read(data []byte) {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		// JSON may be indented with tabs and YAML may not; within strings JSON does not allow them.
		data = bytes.ReplaceAll(data, []byte("\t"), []byte(" "))
	}
	var doc yaml.Node
	if err := unmarshal(data, &doc); err != nil {
		r.failYAML(err)
		return
	}
	if doc.Kind == 0 || isNull(doc.Content[0]) {
		return // a file of comments only, as oslopolicy-sample-generator writes it
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		r.fail(root.Line, "a policy file is a mapping of rule names to checks")
		return
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		r.rule(root.Content[i], root.Content[i+1])
	}
}

// unmarshal shields from a parser that has panicked on broken input before.
func unmarshal(data []byte, doc *yaml.Node) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: %v", p)
		}
	}()
	return yaml.Unmarshal(data, doc)
}

func (r *reader) rule(name, value *yaml.Node) {
	if name.Kind != yaml.ScalarNode || name.Value == "" {
		r.fail(name.Line, "the name of a rule is a text")
		return
	}
	if first, ok := r.lines[name.Value]; ok {
		r.fail(name.Line, fmt.Sprintf("rule %s: is there already, in line %d", name.Value, first))
		return
	}
	r.lines[name.Value] = name.Line
	rule := Rule{Name: name.Value, where: fmt.Sprintf("%s:%d", r.file, name.Line)}
	switch {
	case isNull(value):
		r.fail(value.Line, fmt.Sprintf(`rule %s: has no check; write "@" to allow everybody, "!" to allow nobody`, name.Value))
		return
	case value.Kind == yaml.ScalarNode && (value.Tag == "!!str" || value.Style != 0):
		rule.Check = value.Value
	case value.Kind == yaml.SequenceNode:
		rule.isList = true
		var ok bool
		if rule.list, ok = r.list(name.Value, value); !ok {
			return
		}
	default:
		r.fail(value.Line, fmt.Sprintf("rule %s: a check is a text or a list of lists of texts", name.Value))
		return
	}
	r.rules = append(r.rules, rule)
}

func (r *reader) list(name string, value *yaml.Node) ([][]string, bool) {
	var (
		list [][]string
		good = true
	)
	for _, inner := range value.Content {
		nodes := inner.Content
		if inner.Kind == yaml.ScalarNode {
			nodes = []*yaml.Node{inner}
		}
		words := []string{}
		for _, n := range nodes {
			if n.Kind != yaml.ScalarNode || inner.Kind == yaml.MappingNode {
				r.fail(n.Line, fmt.Sprintf("rule %s: a check is a text or a list of lists of texts", name))
				good = false
				continue
			}
			words = append(words, n.Value)
		}
		list = append(list, words)
	}
	return list, good
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}

func (r *reader) fail(line int, text string) {
	r.problems = append(r.problems, fmt.Errorf("%s:%d: %s", r.file, line, text))
}

// yamlLine finds the line in the messages of the YAML package, which has no field for it.
var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

func (r *reader) failYAML(err error) {
	text := err.Error()
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[1])
		r.fail(line, text[len(m[0]):])
		return
	}
	r.problems = append(r.problems, fmt.Errorf("%s: %s", r.file, strings.TrimPrefix(text, "yaml: ")))
}
