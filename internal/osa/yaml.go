package osa

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// YAMLOptions says what a reader of YAML 1.1 does beyond PyYAML's SafeLoader.
type YAMLOptions struct {
	// KeepTags are local tags that become a Tagged instead of an error, for example "!vault" and "!unsafe".
	KeepTags []string
	// LibYAML reads as libyaml does, with which Ansible reads files of variables: a tab is a blank, and an escape of half
	// a surrogate pair is an error. PyYAML's own scanner, which reads the user configuration, has it the other way round.
	LibYAML bool
}

// Limits that keep a small file from becoming a large structure. An operator's largest files are far below them.
const (
	maxYAMLBytes    = 16 << 20
	maxYAMLDepth    = 200
	maxYAMLExpanded = 1 << 20 // nodes, counting what an alias stands for each time
)

var (
	yamlLine   = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?((?s).*)$`)
	yamlAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced`)
)

// ReadYAML reads one document as PyYAML 6's safe_load does: YAML 1.1 types, the last of duplicate keys wins, aliases
// share the object of their anchor, merge keys go first. Syntax comes from yaml/v3's parser, types from here. What
// PyYAML would refuse is an Error among the findings; a duplicate key is a Warning. An empty file is nil.
func ReadYAML(file string, text []byte, opts YAMLOptions) (v Value, found Findings) {
	c := &constructor{file: file, opts: opts, done: map[*yaml.Node]Value{}, open: map[*yaml.Node]bool{}, flat: map[*yaml.Node][]pair{}, size: map[any]int{}}
	defer func() {
		if r := recover(); r != nil { // the parser panics on some broken input; to us that is broken input
			v, found = nil, append(c.found, Finding{Severity: Error, Code: "yaml", Pos: Pos{File: file}, Text: fmt.Sprintf("cannot be read as YAML: %v", r)})
		}
	}()
	if len(text) > maxYAMLBytes {
		c.refuse(Pos{File: file}, "is larger than %d MiB", maxYAMLBytes>>20)
		return nil, c.found
	}
	root, ok := c.parse(text)
	if !ok || root == nil {
		return nil, c.found
	}
	c.tabs(root, text)
	v = c.value(root, 0)
	if c.expanded(v) > maxYAMLExpanded {
		c.refuse(Pos{File: file}, "its aliases expand to more than %d values", maxYAMLExpanded)
	}
	if c.found.Err() != nil {
		return nil, c.found
	}
	return v, c.found
}

func (c *constructor) parse(text []byte) (*yaml.Node, bool) {
	hidden := false
	if !c.opts.LibYAML {
		text, hidden = hideSurrogates(text)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, true
		}
		c.syntax(err, text)
		return nil, false
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		c.refuse(Pos{File: c.file, Line: more.Line}, "a second document starts here, but only one is read")
		return nil, false
	case !errors.Is(err, io.EOF):
		c.syntax(err, text)
		return nil, false
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 {
		return nil, true
	}
	if hidden {
		showSurrogates(&doc)
	}
	return doc.Content[0], c.anchorsOnce(&doc, map[string]int{})
}

// anchorsOnce refuses what PyYAML refuses: an anchor name used twice.
func (c *constructor) anchorsOnce(n *yaml.Node, lines map[string]int) bool {
	ok := true
	if n.Anchor != "" && n.Kind != yaml.AliasNode {
		if first, twice := lines[n.Anchor]; twice {
			c.refuse(c.pos(n), "anchor &%s is defined a second time, first on line %d", n.Anchor, first)
			ok = false
		}
		lines[n.Anchor] = n.Line
	}
	for _, child := range n.Content {
		ok = c.anchorsOnce(child, lines) && ok
	}
	return ok
}

