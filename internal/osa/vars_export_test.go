package osa

// HasGrandchildren says whether a group has children with children.
func (v *Variables) HasGrandchildren(name string) bool {
	g, _ := v.inventory.Group(name)
	for _, c := range g.Children {
		if child, ok := v.inventory.Group(c); ok && len(child.Children) > 0 {
			return true
		}
	}
	return false
}
