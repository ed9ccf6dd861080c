package golden_test

import (
	"os"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/golden"
)

// TestCompare writes a file with -update, and finds it equal afterwards.
func TestCompare(t *testing.T) {
	t.Chdir(t.TempDir())
	golden.Compare(t, true, "sub/one.txt", "text\n")
	golden.Compare(t, false, "sub/one.txt", "text\n")
	if got, err := os.ReadFile("testdata/sub/one.txt"); err != nil || string(got) != "text\n" {
		t.Errorf("%q, %v", got, err)
	}
}
