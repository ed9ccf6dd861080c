package osa

// ParseINI reads text as a static inventory, and PythonLiteral as a value of one.
func ParseINI(text string) error {
	m, err := NewInventory(&Map{}).withStatic("", "", false)
	if err != nil {
		return err
	}
	return m.parseINI("inventory.ini", text)
}

// PythonLiteral is pythonLiteral.
func PythonLiteral(text string) (Value, bool) { return pythonLiteral(text) }

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
