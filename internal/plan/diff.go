package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// Facts are how one thing is, or should be: aspect to value, such as "mode": "0644". A nil map is a thing that is not
// there.
type Facts map[string]string

// Thing is something that can be compared: how it should be.
type Thing struct {
	Place, Group, Kind, Name string
	// Want is how it should be; nil when it should not be there.
	Want Facts
	// Text names the aspects whose difference is shown as a diff of lines.
	Text []string
	// Secret: no value of it is shown.
	Secret bool
	// On says what an aspect's difference is called, where it is no update: {"fresh": Restart}.
	On map[string]Action
	// Creates is the action when it is not there; Create if empty.
	Creates Action
}

// Compare gives the change that brings a thing from have to what it should be; nil if it is so already. Aspects that
// have has and Want does not are nobody's business.
func Compare(t Thing, have Facts) *Change {
	c := &Change{Place: t.Place, Group: t.Group, Kind: t.Kind, Name: t.Name}
	switch {
	case t.Want == nil && have == nil:
		return nil
	case t.Want == nil:
		c.Action = Delete
		return c
	case have == nil:
		c.Action = cmp.Or(t.Creates, Create)
		c.Summary = t.summary(nil)
		return c
	}
	var differ []string
	for _, k := range aspects(t.Want) {
		if t.Want[k] != have[k] {
			differ = append(differ, k)
		}
	}
	if len(differ) == 0 {
		return nil
	}
	c.Action = Update
	if len(differ) == 1 {
		c.Action = cmp.Or(t.On[differ[0]], Update)
	}
	c.Summary, c.Diff = t.describe(differ, have), t.diff(differ, have)
	return c
}

func aspects(f Facts) []string {
	out := make([]string, 0, len(f))
	for k := range f {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// summary says how a new thing will be: its short aspects.
func (t Thing) summary(_ Facts) string {
	if t.Secret {
		return "(secret)"
	}
	var parts []string
	for _, k := range aspects(t.Want) {
		if v := t.Want[k]; !slices.Contains(t.Text, k) && len(v) <= 60 && v != "" {
			parts = append(parts, k+" "+v)
		}
	}
	return strings.Join(parts, ", ")
}

func (t Thing) describe(differ []string, have Facts) string {
	var parts []string
	for _, k := range differ {
		switch {
		case t.Secret || slices.Contains(t.Text, k):
			parts = append(parts, k)
		default:
			parts = append(parts, fmt.Sprintf("%s %s -> %s", k, shorten(have[k]), shorten(t.Want[k])))
		}
	}
	return strings.Join(parts, ", ")
}

func (t Thing) diff(differ []string, have Facts) string {
	if t.Secret {
		return ""
	}
	var out strings.Builder
	for _, k := range differ {
		if slices.Contains(t.Text, k) {
			out.Write(diff.Diff(t.Name+" (is)", []byte(have[k]), t.Name+" (wanted)", []byte(t.Want[k])))
		}
	}
	return out.String()
}

func shorten(s string) string {
	if s == "" {
		return "(none)"
	}
	if len(s) > 64 {
		return s[:61] + "..."
	}
	return s
}
