package bundle

import (
	"context"
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
	return writeLock(b.LockFile, text)
}

// sections are the lists of a lock whose entries have a digest, and what that key is called.
func sections() []struct{ name, kind, key string } {
	return []struct{ name, kind, key string }{
		{"modules", "module", "sum"},
		{"packages", "package", "digest"},
		{"files", "file", "digest"},
		{"images", "image", "digest"},
		{"manifests", "manifest", "digest"},
		{"addons", "addon", "digest"},
	}
}

func recorded(text []byte, digests map[string]string) ([]byte, error) {
	e, err := newEditor(text)
	if err != nil {
		return nil, err
	}
	for _, section := range sections() {
		for _, item := range list(e.root, section.name) {
			if value, made := digests[section.kind+" "+nameOf(item)]; made {
				e.set(item, section.key, value)
			}
		}
	}
	for _, item := range list(e.root, "releases") {
		e.recordRelease(item, digests)
	}
	return e.text()
}

// recordRelease writes what was made of a further release of Kubernetes into its entry.
func (e *editor) recordRelease(item *yaml.Node, digests map[string]string) {
	version := child(item, "version")
	if version == nil {
		return
	}
	for key, value := range digests {
		kind, name, _ := strings.Cut(key, " ")
		base, ofThis := strings.CutSuffix(name, "-"+version.Value)
		switch {
		case !ofThis:
		case kind == "module":
			e.set(item, "sum", value)
		default:
			e.setIn(item, "digests", base, value)
		}
	}
}

// setIn sets a key of a mapping that is a value of a mapping and may not be there yet.
func (e *editor) setIn(item *yaml.Node, mapping, key, value string) {
	inner := child(item, mapping)
	if inner != nil {
		e.set(inner, key, value)
		return
	}
	e.fail("the release in line %d of the lock has no %s: write \"%s:\" and below it \"%s: %s\"", item.Line, mapping, mapping, key, value)
}

// list are the entries of a list of the lock.
func list(root *yaml.Node, name string) []*yaml.Node {
	if node := child(root, name); node != nil && node.Kind == yaml.SequenceNode {
		return node.Content
	}
	return nil
}

func nameOf(item *yaml.Node) string {
	if name := child(item, "name"); name != nil {
		return name.Value
	}
	return ""
}
