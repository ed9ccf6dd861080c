package label

import "slices"

// Without is what a label has no effect without; "" if it needs nothing.
func (l Label) Without() string {
	for _, n := range needs() {
		if slices.Contains(n.labels, l.Name) {
			return n.without
		}
	}
	return ""
}

// Needy are the names of all labels that need something.
func Needy() []string {
	var out []string
	for _, n := range needs() {
		out = append(out, n.labels...)
	}
	return out
}
