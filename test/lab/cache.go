package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// rootfs is one root file system, made of Debian packages only and kept as a tar.
type rootfs struct {
	name     string
	packages []string
	compress bool // as LXC's download template wants it
}

// What OpenStack-Ansible's openstack_hosts and lxc_hosts roles leave on a physical host, and what a base container has:
// an init, a network, Python. Nothing of Kubernetes, no container runtime, no conntrack or socat.
func rootfses() []rootfs {
	host := []string{
		"systemd", "systemd-sysv", "dbus", "udev", "kmod", "iproute2", "iputils-ping", "openssh-server", "ca-certificates", "iptables",
		"nftables", "bridge-utils", "lxc", "lxc-templates", "dnsmasq-base", "python3", "sudo", "curl", "less", "procps", "rsync",
		"xz-utils", "cron",
	}
	return []rootfs{
		{name: "host", packages: host},
		{name: "balancer", packages: append([]string{"haproxy"}, host...)},
		{name: "keystone", packages: append([]string{"keystone"}, host...)},
		{name: "container", compress: true, packages: []string{
			"systemd", "systemd-sysv", "dbus", "udev", "kmod", "iproute2", "iputils-ping", "ca-certificates", "python3", "sudo", "curl",
			"procps", "openssh-server", "cron", "xz-utils",
		}},
	}
}

// recipe changes when the way a root file system is made changes.
const recipe = "1"

func (r rootfs) file(cache string) string {
	sum := sha256.Sum256([]byte(recipe + strings.Join(r.packages, ",")))
	suffix := ".tar"
	if r.compress {
		suffix = ".tar.xz"
	}
	return filepath.Join(cache, "debian-12-"+r.name+"-"+hex.EncodeToString(sum[:6])+suffix)
}

func (l *Lab) cached(name string) string {
	for _, r := range rootfses() {
		if r.name == name {
			return r.file(l.Cache)
		}
	}
	panic("no root file system " + name) // a typing mistake in this package
}

func (l *Lab) fillCache(ctx context.Context) error {
	if err := os.MkdirAll(l.Cache, 0o755); err != nil {
		return err
	}
	for _, r := range rootfses() {
		if r.name == "keystone" && !l.hasKeystone() {
			continue
		}
		if err := l.makeRootfs(ctx, r); err != nil {
			return fmt.Errorf("root file system %s: %w", r.name, err)
		}
	}
	return nil
}

func (l *Lab) makeRootfs(ctx context.Context, r rootfs) error {
	final := r.file(l.Cache)
	if _, err := os.Stat(final); err == nil {
		return nil
	}
	_, _ = fmt.Fprintf(l.Out, "  making the root file system %s of %d packages and what they need\n", r.name, len(r.packages)) // progress only
	tmp := filepath.Join(l.Cache, "new-"+r.name+".tar")
	defer func() { _ = os.Remove(tmp) }() // renamed when all went well
	cmd := exec.CommandContext(ctx, "mmdebstrap", "--quiet", "--variant=minbase", "--components=main",
		"--include="+strings.Join(r.packages, ","), "bookworm", tmp)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mmdebstrap: %w: %s", err, machine.Tail(out))
	}
	if !r.compress {
		return os.Rename(tmp, final)
	}
	if err := machine.Command(ctx, "xz", "-0", "-T2", "-f", tmp); err != nil {
		return err
	}
	return os.Rename(tmp+".xz", final)
}
