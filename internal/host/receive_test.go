package host_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// sent is a file as a deployer sends it, in chunks of two bytes.
func sent(text string) string {
	sum := sha256.Sum256([]byte(text))
	out := "sha256:" + hex.EncodeToString(sum[:]) + "\n"
	for len(text) > 0 {
		n := min(2, len(text))
		out += "\x00\x00\x00" + string(rune(n)) + text[:n]
		text = text[n:]
	}
	return out + "\x00\x00\x00\x00"
}

func TestReceive(t *testing.T) {
	bad := strings.Replace(sent("three"), "th", "TH", 1)
	for _, tt := range []struct {
		reason, stream string
		answers        string
		files          []string
	}{
		{"nothing", "", "", nil},
		{"two files, one of them empty", sent("first") + sent(""), "ok\nok\n", []string{"first", ""}},
		{"a file that is not what it should be ends it", sent("first") + bad + sent("last"), "ok\nstore", []string{"first"}},
		{"a file that ends too early is none", sent("first") + sent("second")[:80], "ok\nstore", []string{"first"}},
		{"a name that is no digest", "../../etc/passwd\n\x00\x00\x00\x00", "\"../../etc/passwd\" is no digest", nil},
		{"no name", "sha256:00", "", nil},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			m := &host.Machine{Root: t.TempDir()}
			var out bytes.Buffer
			err := host.Receive(m, strings.NewReader(tt.stream), &out)
			if !strings.HasPrefix(out.String(), tt.answers) {
				t.Errorf("answers %q", out.String())
			}
			if whole := tt.answers == strings.Repeat("ok\n", len(tt.files)) && tt.reason != "no name"; (err == nil) != whole {
				t.Errorf("error %v", err)
			}
			found, _ := filepath.Glob(filepath.Join(m.Root, "var/lib/jeroboam/blobs/sha256/*"))
			if len(found) != len(tt.files) {
				t.Errorf("the store has %q", found)
			}
			for _, text := range tt.files {
				sum := sha256.Sum256([]byte(text))
				got, err := os.ReadFile(filepath.Join(m.Root, "var/lib/jeroboam/blobs/sha256", hex.EncodeToString(sum[:])))
				if err != nil || string(got) != text {
					t.Errorf("%q is stored as %q, %v", text, got, err)
				}
			}
		})
	}
}