func (c *constructor) syntax(err error, text []byte) {
	m := yamlLine.FindStringSubmatch(err.Error())
	line, err := strconv.Atoi(m[1])
	if err != nil {
		line = 1 // the parser leaves out the first line's number, and that of an unknown anchor
	}
	if anchor := yamlAnchor.FindStringSubmatch(m[2]); anchor != nil {
		line = 1 + strings.Count(string(text[:max(0, bytes.Index(text, []byte("*"+anchor[1])))]), "\n")
		m[2] = "it refers to an anchor that is not there; a text that begins with * has to be quoted" // it may be a password
	}
	if at := notText(text); at >= 0 {
		c.refuse(Pos{File: c.file, Line: 1 + bytes.Count(text[:at], []byte("\n"))}, "is not valid YAML: a byte that is not UTF-8 (%#x); save the file as UTF-8", text[at])
		return
	}
	c.refuse(Pos{File: c.file, Line: line}, "is not valid YAML: %s", m[2])
}

// notText is where a text is not UTF-8, or -1. Files of UTF-16 say so in their first bytes, and are read.
func notText(text []byte) int {
	if bytes.HasPrefix(text, []byte{0xff, 0xfe}) || bytes.HasPrefix(text, []byte{0xfe, 0xff}) {
		return -1
	}
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return -1
}

func (c *constructor) refuse(pos Pos, format string, args ...any) {
	c.found.refuse("yaml", pos, "", format, args...)
}

// constructor turns one document's nodes into values.
type constructor struct {
	file  string
	opts  YAMLOptions
	found Findings
	done  map[*yaml.Node]Value // what anchors stand for: one object for all aliases
	open  map[*yaml.Node]bool
	flat  map[*yaml.Node][]pair
	size  map[any]int
}

type pair struct {
	key, value *yaml.Node
	merged     bool // through <<, where a duplicate is the purpose
}

func (c *constructor) pos(n *yaml.Node) Pos { return Pos{File: c.file, Line: n.Line} }

func (c *constructor) value(n *yaml.Node, depth int) Value {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if v, ok := c.done[n]; ok {
		return v
	}
	if c.open[n] {
		c.refuse(c.pos(n), "the anchor &%s contains itself", n.Anchor)
		return nil
	}
	if depth > maxYAMLDepth {
		c.refuse(c.pos(n), "is nested more than %d levels deep", maxYAMLDepth)
		return nil
	}
	c.open[n] = true
	v := c.construct(n, depth)
	delete(c.open, n)
	c.done[n] = v
	return v
}

func (c *constructor) construct(n *yaml.Node, depth int) Value {
	tag := explicitTag(n)
	if slices.Contains(c.opts.KeepTags, tag) {
		plain := *n
		plain.Tag, plain.Style, plain.Anchor = "", n.Style&^yaml.TaggedStyle, ""
		if n.Kind == yaml.ScalarNode {
			return &Tagged{Tag: tag, Value: n.Value, Pos: c.pos(n)}
		}
		return &Tagged{Tag: tag, Value: c.construct(&plain, depth), Pos: c.pos(n)}
	}
	switch {
	case n.Kind == yaml.ScalarNode:
		v, err := scalar(n, tag)
		if err != nil {
			c.refuse(c.pos(n), "%v", err)
		}
		return v
	case n.Kind == yaml.SequenceNode && (tag == "" || tag == "!!seq"):
		return c.list(n, depth)
	case n.Kind == yaml.SequenceNode && (tag == "!!omap" || tag == "!!pairs"):
		return c.pairsAsLists(n, depth)
	case n.Kind == yaml.MappingNode && (tag == "" || tag == "!!map"):
		return c.mapping(n, depth)
	case n.Kind == yaml.MappingNode && tag == "!!set":
		c.mapping(n, depth) // for its errors
		return Opaque{Tag: tag, Text: "a set"}
	}
	c.refuse(c.pos(n), "%v", errTag)
	return nil
}

func explicitTag(n *yaml.Node) string {
	if n.Style&yaml.TaggedStyle == 0 || n.Tag == "!" {
		return ""
	}
	if rest, ok := strings.CutPrefix(n.Tag, "tag:yaml.org,2002:"); ok {
		return "!!" + rest
	}
	return n.Tag
}

func (c *constructor) list(n *yaml.Node, depth int) Value {
	l := &List{Pos: c.pos(n), items: make([]Value, 0, len(n.Content))}
	for _, item := range n.Content {
		l.add(c.value(item, depth+1), c.pos(item))
	}
	return l
}

