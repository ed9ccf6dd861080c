package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// rootfs is one root file system, made of Debian packages only and kept as a tar.
type rootfs struct {
	name     string
	system   System
	packages []string
	compress bool // as LXC's download template wants it
}

// What OpenStack-Ansible's openstack_hosts and lxc_hosts roles leave on a physical host, and what a base container has:
// an init, a network, Python. Nothing of Kubernetes, no container runtime, no conntrack or socat.
func (l *Lab) rootfses() []rootfs {
	host := []string{
		"systemd", "systemd-sysv", "dbus", "udev", "kmod", "iproute2", "iputils-ping", "openssh-server", "ca-certificates", "iptables",
		"nftables", "bridge-utils", "lxc", "lxc-templates", "dnsmasq-base", "python3", "sudo", "curl", "less", "procps", "rsync",
		"xz-utils", "cron",
	}
	return []rootfs{
		{name: "host", system: l.HostsOf, packages: host},
		{name: "balancer", system: l.HostsOf, packages: append([]string{"haproxy"}, host...)},
		{name: "keystone", packages: append([]string{"keystone"}, host...)}, // none of OpenStack-Ansible's hosts
		{name: "container", system: l.Containers, compress: true, packages: []string{
			"systemd", "systemd-sysv", "dbus", "udev", "kmod", "iproute2", "iputils-ping", "ca-certificates", "python3", "sudo", "curl",
			"procps", "openssh-server", "cron", "xz-utils",
		}},
	}
}

// recipe changes when the way a root file system is made changes.
const recipe = "1"

func (r rootfs) file(cache string) string {
	s := r.system.of()
	content := recipe + strings.Join(r.packages, ",") + s.without
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		content += name + s.files[name]
	}
	sum := sha256.Sum256([]byte(content))
	suffix := ".tar"
	if r.compress {
		suffix = ".tar.xz"
	}
	return filepath.Join(cache, s.name+"-"+r.name+"-"+hex.EncodeToString(sum[:6])+suffix)
}

func (l *Lab) cached(name string) string { return l.rootfs(name).file(l.Cache) }

func (l *Lab) rootfs(name string) rootfs {
	for _, r := range l.rootfses() {
		if r.name == name {
			return r
		}
	}
	panic("no root file system " + name) // a typing mistake in this package
}

func (l *Lab) fillCache(ctx context.Context) error {
	if err := os.MkdirAll(l.Cache, 0o755); err != nil {
		return err
	}
	for _, r := range l.rootfses() {
		if !l.needs(r.name) {
			continue
		}
		if err := l.makeRootfs(ctx, r); err != nil {
			return fmt.Errorf("root file system %s: %w", r.name, err)
		}
	}
	return nil
}

// needs says whether a root file system is used in a lab. Where it is not known which hosts there will be, all are but
// Keystone's, which is large.
func (l *Lab) needs(name string) bool {
	if len(l.Hosts) == 0 {
		return name != "keystone"
	}
	return name == "container" || slices.ContainsFunc(l.Hosts, func(h Host) bool { return h.image() == name })
}

func (l *Lab) makeRootfs(ctx context.Context, r rootfs) error {
	final := r.file(l.Cache)
	if _, err := os.Stat(final); err == nil {
		return nil
	}
	_, _ = fmt.Fprintf(l.Out, "  making the root file system %s-%s of %d packages and what they need\n", r.system, r.name, len(r.packages)) // progress only
	tmp := filepath.Join(l.Cache, "new-"+r.name+".tar")
	defer func() { _ = os.Remove(tmp) }() // renamed when all went well
	if err := r.system.of().bootstrap(ctx, r.packages, tmp); err != nil {
		return err
	}
	if !r.compress {
		return os.Rename(tmp, final)
	}
	if err := machine.Command(ctx, "xz", "-0", "-T2", "-f", tmp); err != nil {
		return err
	}
	return os.Rename(tmp+".xz", final)
}
