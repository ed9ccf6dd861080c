package osa

import (
	"bytes"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Half a surrogate pair, escaped in double quotes, is a character to PyYAML and an error to libyaml and to the parser
// here. So the parser gets it as a character of a private plane, which is taken back from what it read. In text that is
// not in double quotes a backslash means nothing, and it is written there as it was.
var (
	surrogateEscape = regexp.MustCompile(`(\\*)\\(u|U0000)([dD][89a-fA-F][0-9a-fA-F]{2})`)
	privateEscape   = regexp.MustCompile(`\\U00(10|0F)([dD][89a-fA-F][0-9a-fA-F]{2})`)
)

// hideSurrogates rewrites the escapes, and says whether there are any.
func hideSurrogates(text []byte) ([]byte, bool) {
	if !surrogateEscape.Match(text) {
		return text, false
	}
	out := surrogateEscape.ReplaceAllFunc(text, func(found []byte) []byte {
		m := surrogateEscape.FindSubmatch(found)
		plane := "10"
		if string(m[2]) != "u" {
			plane = "0F"
		}
		if len(m[1])%2 == 1 { // the backslash itself is escaped
			return found
		}
		return bytes.Join([][]byte{m[1], []byte(`\U00` + plane), m[3]}, nil)
	})
	return out, true
}

// showSurrogates takes them back, in every scalar below a node.
func showSurrogates(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		if n.Style&yaml.DoubleQuotedStyle != 0 {
			n.Value = surrogates(n.Value)
		} else {
			n.Value = privateEscape.ReplaceAllStringFunc(n.Value, func(found string) string {
				if found[4:6] == "10" {
					return `\u` + found[6:]
				}
				return `\U0000` + found[6:]
			})
		}
	}
	for _, child := range n.Content {
		showSurrogates(child)
	}
}

// surrogates are a text's private characters as what they stand for: a pair is one character, half a pair stays as it
// is.
func surrogates(s string) string {
	half := func(c rune) rune {
		if plane, low := c>>16, c&0xFFFF; (plane == 0x10 || plane == 0x0F) && utf16.IsSurrogate(low) {
			return low
		}
		return 0
	}
	if strings.IndexFunc(s, func(c rune) bool { return half(c) != 0 }) < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	runes := []rune(s)
	for i := 0; i < len(runes); i++ {
		h := half(runes[i])
		if h == 0 {
			out = utf8.AppendRune(out, runes[i])
			continue
		}
		if i+1 < len(runes) {
			if both := utf16.DecodeRune(h, half(runes[i+1])); both != utf8.RuneError {
				out = utf8.AppendRune(out, both)
				i++
				continue
			}
		}
		out = appendWide(out, h)
	}
	return string(out)
}
