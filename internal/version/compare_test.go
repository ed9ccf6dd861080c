package version

import "testing"

func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		reason, a, b string
		older        bool
		minor        string
	}{
		{"numbers and not letters", "v1.9.0", "v1.10.0", true, "1.9"},
		{"with and without v", "1.36.4", "v1.36.4", false, "1.36"},
		{"what follows a hyphen does not count", "v1.36.4-rc.1", "v1.36.4", false, "1.36"},
		{"a part that is missing is 0", "v1.36", "v1.36.1", true, "1.36"},
		{"what is no version is the oldest", "latest", "v0.0.1", true, "0.0"},
	} {
		if got := Older(tt.a, tt.b); got != tt.older {
			t.Errorf("%s: %s is older than %s: %v", tt.reason, tt.a, tt.b, got)
		}
		if got := MinorOf(tt.a); got != tt.minor {
			t.Errorf("%s: minor version %s of %s", tt.reason, got, tt.a)
		}
	}
}
