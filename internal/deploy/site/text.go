package site

import "strings"

// FirstLine is the first line of an error or message: what fits into a plan.
func FirstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
