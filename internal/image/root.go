package image

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

//go:embed all:files
var files embed.FS

// programs are the bundle's files that go into /usr/bin.
func programs() []string {
	return []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc", "crictl", "kubeadm", "kubelet", "kubectl"}
}

// packages of Debian. Nothing of Kubernetes or containerd is among them: those are the bundle's.
func (b *builder) packages() []string {
	out := []string{
		"systemd", "systemd-sysv", "dbus", "udev", "kmod", "procps", "iproute2", "iputils-ping", "ca-certificates", "cloud-init",
		"openssh-server", "sudo", "curl", "iptables", "nftables", "ebtables", "ipset", "conntrack", "ethtool", "socat", "mount",
		"e2fsprogs", "xfsprogs", "nfs-common", "netbase", "systemd-resolved",
	}
	if b.Kind == VM {
		out = append(out, "linux-image-cloud-amd64", "initramfs-tools", "grub-common", "grub-pc-bin", "grub-efi-amd64-bin", "cloud-guest-utils",
			"fdisk", "gdisk", "systemd-timesyncd", "open-iscsi", "apparmor")
	} else {
		out = slices.DeleteFunc(out, func(p string) bool { return p == "nfs-common" })
	}
	out = append(out, b.Include...)
	slices.Sort(out)
	return slices.Compact(out)
}

// debian makes the root file system of Debian's packages. It takes minutes, so what came out is kept for a day.
func (b *builder) debian(ctx context.Context) error {
	sources, err := b.sources()
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(strings.Join(append(b.packages(), b.Kind, sources), "\n")))
	kept := filepath.Join(b.Cache, "debian-"+hex.EncodeToString(sum[:10])+".tar")
	if info, err := os.Stat(kept); b.Cache != "" && err == nil && b.Now().Sub(info.ModTime()) < 24*time.Hour {
		return run(ctx, nil, "tar", "--numeric-owner", "--xattrs", "-xf", kept, "-C", b.root)
	}
	made := filepath.Join(b.work, "debian.tar")
	args := []string{"--quiet", "--variant=minbase", "--components=main", "--include=" + strings.Join(b.packages(), ",")}
	// Kernel updates go on to find their kernel under the names that the boot loader asks for.
	args = append(args, `--essential-hook=printf 'do_symlinks = yes\nlink_in_boot = no\n' > "$1/etc/kernel-img.conf"`)
	args = append(args, "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright")
	args = append(args, "bookworm", made)
	var in *strings.Reader
	if sources != "" {
		args, in = append(args, "-"), strings.NewReader(sources)
	}
	if in == nil {
		err = run(ctx, nil, "mmdebstrap", args...)
	} else {
		err = run(ctx, in, "mmdebstrap", args...)
	}
	if err != nil {
		return err
	}
	if err := run(ctx, nil, "tar", "--numeric-owner", "--xattrs", "-xf", made, "-C", b.root); err != nil || b.Cache == "" {
		return err
	}
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return err
	}
	part := kept + ".new"
	if err := run(ctx, nil, "cp", made, part); err != nil {
		return err
	}
	return os.Rename(part, kept)
}

func (b *builder) sources() (string, error) {
	if b.Sources == "" {
		return "", nil
	}
	text, err := os.ReadFile(b.Sources)
	return string(text), err
}

