package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

func TestApplyAsks(t *testing.T) {
	for _, tt := range []struct {
		reason, answer string
		want           string
	}{
		{"yes", "yes\n", ""},
		{"y", " Y\n", ""},
		{"no", "n\n", "nothing was changed"},
		{"just enter", "\n", "nothing was changed"},
		{"nobody answers", "", "no answer"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			var told bytes.Buffer
			err := ask(Streams{In: strings.NewReader(tt.answer), Err: &told}, "2 changes. Carry this out? [y/N] ")
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("want %q, got %v", tt.want, err)
			}
			if !strings.Contains(told.String(), "2 changes") {
				t.Errorf("asked: %q", told.String())
			}
		})
	}
	c := &deployApplyCommand{}
	if err := c.agreed(Streams{In: strings.NewReader("")}, plan.Plan{}, false); err != nil {
		t.Errorf("no terminal, and somebody was asked: %v", err)
	}
}

// A plan that is kept shows as little as one that is printed, and holds all the same.
func TestAPlanInAFileIsMasked(t *testing.T) {
	in, _, err := intent.Read(intent.Options{Config: "../osa/testdata/oracle/ha3/deploy", Environment: "../osa/testdata/base/30.1.5", System: "testdata/nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	in.Magnum.Service.Password = intent.NewSecret("hunter2-of-magnum")
	const url = "http://proxy:hunter2-of-nobody@10.0.0.1:3128"
	with := func(password string) (*session, plan.Plan) {
		s := &session{intent: in}
		s.wanted.Items = []host.Item{{File: &host.File{Path: "/etc/default/x", Content: password}}}
		return s, plan.Plan{
			Changes:  []plan.Change{{Place: "infra1", Kind: "file", Name: "/etc/default/x", Summary: "was " + password, Diff: "-HTTPS_PROXY=" + url + "\n+PASSWORD=" + password + "\n"}},
			Findings: []plan.Finding{{Judge: "others", Where: "infra1", Text: "it says " + url}},
		}
	}
	file := filepath.Join(t.TempDir(), "reviewed")
	s, p := with("hunter2-of-magnum")
	if err := os.WriteFile(file, []byte("an older plan"), 0o644); err != nil { //nolint:gosec // what somebody has left there
		t.Fatal(err)
	}
	if err := s.keep(p, file); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v (%v)", info.Mode(), err)
	}
	text, err := os.ReadFile(file)
	if err != nil || bytes.Contains(text, []byte("hunter2")) || !bytes.Contains(text, []byte("PASSWORD=")) {
		t.Errorf("%v: the file has\n%s", err, text)
	}
	reviewed, err := plan.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.holds(p, &reviewed); err != nil {
		t.Errorf("nothing has changed, and: %v", err)
	}
	if !strings.Contains(p.Changes[0].Diff, "hunter2-of-magnum") {
		t.Error("the plan that is carried out was masked as well")
	}
	in.Magnum.Service.Password = intent.NewSecret("hunter3-of-magnum")
	if s, p = with("hunter3-of-magnum"); s.holds(p, &reviewed) == nil {
		t.Error("another password, which looks the same when it is masked, is carried out unseen")
	}
}
