package plan_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

func TestPlanFile(t *testing.T) {
	reviewed := plan.Plan{
		Changes:  []plan.Change{{Place: "infra1", Group: "node", Kind: "file", Name: "/etc/motd", Action: plan.Update, What: []string{"typed"}}},
		Findings: []plan.Finding{{Judge: "restart", Where: "infra1", Text: "it goes away"}},
	}
	f, err := plan.NewFile(reviewed, parts("password hunter2"), "jeroboam 1", time.Unix(1000, 0), bytes.NewReader(make([]byte, 16)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.Text()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hunter2") {
		t.Error("the basis is in the file")
	}
	for _, tt := range []struct {
		reason string
		basis  string
		change func(p *plan.Plan)
		edit   string // of the file: this, by "X"
		want   string
	}{
		{reason: "the same"},
		{reason: "the plan is the same and what it follows from is not", basis: "password hunter3", want: "has moved:\n    what is on infra2\nplan again"},
		{reason: "something else is to be done", change: func(p *plan.Plan) { p.Changes[0].Summary = "mode" }, want: "new: infra1: update file /etc/motd: mode"},
		{reason: "what was to be done is done", change: func(p *plan.Plan) { p.Changes = nil }, want: "no more: infra1: update file /etc/motd"},
		{reason: "a new danger", change: func(p *plan.Plan) { p.Findings[0].Blocks = true }, want: "new: infra1: it goes away (restart)"},
		{reason: "the file was edited", edit: "/etc/motd", want: "by hand"},
		{reason: "no plan", edit: "\"format\"", want: "is no plan"},
		{reason: "of another program", edit: "\"format\": 2", want: "has format 3"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "p")
			edited := string(text)
			if tt.edit != "" {
				edited = strings.Replace(edited, tt.edit, "\"X\"", 1)
				switch tt.edit {
				case "/etc/motd":
					edited = strings.Replace(string(text), tt.edit, "/etc/other", 1)
				case "\"format\": 2":
					edited = strings.Replace(string(text), tt.edit, "\"format\": 3", 1)
				}
			}
			if err := os.WriteFile(file, []byte(edited), 0o600); err != nil {
				t.Fatal(err)
			}
			back, err := plan.ReadFile(file)
			if err == nil {
				now := clone(t, reviewed)
				if tt.change != nil {
					tt.change(&now)
				}
				basis := "password hunter2"
				if tt.basis != "" {
					basis = tt.basis
				}
				err = back.Holds(now, parts(basis))
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("want %q, got %v", tt.want, err)
			}
		})
	}
}

// parts are a basis of which one part is given.
func parts(text string) []plan.Part {
	return []plan.Part{{Name: "what is on infra1", Text: []byte("as ever")}, {Name: "what is on infra2", Text: []byte(text)}}
}

// A plan of hundreds of hosts has no digest for each, and says which of them it may be.
func TestManyPartsOfABasis(t *testing.T) {
	basis := func(last string) (out []plan.Part) {
		for i := range 299 {
			out = append(out, plan.Part{Name: fmt.Sprintf("what is on net%d", i)})
		}
		return append(out, plan.Part{Name: "what is on net299", Text: []byte(last)})
	}
	f, err := plan.NewFile(plan.Plan{}, basis("a"), "jeroboam 1", time.Unix(1000, 0), bytes.NewReader(make([]byte, 16)))
	if err != nil || len(f.Basis) > 32 {
		t.Fatalf("%d digests, %v", len(f.Basis), err)
	}
	if err := f.Holds(plan.Plan{}, basis("a")); err != nil {
		t.Error(err)
	}
	const want = "has moved:\n    one of 269 more, from what is on net31 to what is on net299\nplan again"
	if err := f.Holds(plan.Plan{}, basis("b")); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}

func clone(t *testing.T, p plan.Plan) plan.Plan {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var out plan.Plan
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
