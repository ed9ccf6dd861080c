package host_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// inside makes a container k8s run on a machine.
func inside(t *testing.T) *host.Machine {
	t.Helper()
	m, _ := machine(t, map[string]string{"lxc-info -n k8s": "17\n"})
	put(t, m, "/var/lib/lxc/k8s/config", "lxc.rootfs.path = lvm:/dev/lxc/k8s\n")
	put(t, m, "/proc/17/stat", "")
	return m
}

// rootOf is what the container's first process has for its root.
func rootOf(t *testing.T, m *host.Machine, root string) {
	t.Helper()
	if err := os.Symlink(root, filepath.Join(m.Root, "proc/17/root")); err != nil {
		t.Fatal(err)
	}
}

// system is a root file system with something in it.
func system(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// There is a store for each way that a container may keep its root file system.
func TestLend(t *testing.T) {
	elsewhere := system(t, t.TempDir())
	m := inside(t)
	rootOf(t, m, elsewhere)
	if err := os.MkdirAll(filepath.Join(m.Root, "var/lib/lxc/k8s/rootfs"), 0o755); err != nil { // where a volume is mounted, for the container alone
		t.Fatal(err)
	}
	digests := bring(t, m, "one", "two")
	for range 2 { // a run that was killed lends again
		if err := host.Lend(t.Context(), m, "k8s", digests); err != nil {
			t.Fatal(err)
		}
	}
	there := &host.Machine{Root: elsewhere}
	if diff := cmp.Diff([]string{"one", "two"}, names(t, there, blobStore)); diff != "" {
		t.Error(diff)
	}
	if found, _ := os.ReadDir(filepath.Join(m.Root, "var/lib/lxc/k8s/rootfs")); len(found) > 0 {
		t.Errorf("on the host's side there is %v: nobody in the container sees it, and it is never given back", found)
	}
}

// A container whose root is a directory of the host has its files by another name: they take no room, and no time.
func TestLendToADirectory(t *testing.T) {
	m := inside(t)
	rootfs := system(t, filepath.Join(m.Root, "var/lib/lxc/k8s/rootfs"))
	rootOf(t, m, rootfs)
	d := bring(t, m, "one")
	if err := host.Lend(t.Context(), m, "k8s", d); err != nil {
		t.Fatal(err)
	}
	a, err1 := os.Stat(filepath.Join(m.Root, host.BlobPath(d[0])))
	b, err2 := os.Stat(filepath.Join(rootfs, host.BlobPath(d[0])))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(a, b) {
		t.Error("it was copied")
	}
}

func TestLendDoesNotLeaveTheContainer(t *testing.T) {
	for _, at := range []string{"var/lib/jeroboam", "var/lib", "var/lib/jeroboam/blobs/sha256"} {
		t.Run(at, func(t *testing.T) {
			outside := t.TempDir()
			m := inside(t)
			rootfs := system(t, filepath.Join(m.Root, "var/lib/lxc/k8s/rootfs"))
			rootOf(t, m, rootfs)
			if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(rootfs, at)), 0o755), os.Symlink(outside, filepath.Join(rootfs, at))); err != nil {
				t.Fatal(err)
			}
			if err := host.Lend(t.Context(), m, "k8s", bring(t, m, "x")); err == nil {
				t.Error("a link inside a container led outside")
			}
			if found, _ := os.ReadDir(outside); len(found) > 0 {
				t.Errorf("written outside: %v", found)
			}
		})
	}
}

func TestLendToAContainerThatDoesNotRun(t *testing.T) {
	m, _ := machine(t, map[string]string{"lxc-info -n k8s": "-1\n"})
	err := host.Lend(t.Context(), m, "k8s", bring(t, m, "x"))
	if err == nil || !strings.Contains(err.Error(), "container k8s does not run") || !strings.Contains(err.Error(), "lxc-start -n k8s") {
		t.Errorf("got %v", err)
	}
}

// TestLendToAnOverlay has a real one, which only a process of its own sees, as with LXC: the host's directory is empty.
func TestLendToAnOverlay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting takes root: run the tests as root")
	}
	m := inside(t)
	seen := filepath.Join(m.Root, "var/lib/lxc/k8s/rootfs")
	lower := system(t, filepath.Join(m.Root, "lower"))
	for _, dir := range []string{"upper", "work"} {
		if err := os.MkdirAll(filepath.Join(m.Root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(seen, 0o755); err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, filepath.Join(m.Root, "upper"), filepath.Join(m.Root, "work"))
	if err := syscall.Mount("overlay", seen, "overlay", 0, options); err != nil {
		t.Skip("this kernel or place mounts no overlay: ", err)
	}
	thread := make(chan int)
	end := make(chan struct{})
	failed := make(chan error, 1)
	go func() { // its thread ends with it, because it is never unlocked
		runtime.LockOSThread()
		err := syscall.Unshare(syscall.CLONE_FS)
		if err == nil {
			err = syscall.Chroot(seen)
		}
		failed <- err
		thread <- syscall.Gettid()
		<-end
	}()
	defer close(end)
	if err := errors.Join(<-failed, syscall.Unmount(seen, syscall.MNT_DETACH)); err != nil {
		t.Fatal(err)
	}
	rootOf(t, m, fmt.Sprintf("/proc/%d/task/%d/root", os.Getpid(), <-thread))
	if err := host.Lend(t.Context(), m, "k8s", bring(t, m, "one")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one"}, names(t, &host.Machine{Root: filepath.Join(m.Root, "upper")}, blobStore)); diff != "" {
		t.Error(diff)
	}
	if found, _ := os.ReadDir(seen); len(found) > 0 {
		t.Errorf("on the host's side there is %v", found)
	}
}

func TestStoresOfContainers(t *testing.T) {
	tests := []struct{ reason, config, want string }{
		{"a directory", "lxc.rootfs.path = dir:/var/lib/lxc/k8s/rootfs\n", "dir"},
		{"a directory, as older versions write it", "lxc.rootfs.path = /var/lib/lxc/k8s/rootfs\n", "dir"},
		{"nothing is said", "lxc.uts.name = k8s\n", "dir"},
		{"a volume", "lxc.rootfs.path=lvm:/dev/lxc/k8s\n", "lvm"},
		{"a data set", "lxc.rootfs.path = zfs:lxc/k8s\n", "zfs"},
		{"an overlay", "lxc.rootfs.path = overlay:/var/lib/lxc/base/rootfs:/var/lib/lxc/k8s/delta0\n", "overlay"},
		{"an overlay by its old name", "lxc.rootfs.path = overlayfs:/var/lib/lxc/base/rootfs:/var/lib/lxc/k8s/delta0\n", "overlay"},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			m := inside(t)
			rootOf(t, m, t.TempDir())
			put(t, m, "/usr/bin/lxc-info", "")
			put(t, m, "/var/lib/lxc/k8s/config", tt.config)
			f, err := host.Look(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Stores["k8s"]; got.Kind != tt.want || got.Free == 0 {
				t.Errorf("got %+v", got)
			}
		})
	}
}
