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

func TestDifferences(t *testing.T) {
	r := remembered{Before: map[string]string{"a": "1", "b": "1", "c": "1"}, Raised: map[string]string{"b": "5"}}
	for _, c := range []struct {
		reason string
		now    map[string]string
		want   string
	}{
		{"as they were left", map[string]string{"a": "1", "b": "5", "c": "1"}, ""},
		{"a kubelet wrote one", map[string]string{"a": "10", "b": "5", "c": "1"}, "a"},
		{"somebody put the raised one back", map[string]string{"a": "1", "b": "1", "c": "1"}, "b"},
		{"one that was not there before", map[string]string{"d": "1"}, ""},
	} {
		if got := strings.Join(differences(r, c.now), ","); got != c.want {
			t.Errorf("%s: %q, want %q", c.reason, got, c.want)
		}
	}
}

func TestRaiseWritesDownFirst(t *testing.T) {
	s := Sysctls{File: filepath.Join(t.TempDir(), "sysctls.json")}
	if err := s.write(remembered{Before: map[string]string{"no/such": "128"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Raise("no/such", 64); err != nil {
		t.Errorf("it is enough already: %v", err)
	}
	if err := s.Raise("no/such", 1024); err == nil {
		t.Error("a sysctl that is not there was raised")
	}
	if r, err := s.read(); err != nil || r.Raised["no/such"] != "1024" || r.Before["no/such"] != "128" {
		t.Errorf("%+v, %v", r, err)
	}
}
