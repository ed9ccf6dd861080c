package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInotifyRoom(t *testing.T) {
	one, err := layout(1)
	if err != nil {
		t.Fatal(err)
	}
	three, err := layout(3)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		reason      string
		limit, used int
		hosts       []Host
		room        bool
	}{
		{"three hosts on a machine as it comes", 128, 20, three, true},
		{"beside a lab of one host", 128, 60, three, false},
		{"one host beside three", 128, 110, one, false},
		{"one host", 128, 88, one, true},
	} {
		err := inotifyRoom(c.limit, c.used, c.hosts)
		if (err == nil) != c.room || err != nil && !strings.Contains(err.Error(), "sysctl -w") {
			t.Errorf("%s: %v", c.reason, err)
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
