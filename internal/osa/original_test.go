package osa_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// TestBesideTheOriginal runs the original generator on the same directories, fresh and again. It needs a directory that
// holds <release>/osa_toolkit and <release>/inventory of OpenStack-Ansible, in OSA_ORIGINALS, and a Python with yaml
// and netaddr, in OSA_PYTHON.
func TestBesideTheOriginal(t *testing.T) {
	trees, err := filepath.Glob(filepath.Join(os.Getenv("OSA_ORIGINALS"), "*", "osa_toolkit"))
	if os.Getenv("OSA_ORIGINALS") == "" || err != nil || len(trees) == 0 {
		t.Skip("OSA_ORIGINALS names no releases")
	}
	python := os.Getenv("OSA_PYTHON")
	if python == "" {
		python = "python3"
	}
	for _, tree := range trees {
		tree = filepath.Dir(tree)
		for name, opts := range cases(t) {
			t.Run(filepath.Base(tree)+"/"+name, func(t *testing.T) {
				dir := t.TempDir()
				copyDir(t, dir, opts.Config)
				beside(t, python, tree, dir) // on top of the inventory of another release, perhaps
				if err := os.Remove(filepath.Join(dir, osa.InventoryFile)); err != nil {
					t.Fatal(err)
				}
				text := beside(t, python, tree, dir)
				if err := os.WriteFile(filepath.Join(dir, osa.InventoryFile), text, 0o644); err != nil {
					t.Fatal(err)
				}
				beside(t, python, tree, dir)
			})
		}
	}
}

func beside(t *testing.T, python, tree, dir string) []byte {
	t.Helper()
	environment := filepath.Join(tree, "inventory")
	want, err := exec.CommandContext(t.Context(), python, "testdata/original.py", tree, dir, environment).Output()
	var exit *exec.ExitError
	refused := errors.As(err, &exit) && exit.ExitCode() == 3
	if err != nil && !refused {
		t.Fatal(err)
	}
	n := 0
	draw := osa.Draw{Suffix: func() string { n++; return fmt.Sprintf("%08x", n) }, Pick: func(uint64) uint64 { return 0 }}
	_, res, err := generate(t, osa.Options{Config: dir, Environment: environment, System: "testdata/nowhere"}, draw)
	if (err != nil) != refused {
		t.Fatalf("the original refused: %v (%s), we: %v", refused, exit, err)
	}
	if err != nil {
		return nil
	}
	got, err := osa.WriteJSON(res.Inventory.Root())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Fatalf("differs (-original +ours):\n%s", diff)
	}
	return got
}

func copyDir(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
