package plan

import (
	"fmt"
	"io"
	"strings"
)

// WriteText writes a plan for people: by place, each change on a line, diffs below, then what the judges say.
func WriteText(w io.Writer, p Plan, diffs bool) error {
	out := &strings.Builder{}
	last := ""
	for _, c := range p.Changes {
		if head := c.Place + " / " + c.Group; head != last {
			fmt.Fprintf(out, "%s\n", head)
			last = head
		}
		fmt.Fprintf(out, "  %s %s %s %s", c.Action.Mark(), c.Action, c.Kind, c.Name)
		if c.Summary != "" {
			fmt.Fprintf(out, ": %s", c.Summary)
		}
		out.WriteByte('\n')
		if diffs && c.Diff != "" {
			for line := range strings.Lines(c.Diff) {
				if !strings.HasPrefix(line, "diff ") {
					out.WriteString("      " + line)
				}
			}
		}
	}
	for _, f := range p.Findings {
		word := "note"
		if f.Blocks {
			word = "danger"
		}
		fmt.Fprintf(out, "%s: %s: %s (%s)\n", word, f.Where, f.Text, f.Judge)
	}
	fmt.Fprintln(out, Summary(p))
	_, err := io.WriteString(w, out.String())
	return err
}

// Summary counts, in one line.
func Summary(p Plan) string {
	if p.Empty() {
		return "no changes"
	}
	count := map[Action]int{}
	places := map[string]bool{}
	for _, c := range p.Changes {
		count[c.Action]++
		places[c.Place] = true
	}
	var parts []string
	for _, a := range []Action{Create, Update, Restart, Run, Delete, Check} {
		if n := count[a]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d to %s", n, a))
		}
	}
	return fmt.Sprintf("%d changes in %d places: %s", len(p.Changes), len(places), strings.Join(parts, ", "))
}
