package osa

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// tabs refuses tabs where PyYAML does and the parser does not: everywhere but in quotes, block scalars and comments.
func (c *constructor) tabs(root *yaml.Node, text []byte) {
	if c.opts.LibYAML || !bytes.ContainsRune(text, '\t') {
		return
	}
	lines := strings.SplitAfter(string(text), "\n")
	inside := make([][]bool, len(lines)) // of lines with tabs, which bytes are a scalar's
	for i, l := range lines {
		if strings.Contains(l, "\t") {
			inside[i] = make([]bool, len(l))
		}
	}
	markScalars(root, lines, inside)
	for i, l := range lines {
		if inside[i] == nil {
			continue
		}
		for at := range len(l) {
			if inside[i][at] {
				continue
			}
			if l[at] == '#' && (at == 0 || l[at-1] == ' ' || l[at-1] == '\t') {
				break
			}
			if l[at] == '\t' {
				c.refuse(Pos{File: c.file, Line: i + 1}, "a tab is not allowed here: use spaces")
				break
			}
		}
	}
}

func markScalars(n *yaml.Node, lines []string, inside [][]bool) {
	if n.Kind == yaml.ScalarNode && n.Line >= 1 && n.Line <= len(lines) {
		switch {
		case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
			markBlock(n.Line, lines, inside)
		case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
			markQuoted(n, lines, inside)
		}
	}
	for _, child := range n.Content {
		markScalars(child, lines, inside)
	}
}

// markBlock marks the lines below the header that are as deep as the first, or empty.
func markBlock(header int, lines []string, inside [][]bool) {
	depth := -1
	for i := header; i < len(lines); i++ {
		body := strings.TrimLeft(lines[i], " ")
		if strings.TrimSpace(body) != "" {
			indent := len(lines[i]) - len(body)
			if depth < 0 {
				depth = indent
			}
			if indent < depth {
				return
			}
		}
		for at := range inside[i] {
			inside[i][at] = true
		}
	}
}

// markQuoted marks from the opening quote, which may come after an anchor and a tag, to the closing one.
func markQuoted(n *yaml.Node, lines []string, inside [][]bool) {
	quote := byte('"')
	if n.Style&yaml.SingleQuotedStyle != 0 {
		quote = '\''
	}
	at := 0
	for range n.Column - 1 { // a column counts characters
		if at < len(lines[n.Line-1]) {
			_, size := decodeWide(lines[n.Line-1][at:])
			at += size
		}
	}
	open := false
	for i := n.Line - 1; i < len(lines); i, at = i+1, 0 {
		for ; at < len(lines[i]); at++ {
			if open && inside[i] != nil {
				inside[i][at] = true
			}
			switch c := lines[i][at]; {
			case c == '\\' && open && quote == '"':
				at++
				if inside[i] != nil && at < len(lines[i]) {
					inside[i][at] = true
				}
			case c == quote && open && quote == '\'' && at+1 < len(lines[i]) && lines[i][at+1] == quote:
				at++
			case c == quote && open:
				return
			case c == quote:
				open = true
			}
		}
	}
}
