package verify

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// What became of a step.
const (
	Passed  = "passed"
	Failed  = "failed"
	Skipped = "skipped" // the cloud has nothing to look at, or it was declined
	NotRun  = "not run" // something before it failed, or the run was interrupted
)

// Result is what a step saw.
type Result struct {
	Step    string  `json:"step"`
	Proves  string  `json:"proves"`
	State   string  `json:"state"`
	Detail  string  `json:"detail,omitempty"` // what was seen; of a failure, what went wrong; why it was skipped or not run
	LookAt  string  `json:"lookAt,omitempty"` // of a failure
	Seconds float64 `json:"seconds"`
}

// Verdict is the outcome of a run.
type Verdict struct {
	Run        string   `json:"run"`
	Passed     bool     `json:"passed"`
	Summary    string   `json:"summary"`
	Kubernetes string   `json:"kubernetes,omitempty"`
	Results    []Result `json:"results"`
}

// Judge says what results mean: a cloud passes when something was looked at, nothing failed, and nothing was kept from
// being looked at. A step that was skipped is no failure, and is said.
func Judge(run string, results []Result) Verdict {
	count := map[string]int{}
	var bad []string
	for _, r := range results {
		count[r.State]++
		if r.State == Failed {
			bad = append(bad, r.Step)
		}
	}
	v := Verdict{Run: run, Results: results, Passed: count[Passed] > 0 && count[Failed] == 0 && count[NotRun] == 0}
	v.Summary = fmt.Sprintf("%d passed, %d failed, %d skipped, %d not run", count[Passed], count[Failed], count[Skipped], count[NotRun])
	if len(bad) > 0 {
		v.Summary += "; failed: " + strings.Join(bad, ", ")
	}
	return v
}

// Table writes the verdict for people.
func (v Verdict) Table(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "STEP\tRESULT\tSECONDS\tWHAT WAS SEEN") // Flush reports what went wrong
	for _, r := range v.Results {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%.0f\t%s\n", r.Step, r.State, r.Seconds, oneLine(r.Detail))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	var more strings.Builder
	for _, r := range v.Results {
		if r.State == Failed {
			fmt.Fprintf(&more, "\n%s failed: %s\n  it proves that %s\n  look at %s\n", r.Step, strings.ReplaceAll(r.Detail, "\n", "\n  "), r.Proves, r.LookAt)
		}
	}
	word := "FAILED"
	if v.Passed {
		word = "PASSED"
	}
	fmt.Fprintf(&more, "\n%s: %s (run %s)\n", word, v.Summary, v.Run)
	_, err := io.WriteString(to, more.String())
	return err
}

func oneLine(text string) string {
	const most = 140
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
