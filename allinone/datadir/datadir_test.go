package datadir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/allinone/datadir"
)

func TestOnlyOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	d, err := datadir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = datadir.Open(path)
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("the second opener must be told the directory and the process, got %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = datadir.Open(path); err != nil {
		t.Fatalf("after Close the directory is free: %v", err)
	}
	_ = d.Close()
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

func TestClear(t *testing.T) {
	theirs := t.TempDir()
	if err := os.WriteFile(filepath.Join(theirs, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := datadir.Open(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	if err := d.Clear(); err == nil {
		t.Error("a directory with someone else's files must not be cleared")
	}

	ours, err := datadir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ours.Close() }()
	if err := datadir.WriteFile(ours.Path("pki", "ca.key"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ours.Clear(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(ours.Path("pki")); !os.IsNotExist(err) {
		t.Errorf("pki is still there: %v", err)
	}
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "f")
	for _, s := range []string{"one", "two"} {
		if err := datadir.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile(path); string(b) != s {
			t.Errorf("got %q", b)
		}
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("temporary files are left: %v", entries)
	}
}

// A full disk needs a small file system of its own, and that needs root.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no small file system to be had here: %v", err)
	}
	defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
	_, err := datadir.Open(filepath.Join(dir, "data"))
	if err == nil || !strings.Contains(err.Error(), "MB free") {
		t.Errorf("a full disk must be named, got %v", err)
	}
}
