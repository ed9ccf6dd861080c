// Package golden compares what a test made with a file of it that was reviewed: testdata/NAME. "go test PACKAGE
// -update" writes the files anew, for a diff that somebody reads. For tests only.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Flag is -update, for a test's package to define once.
func Flag() *bool { return flag.Bool("update", false, "write the golden files") }

// Compare fails the test when got is not what testdata/name says; with update it writes that first.
func Compare(t *testing.T, update bool, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", file, diff)
	}
}
