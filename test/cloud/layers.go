package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// The container's root is an overlay of three directories: Debian's packages, the configuration with the databases it
// was given, and what this cloud has written. The first two stand in the cache under the hash of what they are made
// from, so a cloud from the cache only boots, and taking it away removes only what it wrote.

//go:embed files
var files embed.FS

// packages are Debian's. The rest comes as what they need.
func packages() []string {
	return strings.Fields(`
		systemd systemd-sysv dbus udev kmod iproute2 iputils-ping iputils-arping ca-certificates iptables nftables ipset conntrack
		ethtool socat haproxy procps less curl ebtables bridge-utils tcpdump python3 sudo e2fsprogs
		mariadb-server rabbitmq-server memcached python3-pymysql python3-openstackclient python3-octaviaclient
		keystone glance-api placement-api
		nova-api nova-conductor nova-scheduler nova-compute nova-compute-lxc
		libvirt-daemon-driver-lxc libvirt-daemon-system libvirt-clients dnsmasq-base
		neutron-api neutron-rpc-server neutron-linuxbridge-agent neutron-dhcp-agent neutron-l3-agent neutron-metadata-agent
		cinder-api cinder-scheduler cinder-volume octavia-api`)
}

// debstrap are mmdebstrap's arguments before the packages. Byte code is compiled once at the end instead of package by
// package, which on a busy machine takes a quarter of an hour longer; without it every service compiles what it imports
// at every start.
func debstrap() []string {
	return []string{
		"--quiet", "--variant=minbase", "--components=main", "--dpkgopt=force-unsafe-io",
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
		`--essential-hook=chroot "$1" dpkg-divert --local --rename --add /usr/bin/py3compile; printf "#!/bin/sh\nexit 0\n" > "$1/usr/bin/py3compile"; chmod 755 "$1/usr/bin/py3compile"`,
		`--customize-hook=rm "$1/usr/bin/py3compile"; chroot "$1" dpkg-divert --local --rename --remove /usr/bin/py3compile`,
		`--customize-hook=chroot "$1" python3 -m compileall -q -j 2 -x "/tests?/" /usr/lib/python3.11 /usr/lib/python3/dist-packages || true`,
	}
}

func (c *Cloud) rootfs() string {
	return filepath.Join(c.Cache, "debian-12-openstack-"+digest(append(debstrap(), packages()...)...))
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:6])
}

func (c *Cloud) makeRootfs(ctx context.Context) error {
	if exists(c.rootfs()) {
		return nil
	}
	_, _ = fmt.Fprintf(c.Out, "  making the root file system of %d packages and what they need: some minutes\n", len(packages())) // progress only
	fresh, err := c.fresh("root")
	if err != nil {
		return err
	}
	args := append(debstrap(), "--include="+strings.Join(packages(), ","), "bookworm", fresh)
	cmd := exec.CommandContext(ctx, "mmdebstrap", args...)
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(syscall.SIGTERM) }, 10*time.Second // it tidies up
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mmdebstrap: %w: %s", err, machine.Tail(out))
	}
	return os.Rename(fresh, c.rootfs())
}

// fresh is a new directory for what becomes a part of the cache by being renamed. What killed runs left is removed; a
// process of theirs that still writes finds its directory gone.
func (c *Cloud) fresh(what string) (string, error) {
	stale, err := filepath.Glob(filepath.Join(c.Cache, "new-"+what+"-*"))
	if err != nil {
		return "", err
	}
	for _, dir := range stale {
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp(c.Cache, "new-"+what+"-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// configured is the layer with configuration and databases.
func (c *Cloud) configured() (string, error) {
	parts := []string{filepath.Base(c.rootfs())}
	err := fs.WalkDir(files, "files", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(path)
		parts = append(parts, path, string(text))
		return err
	})
	parts = append(parts, fmt.Sprintf("%v", setup()), fmt.Sprintf("%+v", world()), strings.Join(enabled(), " "), strings.Join(masked(), " "), uwsgiRecipe)
	return filepath.Join(c.Cache, "configured-"+digest(parts...)), err
}

// makeConfigured makes that layer: the container runs without OpenStack's services, databases are made, then everything
// starts once, and Keystone, Nova and Neutron are told what an operator's cloud has.
func (c *Cloud) makeConfigured(ctx context.Context) error {
	layer, err := c.configured()
	if err != nil || exists(layer) {
		return err
	}
	_, _ = fmt.Fprintln(c.Out, "  making configuration and databases: some minutes") // progress only
	fresh, err := c.fresh("configured")
	if err != nil {
		return err
	}
	work, err := c.fresh("work")
	if err != nil {
		return err
	}
	err = machine.Steps(ctx, indent{c.Out}, append([]machine.Step{
		{Name: "root file system mounted", Do: func(ctx context.Context) error { return c.mount(ctx, fresh, work, c.rootfs()) }},
		{Name: "configuration files", Do: c.writeConfiguration},
	}, c.setupSteps()...))
	if err != nil {
		return err
	}
	if err := c.holder().Run(ctx, "umount", c.path("root")); err != nil {
		return err
	}
	return errors.Join(os.Rename(fresh, layer), os.RemoveAll(work))
}

// mount puts layers over each other, the first of lower on top of the others.
func (c *Cloud) mount(ctx context.Context, upper, work string, lower ...string) error {
	return c.holder().Run(ctx, "mount", "-t", "overlay", "overlay", "-o",
		"lowerdir="+strings.Join(lower, ":")+",upperdir="+upper+",workdir="+work, c.path("root"))
}

// visible is a path in the holder's mount namespace as this process sees it.
func (c *Cloud) visible(parts ...string) string {
	return filepath.Join(append([]string{fmt.Sprintf("/proc/%d/root", c.holder().PID()), c.path("root")}, parts...)...)
}

// indent tells of steps within a step.
type indent struct {
	out interface{ Write([]byte) (int, error) }
}

func (i indent) Write(p []byte) (int, error) {
	_, err := i.out.Write(append([]byte("   "), p...))
	return len(p), err
}