// programs puts the bundle's programs where Kubernetes' own packages put theirs.
func (b *builder) programs(ctx context.Context) error {
	for _, name := range programs() {
		from, _, err := b.Bundle.File(name)
		if err != nil {
			return err
		}
		to := "usr/bin/" + name
		if name == "kubeadm" && b.Kind == Container {
			to += ".real" // files/container has a wrapper
		}
		if err := b.install(ctx, from, to); err != nil {
			return err
		}
	}
	for _, from := range b.Bundle.CNI() {
		if err := b.install(ctx, from, "opt/cni/bin/"+filepath.Base(from)); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) install(ctx context.Context, from, to string) error {
	at := filepath.Join(b.root, to)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	if err := run(ctx, nil, "cp", from, at); err != nil {
		return err
	}
	return os.Chmod(at, 0o755)
}

// configure writes the files of this kind, and turns units on and off.
func (b *builder) configure(context.Context) error {
	pause := ""
	for _, i := range b.Bundle.Images() {
		if i.Name == "pause" {
			pause = i.Reference
		}
	}
	values := strings.NewReplacer("@PAUSE@", pause, "@CONTAINER@", fmt.Sprint(b.Kind == Container))
	for _, kind := range []string{"common", b.Kind} {
		if err := b.copyFiles("files/"+kind, values); err != nil {
			return err
		}
	}
	for _, dir := range []string{"etc/kubernetes/manifests", "etc/cni/net.d", "etc/containerd/certs.d", "var/lib/kubelet", "var/lib/etcd"} {
		mode := fs.FileMode(0o755)
		if dir == "var/lib/etcd" {
			mode = 0o700 // kubeadm's
		}
		if err := os.MkdirAll(filepath.Join(b.root, dir), mode); err != nil {
			return err
		}
	}
	links := map[string]string{}
	for _, unit := range []string{"containerd", "kubelet", "bpf-mount", "cilium-cgroup2-mount"} {
		links["etc/systemd/system/multi-user.target.wants/"+unit+".service"] = "/etc/systemd/system/" + unit + ".service"
	}
	links["etc/systemd/system/multi-user.target.wants/systemd-networkd.service"] = "/lib/systemd/system/systemd-networkd.service"
	links["etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service"] = "/lib/systemd/system/systemd-networkd-wait-online.service"
	if b.Kind == Container {
		links["etc/systemd/system/sysinit.target.wants/node-in-container.service"] = "/etc/systemd/system/node-in-container.service"
		// There are no devices to wait for, no settings of a whole machine to make, and nobody at the console.
		for _, unit := range []string{
			"systemd-udevd.service", "systemd-udev-trigger.service", "systemd-udevd-kernel.socket", "systemd-udevd-control.socket",
			"systemd-sysctl.service", "console-getty.service", "getty.target", "systemd-modules-load.service",
		} {
			links["etc/systemd/system/"+unit] = "/dev/null"
		}
	}
	for at, to := range links {
		if err := b.link(at, to); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) link(at, to string) error {
	full := filepath.Join(b.root, at)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	if err := os.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(to, full)
}

// copyFiles writes the files of a directory here. Those in a bin or sbin directory can be executed; a name that ends
// with .in has values to fill in.
func (b *builder) copyFiles(dir string, values *strings.Replacer) error {
	return fs.WalkDir(files, dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(at)
		if err != nil {
			return err
		}
		to := strings.TrimPrefix(at, dir+"/")
		if rest, ok := strings.CutSuffix(to, ".in"); ok {
			to, text = rest, []byte(values.Replace(string(text)))
		}
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(path.Dir(to), "bin") {
			mode = 0o755
		}
		full := filepath.Join(b.root, filepath.FromSlash(to))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		// /sbin/init is a link to systemd: it is replaced, not written through.
		if err := os.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(full, text, mode); err != nil {
			return err
		}
		return os.Chmod(full, mode)
	})
}

// overlay copies the operator's own files over everything.
func (b *builder) overlay(ctx context.Context) error {
	if b.Overlay == "" {
		return nil
	}
	return run(ctx, nil, "cp", "-a", "--no-preserve=ownership", b.Overlay+"/.", b.root)
}

// clean takes away what is one machine's own, and what nobody needs.
func (b *builder) clean(context.Context) error {
	for _, pattern := range []string{
		"etc/ssh/ssh_host_*", "var/cache/apt/*", "var/lib/apt/lists/*", "var/log/*", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed",
		"etc/systemd/system/timers.target.wants/e2scrub*", "etc/systemd/system/default.target.wants/e2scrub*", "etc/hostname", "etc/resolv.conf", "var/lib/containerd/io.containerd.grpc.v1.introspection",
		"etc/systemd/system/timers.target.wants/apt-daily*",
		// mount.nfs starts it for the shares that need it; a node does not offer it to its network.
		"etc/systemd/system/multi-user.target.wants/rpcbind.service", "etc/systemd/system/sockets.target.wants/rpcbind.socket", "preload.*", "tmp/*", "run/*", "usr/share/man/*", "usr/share/locale/*", "var/cache/debconf/*-old",
	} {
		found, err := filepath.Glob(filepath.Join(b.root, pattern))
		if err != nil {
			return err
		}
		for _, name := range found {
			if err := os.RemoveAll(name); err != nil {
				return err
			}
		}
	}
	// systemd takes an empty file for a first boot and makes an id. kubeadm looks for systemd-resolved's name servers by
	// itself.
	if err := os.WriteFile(filepath.Join(b.root, "etc/machine-id"), nil, 0o444); err != nil {
		return err
	}
	return b.link("etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf")
}
