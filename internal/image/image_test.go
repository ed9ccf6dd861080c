package image

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shelf is a bundle of nothing but names.
type shelf struct {
	files  []string
	images []ContainerImage
}

func (s shelf) File(name string) (path, version string, err error) {
	if !slices.Contains(s.files, name) {
		return "", "", errors.New("the bundle has no file \"" + name + "\"")
	}
	return "/nowhere/" + name, "v1.36.4", nil
}

func (s shelf) CNI() []string {
	if len(s.files) == 0 {
		return nil
	}
	return []string{"/nowhere/bridge"}
}
func (s shelf) Images() []ContainerImage                   { return s.images }
func (s shelf) WriteImages(w io.Writer, _ ...string) error { _, err := w.Write(nil); return err }
func (s shelf) Digest() string                             { return "sha256:lock" }

func fullShelf() shelf {
	return shelf{files: programs(), images: []ContainerImage{
		{Name: "pause", Reference: "registry.k8s.io/pause:3.10.2", Aliases: []string{"registry.k8s.io/pause:3.9"}},
		{Name: "coredns", Reference: "registry.k8s.io/coredns/coredns:v1.14.2"},
	}}
}

func options(t *testing.T, kind string) Options {
	t.Helper()
	return Options{
		Bundle: fullShelf(), Kind: kind, Format: Raw, Output: filepath.Join(t.TempDir(), "node.raw"), Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
}

// TestEverythingMissingAtOnce: who has waited for a build of minutes does not want to learn of the next thing
// afterwards.
func TestEverythingMissingAtOnce(t *testing.T) {
	o := options(t, "pod")
	o.Bundle, o.Format, o.Without, o.Overlay = shelf{files: []string{"kubelet"}}, "iso", []string{"cilium"}, "/nowhere"
	_, err := Build(t.Context(), o)
	for _, want := range []string{
		`there is no kind "pod"`, `there is no format "iso"`, `the bundle has no file "kubeadm"`, `the bundle has no file "containerd"`,
		`there is no image "cilium" to leave out`, "no image pause", "the overlay /nowhere is no directory",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
	o = options(t, Container)
	o.Format, o.Size = QCOW2, 1<<30
	_, err = Build(t.Context(), o)
	for _, want := range []string{"use raw, not qcow2", "a container's image has no size"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
	if _, err := os.Stat(o.Output + ".building"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was left: %v", err)
	}
}

// TestFormatFollowsKind: who asks for a container's image gets one that such a cloud can mount.
func TestFormatFollowsKind(t *testing.T) {
	for kind, want := range map[string]string{VM: QCOW2, Container: Raw} {
		if got := (Options{Kind: kind}).completed().Format; got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
		if got := (Options{Kind: kind, Format: RootFS}).completed().Format; got != RootFS {
			t.Errorf("%s: %s was given and became %s", kind, RootFS, got)
		}
	}
}

// configured is a root file system with nothing in it but this package's files.
func configured(t *testing.T, kind string) *builder {
	t.Helper()
	b := &builder{Options: options(t, kind)}
	b.work = t.TempDir()
	b.root = filepath.Join(b.work, "root")
	if err := os.MkdirAll(filepath.Join(b.root, "sbin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/lib/systemd/systemd", filepath.Join(b.root, "sbin/init")); err != nil { // as systemd-sysv has it
		t.Fatal(err)
	}
	if err := b.configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *builder) text(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKindsDiffer(t *testing.T) {
	vm, container := configured(t, VM), configured(t, Container)
	for _, c := range []struct {
		reason string
		b      *builder
		file   string
		mode   fs.FileMode
		want   string
	}{
		{"a virtual machine starts systemd itself", vm, "sbin/init", fs.ModeSymlink | 0o777, ""},
		{"a container makes its cgroup name space first", container, "sbin/init", 0o755, "unshare -C"},
		{"pods' processes may lack the right to lower their score", container, "etc/containerd/conf.d/50-node-image.toml", 0o644, "restrict_oom_score_adj = true"},
		{"a machine has the right", vm, "etc/containerd/conf.d/50-node-image.toml", 0o644, "restrict_oom_score_adj = false"},
		{"the pause image is the one that is there", vm, "etc/containerd/conf.d/50-node-image.toml", 0o644, `sandbox = "registry.k8s.io/pause:3.10.2"`},
		{"kubeadm's check of the system fails on cgroup v1", container, "usr/bin/kubeadm", 0o755, "--ignore-preflight-errors=SystemVerification"},
		{"kubelet refuses cgroup v1 otherwise", container, "etc/kubernetes/kubelet.conf.d/90-node-in-container.conf", 0o644, "failCgroupV1: false"},
		{"kubelet must not start before the shield", container, "etc/systemd/system/kubelet.service.d/20-node-in-container.conf", 0o644, "Requires=node-in-container.service"},
		{"the metadata service is the one source", container, "etc/cloud/cloud.cfg.d/95-container.cfg", 0o644, "datasource_list: [OpenStack]"},
		{"the disk grows to the flavor's", vm, "etc/cloud/cloud.cfg.d/95-vm.cfg", 0o644, "growpart: {mode: auto"},
	} {
		info, err := os.Lstat(filepath.Join(c.b.root, c.file))
		if err != nil || info.Mode() != c.mode {
			t.Errorf("%s: %s has mode %v, %v", c.reason, c.file, info.Mode(), err)
			continue
		}
		if c.want != "" && !strings.Contains(c.b.text(t, c.file), c.want) {
			t.Errorf("%s: %s lacks %q", c.reason, c.file, c.want)
		}
	}
	if _, err := os.Lstat(filepath.Join(vm.root, "etc/systemd/system/kubelet.service.d/20-node-in-container.conf")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a virtual machine has files of containers")
	}
}

// TestShield: kubelet 1.36 (pkg/kubelet/cm, setupKernelTunables) and Cilium 1.20 write these. In a container they are
// the machine's.
func TestShield(t *testing.T) {
	b := configured(t, Container)
	for name, value := range map[string]string{
		"vm.overcommit_memory": "1", "vm.panic_on_oom": "0", "kernel.panic": "10", "kernel.panic_on_oops": "1",
		"kernel.keys.root_maxkeys": "1000000", "kernel.keys.root_maxbytes": "25000000", // kubelet, and the values it wants
		"kernel.timer_migration": "0", "kernel.unprivileged_bpf_disabled": "2", // Cilium
	} {
		if have := strings.TrimSpace(b.text(t, "etc/node-sysctl/"+name)); have != value {
			t.Errorf("%s is shielded with %q, and what is wanted is %q: it would be written", name, have, value)
		}
	}
	for _, unit := range []string{"systemd-sysctl.service", "systemd-modules-load.service", "systemd-udevd.service"} {
		if to, err := os.Readlink(filepath.Join(b.root, "etc/systemd/system", unit)); err != nil || to != "/dev/null" {
			t.Errorf("%s is not off: %q, %v", unit, to, err)
		}
	}
}

// TestScripts: nobody sees a mistake of syntax in them before a node boots.
func TestScripts(t *testing.T) {
	for _, name := range []string{"files/preload.sh", "files/container/sbin/init", "files/container/usr/local/sbin/node-in-container", "files/container/usr/bin/kubeadm"} {
		if out, err := exec.CommandContext(t.Context(), "sh", "-n", name).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

func TestClean(t *testing.T) {
	b := configured(t, VM)
	for _, name := range []string{"etc/ssh/ssh_host_rsa_key", "var/lib/apt/lists/x", "etc/hostname", "preload.have", "var/log/dpkg.log"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(b.root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.root, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etc/ssh/ssh_host_rsa_key", "var/lib/apt/lists/x", "etc/hostname", "preload.have", "var/log/dpkg.log"} {
		if _, err := os.Stat(filepath.Join(b.root, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is in the image: %v", name, err)
		}
	}
	if text := b.text(t, "etc/machine-id"); text != "" {
		t.Errorf("all machines would be %q", text)
	}
}

// TestArchiveIsRepeatable: the same files give the same tar, whatever the hour. (A file system has times of change that
// nobody can set, so it is another one each time.)
func TestArchiveIsRepeatable(t *testing.T) {
	var sums []string
	for range 2 {
		b := configured(t, Container)
		b.Format = RootFS
		if err := b.makeDisk(t.Context()); err != nil {
			t.Fatal(err)
		}
		sum, _, err := fileDigest(b.disk)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, sum)
		time.Sleep(1100 * time.Millisecond) // a tar has whole seconds
	}
	if sums[0] != sums[1] {
		t.Errorf("two archives of the same files differ: %s", sums)
	}
}

func TestFileSystem(t *testing.T) {
	b := configured(t, Container)
	if err := b.ext4(t.Context(), filepath.Join(b.work, "a"), 0); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "debugfs", "-R", "stat /usr/local/sbin/node-in-container", filepath.Join(b.work, "a")).Output()
	if err != nil || !bytes.Contains(out, []byte("Mode:  0755")) || !bytes.Contains(out, []byte("User:     0")) {
		t.Errorf("the file is not there as it should be: %v\n%s", err, out)
	}
	if err := b.ext4(t.Context(), filepath.Join(b.work, "c"), 4096); err == nil || !strings.Contains(err.Error(), "is too small") {
		t.Errorf("a disk of 4 kB: %v", err)
	}
}

func TestTwoBuildsOfOneImage(t *testing.T) {
	first := &builder{Options: options(t, Container)}
	if err := first.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := &builder{Options: first.Options}
	err := second.begin(t.Context())
	second.clear()
	if err == nil || !strings.Contains(err.Error(), "another run is making "+first.Output) {
		t.Errorf("the second run: %v", err)
	}
	if _, err := os.Stat(first.root); err != nil {
		t.Errorf("the second run took the first one's directory away: %v", err)
	}
	first.clear()
	if _, err := os.Stat(first.work); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is left: %v", err)
	}
}

func TestGrubFindsItself(t *testing.T) {
	boot := make([]byte, sector)
	boot[510], boot[511] = 0x55, 0xaa
	core := make([]byte, 3*sector+1)
	out, err := patchGrub(boot, core, 2048, mib)
	if err != nil {
		t.Fatal(err)
	}
	if at := binary.LittleEndian.Uint64(out[0x5c:]); at != 2048 {
		t.Errorf("the master boot record loads sector %d", at)
	}
	if next, n := binary.LittleEndian.Uint64(core[500:]), binary.LittleEndian.Uint16(core[508:]); next != 2049 || n != 3 {
		t.Errorf("the core loads %d sectors from %d on", n, next)
	}
	for _, c := range []struct {
		reason     string
		boot, core []byte
		want       string
	}{
		{"not a boot sector", make([]byte, sector), core, "no boot sector"},
		{"half a core", boot, make([]byte, sector), "no second sector"},
		{"a core that is too large", boot, make([]byte, mib+1), "its partition"},
	} {
		if _, err := patchGrub(c.boot, c.core, 2048, mib); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.reason, err)
		}
	}
}

// TestRunStops: a program that is started ends with the context.
func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := run(ctx, nil, "sleep", "60"); err == nil || time.Since(began) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	err := run(t.Context(), nil, "sh", "-c", "echo what went wrong; exit 3")
	if diff := cmp.Diff("sh: exit status 3: what went wrong", err.Error()); diff != "" {
		t.Error(diff)
	}
}
