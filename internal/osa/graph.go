package osa

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// WriteGraph draws the groups as ansible-inventory --graph does: children first, then hosts, in the inventory's order.
func (inv *Inventory) WriteGraph(w io.Writer) error {
	var b strings.Builder
	child := map[string]bool{}
	groups := map[string]Group{}
	for _, g := range inv.Groups() {
		groups[g.Name] = g
		for _, c := range g.Children {
			child[c] = true
		}
	}
	var draw func(name string, depth int, trail []string)
	draw = func(name string, depth int, trail []string) {
		fmt.Fprintf(&b, "%s@%s:\n", indent(depth), name)
		g := groups[name]
		for _, c := range g.Children {
			if !slices.Contains(trail, c) {
				draw(c, depth+1, append(trail, name))
			}
		}
		for _, h := range g.Hosts {
			fmt.Fprintf(&b, "%s%s\n", indent(depth+1), h)
		}
	}
	b.WriteString("@all:\n  |--@ungrouped:\n")
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		if !child[name] && name != "all" && name != "ungrouped" {
			child[name] = true
			all := groups["all"]
			all.Children = append(all.Children, name)
			groups["all"] = all
		}
	}
	for _, name := range groups["all"].Children {
		draw(name, 1, nil)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func indent(depth int) string {
	if depth == 0 {
		return ""
	}
	return strings.Repeat("  |", depth) + "--"
}
