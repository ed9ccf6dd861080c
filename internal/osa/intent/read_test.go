package intent_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/osa"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

var update = golden.Flag()

// oracle are real operators' directories.
func oracle(t *testing.T) map[string]intent.Options {
	t.Helper()
	files, err := filepath.Glob("../testdata/oracle/*/RELEASE")
	if err != nil || len(files) == 0 {
		t.Fatalf("no oracle cases: %v", err)
	}
	out := map[string]intent.Options{}
	for _, file := range files {
		release, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(filepath.Dir(file))] = intent.Options{
			Config:      filepath.Join(filepath.Dir(file), "deploy"),
			Environment: filepath.Join("../testdata/base", strings.TrimSpace(string(release))),
			System:      "testdata/nowhere",
		}
	}
	return out
}

func TestOracleNodes(t *testing.T) {
	for name, opts := range oracle(t) {
		in, found, err := intent.Read(opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if f.Severity == osa.Error {
				t.Errorf("%s: %s", name, f)
			}
		}
		if want := map[string]int{"aio": 1}[name]; len(in.Nodes) != max(want, 1) && len(in.Nodes) != 3 {
			t.Errorf("%s: %d nodes", name, len(in.Nodes))
		}
	}
}

// Every field has an origin, and every field without a default has a file.
func TestEveryFieldHasAnOrigin(t *testing.T) {
	for name, opts := range oracle(t) {
		in, _, err := intent.Read(opts)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		var walk func(intent.Field)
		walk = func(f intent.Field) {
			for _, c := range f.Children {
				walk(c)
			}
			if len(f.Children) > 0 {
				return
			}
			n++
			o := in.Origin(f.Path)
			if o == (intent.Origin{}) {
				t.Errorf("%s: %s has no origin", name, f.Path)
			}
			if o.Pos.File == "" && o.Why == "" && o.Level == "" {
				t.Errorf("%s: %s comes from nowhere: %+v", name, f.Path, o)
			}
		}
		walk(in.Tree(true))
		if n < 200 {
			t.Errorf("%s: only %d fields", name, n)
		}
	}
}

// The whole Intent of a real configuration, with the place of every value. -update writes it anew.
func TestGolden(t *testing.T) {
	in, found, err := intent.Read(oracle(t)["ha3"])
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := in.WriteYAML(&out, false); err != nil {
		t.Fatal(err)
	}
	out.WriteString("---\n")
	for _, f := range found.Sorted() {
		fmt.Fprintf(&out, "- %s\n", f)
	}
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(out.String(), here, "..")
	golden.Compare(t, *update, "ha3.yaml", got)
}
