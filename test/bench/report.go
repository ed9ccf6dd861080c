package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// report collects rows and writes them once.
type report struct {
	Commit string    `json:"commit"`
	Date   time.Time `json:"date"`
	Cores  int       `json:"cores"`
	Quick  bool      `json:"quick,omitempty"`
	Load   string    `json:"load"` // when it began
	Rows   []row     `json:"rows"`

	section string
}

// row is one figure. Goal is what the issue asks for; Met is left out where it asks for nothing.
type row struct {
	Section string  `json:"section"`
	What    string  `json:"what"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	Goal    string  `json:"goal,omitempty"`
	Met     *bool   `json:"met,omitempty"`
	Load    string  `json:"load"` // when it was measured
}

// goal is a bound; the zero value is none.
type goal struct {
	bound float64
	least bool // bound is the least that is wanted, not the most
}

func atMost(v float64) goal  { return goal{bound: v} }
func atLeast(v float64) goal { return goal{bound: v, least: true} }

func newReport(ctx context.Context, quick bool) *report {
	commit, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		commit = []byte("unknown") // no checkout: the figures are good all the same
	}
	return &report{Commit: strings.TrimSpace(string(commit)), Date: time.Now().UTC().Truncate(time.Second), Cores: runtime.NumCPU(), Quick: quick, Load: load()}
}

func (r *report) begin(section string) { r.section = section }

func (r *report) add(what string, value float64, unit string, g goal) {
	line := row{Section: r.section, What: what, Value: value, Unit: unit, Load: load()}
	if g != (goal{}) {
		met := value <= g.bound
		line.Goal = fmt.Sprintf("<= %g", g.bound)
		if g.least {
			met, line.Goal = value >= g.bound, fmt.Sprintf(">= %g", g.bound)
		}
		line.Met = &met
	}
	r.Rows = append(r.Rows, line)
}

// note is a figure that no goal is set for.
func (r *report) note(what string, value float64, unit string) { r.add(what, value, unit, goal{}) }

func (r *report) write(w io.Writer, output string) error {
	if output == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	_, _ = fmt.Fprintf(w, "%s, %s, %d cores, load average %s", r.Commit, r.Date.Format(time.DateTime), r.Cores, r.Load) // Flush reports what went wrong
	if r.Quick {
		_, _ = fmt.Fprint(w, ", --quick")
	}
	_, _ = fmt.Fprint(w, "\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "SECTION\tWHAT\tVALUE\tUNIT\tGOAL\tMET\tLOAD")
	for _, l := range r.Rows {
		met := ""
		if l.Met != nil {
			met = map[bool]string{true: "yes", false: "NO"}[*l.Met]
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Section, l.What, figure(l.Value), l.Unit, l.Goal, met, l.Load)
	}
	return t.Flush()
}

// figure has three digits that count.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// load is the average of the last minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}
