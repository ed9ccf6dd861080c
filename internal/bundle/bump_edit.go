package bundle

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// bumpModules: Kubernetes itself, what it takes from its source tree, and what other modules ask for of it.
func (e *editor) bumpModules(lock *Lock, from string, to source) {
	own := lock.kubernetes()
	published, now := published(from), published(to.version)
	sets := child(e.root, "pins")
	pinned := map[string]bool{}
	var lastSet *yaml.Node
	for _, name := range own.Pins {
		set := child(sets, name)
		for i := 0; set != nil && i+1 < len(set.Content); i += 2 {
			key, value := set.Content[i], set.Content[i+1]
			if value.Value != published || !strings.HasPrefix(key.Value, "k8s.io/") {
				continue
			}
			pinned[key.Value] = true
			if len(to.staging) > 0 && !slices.Contains(to.staging, key.Value) {
				e.changes = append(e.changes, change{line: key.Line, replace: true}) // the new release has no such module any more
				continue
			}
			e.value(value, now)
			lastSet = value
		}
	}
	for _, m := range to.staging {
		if !pinned[m] && lastSet != nil {
			e.add(lastSet.Line, "    "+m+": "+now)
		}
	}
	for _, item := range list(e.root, "modules") {
		if path := child(item, "path"); path != nil && path.Value == kubernetesModule {
			e.set(item, "version", to.version)
			if child(item, "sum") != nil {
				e.setEmpty(item, "sum")
			}
		}
		if asked := child(child0(item, "require"), kubernetesModule); asked != nil && asked.Value == from {
			e.value(asked, to.version)
		}
	}
}

// child0 is a child that is a mapping, or an empty one.
func child0(node *yaml.Node, key string) *yaml.Node {
	if c := child(node, key); c != nil {
		return c
	}
	return &yaml.Node{Kind: yaml.MappingNode}
}

// setEmpty takes a value away and leaves the key.
func (e *editor) setEmpty(item *yaml.Node, key string) {
	node := child(item, key)
	if node.Value == "" {
		return
	}
	if node.Style == 0 {
		e.value(node, `""`)
		return
	}
	e.value(node, "")
}

func (e *editor) bumpPrograms(lock *Lock, from, to string) {
	own := lock.kubernetes()
	for _, item := range list(e.root, "programs") {
		if module := child(item, "module"); module == nil || module.Value != own.Name {
			continue
		}
		variables := child0(item, "variables")
		for i := 0; i+1 < len(variables.Content); i += 2 {
			key, value := variables.Content[i], variables.Content[i+1]
			e.value(value, swapVariable(key.Value, value.Value, from, to))
		}
	}
}

// bumpArtefacts: files and images that are built from Kubernetes and have its version, of every group.
func (e *editor) bumpArtefacts(lock *Lock, from, to string) {
	for _, section := range []string{"files", "images"} {
		for _, item := range list(e.root, section) {
			uses := func(name *yaml.Node) bool { return name != nil && lock.ofKubernetes(name.Value) }
			of := uses(child(item, "program"))
			programs := child0(item, "programs")
			for i := 1; i < len(programs.Content); i += 2 {
				of = of || uses(programs.Content[i])
			}
			have := child(item, "version")
			if !of || have == nil || have.Value != from {
				continue
			}
			e.value(have, to)
			for _, key := range []string{"reference", "url", "checksums"} {
				if node := child(item, key); node != nil {
					e.value(node, swapVersion(node.Value, from, to))
				}
			}
			e.remove(item, "digest")
			e.remove(item, "urlDigest")
		}
	}
}

// bumpReferences: what names images of Kubernetes, or is rendered for it, elsewhere in the lock.
func (e *editor) bumpReferences(lock *Lock, from, to string) {
	changed := map[string]bool{}
	for _, i := range lock.Images {
		if i.release == "" && i.Version == from && slices.ContainsFunc(slices.Collect(maps.Values(i.Programs)), lock.ofKubernetes) {
			changed[i.Reference] = true
		}
	}
	for _, section := range []string{"manifests", "addons"} {
		for _, item := range list(e.root, section) {
			var visit func(node *yaml.Node)
			differs := false
			visit = func(node *yaml.Node) {
				if node.Kind == yaml.ScalarNode && changed[node.Value] {
					e.value(node, swapVersion(node.Value, from, to))
					differs = true
				}
				for _, c := range node.Content {
					visit(c)
				}
			}
			visit(item)
			if asked := child(child0(item, "chart"), "kubeVersion"); asked != nil && asked.Value == from {
				e.value(asked, to)
				differs = true
			}
			if differs {
				e.remove(item, "digest")
			}
		}
	}
}
