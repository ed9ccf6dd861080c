package faults

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// entries lists what is in a directory, and below.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, path); rel != "." {
			out = append(out, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// root says why a test that mounts cannot run.
func root(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts a small file system: run it as root, for example with \"sudo make e2e\"")
	}
}

// mount makes a file system of its own size in memory.
func mount(t *testing.T, size string) string {
	t.Helper()
	root(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount a tmpfs (needs CAP_SYS_ADMIN): %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// What cannot start says why, ends with status 1, and leaves what was there as it was.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	first := running(t)
	u := first.as(t, "demo")

	t.Run("a data directory that is in use", func(t *testing.T) {
		second := newSite(t)
		second.data = first.data
		second.begin(t)
		second.fails(t, first.data, "in use by process "+strconv.Itoa(first.cmd.Process.Pid), "choose another directory")
		if have := entries(t, second.dir); len(have) != 0 {
			t.Errorf("it left %v", have)
		}
		fresh := newSite(t, "--fresh")
		fresh.data = first.data
		fresh.begin(t)
		fresh.fails(t, "in use by process")
		alone := launch(t, nil, allinoneBinary, "management", "--data-dir", first.data, "--kubeconfig-out", filepath.Join(t.TempDir(), "kubeconfig"))
		alone.fails(t, "in use by process")
		u.template(t, "v1.34.2") // the first one has not noticed
	})
	t.Run("a data directory that cannot be written", func(t *testing.T) {
		dir := mount(t, "200m")
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		s := newSite(t)
		s.data = dir
		s.begin(t)
		s.fails(t, dir, "read-only file system")
		below := newSite(t)
		below.data = filepath.Join(dir, "below")
		below.begin(t)
		below.fails(t, below.data, "read-only file system")
		if have := append(entries(t, s.dir), entries(t, below.dir)...); len(have) != 0 {
			t.Errorf("it left %v", have)
		}
	})
	t.Run("a data directory that is a file", func(t *testing.T) {
		s := newSite(t)
		if err := os.WriteFile(s.data, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.begin(t)
		s.fails(t, s.data, "not a directory")
		if text, err := os.ReadFile(s.data); err != nil || string(text) != "mine" {
			t.Errorf("the file is now %q, %v", text, err)
		}
	})
	t.Run("a disk that is too small", func(t *testing.T) {
		s := newSite(t)
		s.data = mount(t, "100m")
		s.begin(t)
		s.fails(t, s.data, "MB free", "free some space or choose another directory")
		if diff := cmp.Diff([]string{"jeroboam.lock"}, entries(t, s.data)); diff != "" {
			t.Errorf("what it left (-want +have):\n%s", diff)
		}
	})
	for _, flag := range []string{"--keystone-port", "--magnum-port", "--management-port", "--admin-port"} {
		t.Run("a taken port, "+flag, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
			s := newSite(t, flag, port) // the directory has the test's name, with a space, a comma and dashes
			s.begin(t)
			s.fails(t, port, "in use")
			if strings.Contains(s.stdout(), `"event":"serving"`) {
				t.Error("it said that it serves")
			}
			if _, err := os.Stat(filepath.Join(s.dir, "state", "clouds.yaml")); err == nil {
				t.Error("clouds.yaml was written for a cloud that does not serve")
			}
			// The same directory is good once the port is free: nothing was half-written.
			if flag == "--magnum-port" {
				s.args = nil
				s.start(t)
				s.as(t, "demo").want(t, http.StatusOK, "GET", "/clusters", nil, nil)
			}
		})
	}
}
