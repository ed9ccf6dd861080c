package main_test

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestScriptsAreShell reads every script once, so that a mistake shows before somebody needs it.
func TestScriptsAreShell(t *testing.T) {
	scripts := []string{".ci/run"}
	for _, pattern := range []string{"test/*.sh", "test/*/*.sh", "test/*/*/*.sh"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		scripts = append(scripts, found...)
	}
	if len(scripts) < 3 {
		t.Errorf("only %v are read: where are the others?", scripts)
	}
	for _, path := range scripts {
		if out, err := exec.CommandContext(t.Context(), "bash", "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}
