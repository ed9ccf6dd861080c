// Package signtest makes keys for the tests of whoever signs, or believes signatures.
package signtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

// NewKey makes a key, and the trust in it.
func NewKey(t *testing.T) (*sign.Key, sign.Trust) {
	t.Helper()
	key, _, err := sign.NewKey("")
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Public()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bundle.pub")
	if err := os.WriteFile(file, []byte(public), 0o644); err != nil {
		t.Fatal(err)
	}
	trust, err := sign.ReadTrust(file)
	if err != nil {
		t.Fatal(err)
	}
	return &key, trust
}
