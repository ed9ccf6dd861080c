package magnum_test

import (
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

func TestShorten(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"", ""}, {"12345678", "12345678"}, {"123456789", "12345..."}, {"1234\u00e9789", "1234..."}, {"123\u00e96789", "123\u00e9..."},
	} {
		if got := magnum.Shorten(tc.text, 8); got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.text, got, tc.want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 machines", 1: "1 machine", 2: "2 machines"} {
		if got := magnum.Count(n, "machine"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
