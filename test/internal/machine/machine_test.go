package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHolder: a process id that was given to another process is not the holder.
func TestHolder(t *testing.T) {
	h := Holder{File: filepath.Join(t.TempDir(), "holder")}
	for _, c := range []struct {
		reason, text string
		want         int
	}{
		{"this very process", holderText(os.Getpid()), os.Getpid()},
		{"the id was used again", strings.Replace(holderText(os.Getpid()), " ", " 1", 1), 0},
		{"init is nobody's", holderText(1), 0},
		{"half written", "12", 0},
		{"nonsense", "a b", 0},
	} {
		if err := os.WriteFile(h.File, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := h.PID(); got != c.want {
			t.Errorf("%s: %d, want %d", c.reason, got, c.want)
		}
	}
}

func TestInotifyInUse(t *testing.T) {
	proc := t.TempDir()
	for name, target := range map[string]string{"1/fd/3": "anon_inode:inotify", "1/fd/4": "/dev/null", "22/fd/0": "anon_inode:inotify", "sys/fd/0": "anon_inode:inotify"} {
		path := filepath.Join(proc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	if got := inotifyInUse(proc); got != 2 {
		t.Errorf("%d, want 2", got)
	}
}
