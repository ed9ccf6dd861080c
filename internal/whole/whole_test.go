package whole_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

// names are what is in a directory.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "plan")
	for _, c := range []struct {
		text, reason string
		mode         os.FileMode
	}{
		{"one", "a new file", 0o600},
		{"two", "another content, and a wider mode than a file is begun with", 0o644},
		{"", "nothing is a content too", 0o640},
		{"three", "a mode that the umask would narrow", 0o666},
	} {
		if err := whole.Write(path, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		info, _ := os.Stat(path)
		if err != nil || string(got) != c.text || info.Mode().Perm() != c.mode {
			t.Errorf("%s: %q with mode %v, %v", c.reason, got, info.Mode(), err)
		}
		if got := names(t, dir); got != "plan" {
			t.Errorf("%s: beside it is %s", c.reason, got)
		}
	}
}

// What cannot be written leaves what was there, and nothing beside it.
func TestWhatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(path, "inside"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := whole.Write(path, []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced by a file")
	}
	if err := whole.Write(filepath.Join(dir, "no", "such"), []byte("x"), 0o600); err == nil {
		t.Error("a file was written into a directory that is not there")
	}
	if err := whole.Name(filepath.Join(dir, "nothing"), filepath.Join(dir, "taken")); err == nil {
		t.Error("a file that is not there got a name")
	}
	if got := names(t, dir); got != "taken" {
		t.Errorf("left are %s", got)
	}
}

// Who reads while others write finds one of their contents whole.
func TestReadersSeeWholeFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shared")
	contents := map[string]bool{}
	for _, letter := range []string{"a", "b", "c"} {
		contents[strings.Repeat(letter, 1<<16)] = true
	}
	if err := whole.Write(path, []byte(strings.Repeat("a", 1<<16)), 0o600); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for text := range contents {
		writers.Go(func() {
			for range 20 {
				if err := whole.Write(path, []byte(text), 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { writers.Wait(); close(ended) }()
	for reading := true; reading; {
		select {
		case <-ended:
			reading = false
		default:
		}
		got, err := os.ReadFile(path)
		if err != nil || !contents[string(got)] {
			t.Fatalf("read %d bytes that nobody wrote as a whole, %v", len(got), err)
		}
	}
}

// A killed run leaves a file with another name; the next one takes it away, and nobody else's.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ca.key")
	left, err := whole.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = left.Close() // killed here
	for _, name := range []string{"ca.key", "ca.key.old", ".ca.key", "b"} {
		if err := whole.Write(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := whole.Sweep(path); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, dir), ".ca.key b ca.key ca.key.old"; got != want {
		t.Errorf("left are %s, want %s", got, want)
	}
	if err := whole.Sweep(filepath.Join(dir, "no", "such")); err != nil {
		t.Errorf("where there is nothing: %v", err)
	}
}
