package osa

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says how much a finding matters.
type Severity int

// Severities. Error is what stops the original as well.
const (
	Note Severity = iota
	Warning
	Error
)

// String is the word for people.
func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	default:
		return "note"
	}
}

// Finding is one thing an operator should know about the configuration.
type Finding struct {
	Severity Severity
	Code     string // a stable word for scripts, such as "shared-anchor"
	Pos      Pos
	Text     string // what is wrong
	Fix      string // what to do
}

// String is one line: place, severity, what is wrong, what to do.
func (f Finding) String() string {
	var b strings.Builder
	if f.Pos.File != "" {
		b.WriteString(f.Pos.String() + ": ")
	}
	fmt.Fprintf(&b, "%s: %s", f.Severity, f.Text)
	if f.Fix != "" {
		b.WriteString("; " + f.Fix)
	}
	fmt.Fprintf(&b, " [%s]", f.Code)
	return b.String()
}

// Findings is what was found, in the order of discovery.
type Findings []Finding

func (fs *Findings) add(s Severity, code string, pos Pos, fix, format string, args ...any) {
	for i, arg := range args {
		args[i] = shown(arg)
	}
	f := Finding{Severity: s, Code: code, Pos: pos, Text: fmt.Sprintf(format, args...), Fix: fix}
	if !slices.Contains(*fs, f) {
		*fs = append(*fs, f)
	}
}

// shown is a value as a sentence can hold it: what has no text of its own is named.
func shown(v any) any {
	switch v := v.(type) {
	case nil:
		return "null"
	case *Map, *List, *Tagged:
		return kind(v)
	case Opaque:
		return v.Text
	}
	return v
}

func (fs *Findings) refuse(code string, pos Pos, fix, format string, args ...any) {
	fs.add(Error, code, pos, fix, format, args...)
}

func (fs *Findings) warn(code string, pos Pos, fix, format string, args ...any) {
	fs.add(Warning, code, pos, fix, format, args...)
}

func (fs *Findings) note(code string, pos Pos, fix, format string, args ...any) {
	fs.add(Note, code, pos, fix, format, args...)
}

// Sorted returns errors first, then warnings, then notes, each by place.
func (fs Findings) Sorted() Findings {
	out := slices.Clone(fs)
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), strings.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line))
	})
	return out
}

// Count is the number of findings of a severity.
func (fs Findings) Count(s Severity) int {
	n := 0
	for _, f := range fs {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Tally is how many of each severity there are: "1 error, 2 warnings, 0 notes".
func (fs Findings) Tally() string {
	parts := make([]string, 0, 3)
	for _, s := range []Severity{Error, Warning, Note} {
		n := fs.Count(s)
		part := fmt.Sprintf("%d %s", n, s)
		if n != 1 {
			part += "s"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// Err is nil when nothing stops the inventory, and a *Refusal with every error otherwise.
func (fs Findings) Err() error {
	var out Findings
	for _, f := range fs.Sorted() {
		if f.Severity == Error {
			out = append(out, f)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return &Refusal{Findings: out}
}

// Refusal is a configuration that no inventory can be made of, with all its errors.
type Refusal struct { //nolint:errname // it is the word for what happens, as Finding is
	Findings Findings
}

// Error tells all of them, one a line.
func (r *Refusal) Error() string {
	lines := make([]string, 0, len(r.Findings))
	for _, f := range r.Findings {
		lines = append(lines, f.String())
	}
	return fmt.Sprintf("no inventory can be made of this configuration:\n  %s", strings.Join(lines, "\n  "))
}
