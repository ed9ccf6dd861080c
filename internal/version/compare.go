package version

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Trim is a version without the v before it.
func Trim(v string) string { return strings.TrimPrefix(v, "v") }

// Numbers are major, minor and patch of the version of a component, with or without v. What is no number counts as 0:
// versions come from clusters that somebody else made.
func Numbers(v string) [3]int {
	var out [3]int
	core, _, _ := strings.Cut(Trim(v), "-")
	for i, part := range strings.SplitN(core, ".", 3) {
		out[i], _ = strconv.Atoi(part) // see above
	}
	return out
}

// Minor is the second number.
func Minor(v string) int { return Numbers(v)[1] }

// MinorOf is major and minor version as people write them: "1.35" of "v1.35.4".
func MinorOf(v string) string {
	n := Numbers(v)
	return fmt.Sprintf("%d.%d", n[0], n[1])
}

// Older says whether a is before b. What follows a hyphen does not count.
func Older(a, b string) bool {
	x, y := Numbers(a), Numbers(b)
	return slices.Compare(x[:], y[:]) < 0
}
