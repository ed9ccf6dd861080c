package osa_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// TestBytesThatAreNoText: where a file is not UTF-8 is told by its line, and what to do.
func TestBytesThatAreNoText(t *testing.T) {
	_, found := osa.ReadYAML("user_q.yml", []byte("a: b\nc: M\xfcnchen\n"), osa.YAMLOptions{LibYAML: true})
	err := found.Err()
	if err == nil || !strings.Contains(err.Error(), "user_q.yml:2: ") || !strings.Contains(err.Error(), "save the file as UTF-8") {
		t.Errorf("got %v", err)
	}
}

// TestAnEnvironmentThatIsNotThere: one that was named must be there; the usual one may be missing.
func TestAnEnvironmentThatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "openstack_user_config.yml"), []byte("cidr_networks: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := osa.Load(osa.Options{Config: dir, Environment: filepath.Join(dir, "nowhere"), System: dir})
	if err == nil || !strings.Contains(err.Error(), "nowhere is not there") {
		t.Errorf("got %v", err)
	}
}
