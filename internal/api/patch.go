package api

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// A patch is a list of changes to one object, already checked against the rules of its kind (Magnum A4). It looks like
// RFC 6902 and is less: only add, replace and remove; values are texts and numbers; a dictionary is a text that holds a
// Python literal.
type patch []change

type change struct {
	op    string
	steps []string // of the path
	value any      // nil for remove
}

// names tells whether a patch is about an attribute as a whole.
func (p patch) names(attribute string) bool {
	return slices.ContainsFunc(p, func(c change) bool { return len(c.steps) == 1 && c.steps[0] == attribute })
}

func (c change) path() string { return "/" + strings.Join(c.steps, "/") }

// patchRules say what may be patched in one kind of object.
type patchRules struct {
	internal []string // never
	fixed    []string // may be changed, but not removed
	literals []string // hold dictionaries or lists
}

const maxChanges = 1000

// Python's \w is any letter or digit of any script.
var patchPath = regexp.MustCompile(`^(/[\p{L}\p{N}_-]+)+$`)

// patch reads the request's body as a patch.
func (s *server) patch(c *call, rules patchRules) (patch, error) {
	body, err := s.body(c, "patch")
	if err != nil {
		return nil, err
	}
	return parsePatch(body, rules)
}

func parsePatch(body any, rules patchRules) (patch, error) {
	items, ok := body.([]any)
	if !ok || len(items) > maxChanges {
		return nil, magnum.Invalid("Invalid input for argument patch. A list of at most %d changes is expected.", maxChanges)
	}
	out := make(patch, 0, len(items))
	for _, item := range items {
		values, ok := item.(map[string]any)
		if !ok {
			return nil, magnum.Invalid("Invalid input for argument patch. Each change must be an object.")
		}
		change, err := parseChange(values, rules)
		if err != nil {
			return nil, err
		}
		out = append(out, change)
	}
	return out, nil
}

func parseChange(values map[string]any, rules patchRules) (change, error) {
	f := &fields{arg: "patch", values: values, seen: map[string]bool{}}
	path, givenPath := f.matching("path", 1, 1024, patchPath)
	op, givenOp := f.enum("op", "add", "replace", "remove")
	for name, given := range map[string]bool{"path": givenPath, "op": givenOp} {
		if _, there := f.values[name]; !there && !given {
			f.mandatory(name)
		}
	}
	f.ignore("value")
	if err := f.done(); err != nil {
		return change{}, err
	}
	steps := strings.Split(path[1:], "/")
	switch root := steps[0]; {
	case slices.Contains(rules.internal, root):
		return change{}, magnum.Invalid("'%s' is an internal attribute and can not be updated", path)
	case op == "remove" && len(steps) == 1 && slices.Contains(rules.fixed, root):
		return change{}, magnum.Invalid("'%s' is a mandatory attribute and can not be removed", path)
	}
	if op == "remove" {
		return change{op: op, steps: steps}, nil
	}
	value, ok := patchValue(values["value"])
	if !ok {
		return change{}, magnum.Invalid("'add' and 'replace' operations needs value, a text or a whole number: %s", magnum.Shorten(path, 100))
	}
	if text, isText := value.(string); isText && len(steps) == 1 && slices.Contains(rules.literals, steps[0]) && op == "replace" {
		literal, err := parseLiteral(text)
		if err != nil {
			return change{}, magnum.Invalid("Couldn't apply patch. Reason: %s of %s is no dictionary or list", magnum.Shorten(text, 100), path)
		}
		value = literal
	}
	return change{op: op, steps: steps, value: value}, nil
}

// patchValue takes what Magnum takes: texts and whole numbers, of which Python's True is one.
func patchValue(v any) (any, bool) {
	switch v := v.(type) {
	case string, bool:
		return v, true
	case json.Number:
		return v, !strings.ContainsAny(v.String(), ".eE")
	}
	return nil, false
}

// A document is an object as a patch sees it: every attribute is there, null when it is not set.
type document map[string]any

// apply changes doc, or leaves it half changed with an error: doc is the caller's own.
func (p patch) apply(doc document) error {
	for _, c := range p {
		if err := c.apply(doc); err != nil {
			return err
		}
	}
	return nil
}

func (c change) apply(doc document) error {
	name := c.steps[0]
	now, known := doc[name]
	switch {
	case len(c.steps) > 1:
		return c.applyInside(now)
	case !known && c.op == "add":
		return magnum.Invalid("Adding a new attribute (%s) to the root of the resource is not allowed.", c.path())
	case !known:
		return magnum.Invalid("Couldn't apply patch. Reason: can't %s non-existent object '%s'", c.op, name)
	case c.op == "add" && now != nil:
		return magnum.Invalid("The attribute %s has existed, please use 'replace' operation instead.", c.path())
	}
	doc[name] = c.value // nothing, when it is removed
	return nil
}

// applyInside changes one entry of a dictionary.
func (c change) applyInside(root any) error {
	dict, ok := root.(map[string]any)
	if !ok || len(c.steps) != 2 {
		return magnum.Invalid("Couldn't apply patch. Reason: %s does not lead to anything", c.path())
	}
	key := c.steps[1]
	if _, there := dict[key]; !there && c.op != "add" {
		return magnum.Invalid("Couldn't apply patch. Reason: can't %s non-existent object '%s'", c.op, key)
	}
	if c.op == "remove" {
		delete(dict, key)
		return nil
	}
	dict[key] = c.value
	return nil
}

// fields reads a patched document as if it had been sent, but strictly: in a patch "2" is no number (Magnum 1.14;
// the number of a cluster's workers is one, see patchCluster).
func (doc document) fields(arg string, maxLabels int) *fields {
	return &fields{arg: arg, values: doc, seen: map[string]bool{}, strict: true, maxLabels: maxLabels}
}

// changed names the attributes that differ, in order.
func (doc document) changed(other document) []string {
	var names []string
	for name, v := range doc {
		if !reflect.DeepEqual(v, other[name]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (doc document) equal(other document) bool { return len(doc.changed(other)) == 0 }

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func numberOrNull(n int) any {
	if n == 0 {
		return nil
	}
	return number(n)
}

func dictionary(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// number is a whole number as encoding/json reads it.
func number(n int) json.Number { return json.Number(strconv.Itoa(n)) }
