package magnum_test

import (
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 machines", 1: "1 machine", 2: "2 machines"} {
		if got := magnum.Count(n, "machine"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
