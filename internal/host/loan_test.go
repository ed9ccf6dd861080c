package host_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// TestReturned: what was lent goes, and nothing else of ours; once.
func TestReturned(t *testing.T) {
	m := &host.Machine{Root: t.TempDir()}
	lent := filepath.Join(m.Root, host.Directory, "blobs/sha256", strings.Repeat("a", 64))
	if err := os.MkdirAll(filepath.Dir(lent), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lent, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	count := 0
	for range 2 {
		if err := host.Ensure(t.Context(), m, []host.Item{{Returned: &host.Returned{}}}, func(e host.Event) {
			if e.Done {
				count++
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(m.Root, host.Directory, "blobs")); !os.IsNotExist(err) || count != 1 {
		t.Errorf("%v, returned %d times", err, count)
	}
	if _, err := os.Stat(filepath.Join(m.Root, host.Directory)); err != nil {
		t.Error(err)
	}
}