// pairsAsLists reads !!omap and !!pairs, which Python has as tuples and JSON as lists.
func (c *constructor) pairsAsLists(n *yaml.Node, depth int) Value {
	l := &List{Pos: c.pos(n)}
	for _, item := range n.Content {
		if item.Kind != yaml.MappingNode || len(item.Content) != 2 {
			c.refuse(c.pos(item), "expected a mapping with one key")
			continue
		}
		l.add(NewList(c.value(item.Content[0], depth+1), c.value(item.Content[1], depth+1)), c.pos(item))
	}
	return l
}

func (c *constructor) mapping(n *yaml.Node, depth int) Value {
	m := &Map{Pos: c.pos(n)}
	for _, p := range c.flatten(n, depth) {
		key := c.value(p.key, depth+1)
		switch key.(type) {
		case *List, *Map, *Tagged:
			c.refuse(c.pos(p.key), "%s cannot be a key", kind(key))
			continue
		}
		old, twice := m.Lookup(key)
		value := c.value(p.value, depth+1)
		if twice && !p.merged && !Equal(old, value) && m.PosOf(key).Line != 0 && !c.cameByMerge(n, key) {
			c.found.warn("duplicate-key", c.pos(p.key), "remove one of them",
				"%v is set twice, first on line %d: that value is ignored", key, m.PosOf(key).Line)
		}
		m.Set(key, value, c.pos(p.key))
	}
	return m
}

// cameByMerge says whether the key was first brought by a merge: overriding it is what merges are for.
func (c *constructor) cameByMerge(n *yaml.Node, key Value) bool {
	for _, p := range c.flat[n] {
		if p.merged && p.key.Value == fmt.Sprint(key) {
			return true
		}
	}
	return false
}

// flatten puts merged pairs first, those of later mappings in a list before those of earlier ones, as PyYAML does.
func (c *constructor) flatten(n *yaml.Node, depth int) []pair {
	if done, ok := c.flat[n]; ok {
		return done
	}
	if depth > maxYAMLDepth {
		c.refuse(c.pos(n), "merges more than %d levels deep", maxYAMLDepth)
		return nil
	}
	c.flat[n] = nil // a mapping that merges itself merges nothing
	var merged, own []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || !isPlain(key) || key.Value != "<<" {
			own = append(own, pair{key: key, value: value})
			continue
		}
		merged = append(merged, c.mergedPairs(resolveAlias(value), depth)...)
	}
	if len(merged) > maxYAMLExpanded/8 {
		c.refuse(c.pos(n), "its merge keys bring more than %d entries", maxYAMLExpanded/8)
		return nil
	}
	for i := range merged {
		merged[i].merged = true
	}
	c.flat[n] = append(merged, own...)
	return c.flat[n]
}

func (c *constructor) mergedPairs(value *yaml.Node, depth int) []pair {
	switch value.Kind {
	case yaml.MappingNode:
		return slices.Clone(c.flatten(value, depth+1))
	case yaml.SequenceNode:
		var out []pair
		for _, item := range slices.Backward(value.Content) {
			if item = resolveAlias(item); item.Kind != yaml.MappingNode {
				c.refuse(c.pos(item), "<< takes mappings only")
				continue
			}
			if out = append(out, c.flatten(item, depth+1)...); len(out) > maxYAMLExpanded/8 {
				return out
			}
		}
		return out
	}
	c.refuse(c.pos(value), "<< takes a mapping, or a list of mappings")
	return nil
}

func resolveAlias(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// expanded counts values as a printer would meet them, shared ones each time, and stops counting when it is too many.
func (c *constructor) expanded(v Value) int {
	n := 1
	switch x := v.(type) {
	case *Map:
		if have, ok := c.size[x]; ok {
			return have
		}
		for _, e := range x.Entries() {
			n = min(n+c.expanded(e.Value), maxYAMLExpanded+1)
		}
		c.size[x] = n
	case *List:
		if have, ok := c.size[x]; ok {
			return have
		}
		for _, item := range x.Items() {
			n = min(n+c.expanded(item), maxYAMLExpanded+1)
		}
		c.size[x] = n
	case *Tagged:
		return c.expanded(x.Value)
	}
	return n
}
