package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each system has root file systems of its own in the cache, and those of the first one have the names they always had.
func TestSystemsInTheCache(t *testing.T) {
	names := map[string]string{}
	for i, s := range systems() {
		l := &Lab{Cache: "/cache", Containers: System(i)}
		base := l.cached("container")
		if !strings.HasPrefix(base, "/cache/"+s.name+"-container-") || !strings.HasSuffix(base, ".tar.xz") {
			t.Errorf("the base container of %s is %s", s.name, base)
		}
		if other := names[base]; other != "" {
			t.Errorf("%s and %s share %s", s.name, other, base)
		}
		names[base] = s.name
		if got := filepath.Base(l.cached("host")); got != "debian-12-host-28fc5ad4be98.tar" {
			t.Errorf("with containers of %s hosts are %s", s.name, got)
		}
	}
	l := &Lab{Cache: "/cache", HostsOf: Debian13}
	for _, name := range []string{"host", "balancer"} {
		if got := l.cached(name); !strings.HasPrefix(got, "/cache/debian-13-"+name) {
			t.Errorf("of hosts of Debian 13: %s", got)
		}
	}
	if got := l.cached("keystone"); !strings.HasPrefix(got, "/cache/debian-12-") {
		t.Errorf("Keystone's host is %s", got)
	}
	changed := rootfs{name: "container", system: Foreign, packages: []string{"systemd"}}
	plain := rootfs{name: "container", system: Debian13, packages: []string{"systemd"}}
	if strings.TrimPrefix(changed.file("/c"), "/c/foreign") == strings.TrimPrefix(plain.file("/c"), "/c/debian-13") {
		t.Error("what is taken away from a root file system is no part of its name")
	}
}

func TestSystemAsAFlag(t *testing.T) {
	for i, s := range systems() {
		var got System
		if err := got.Set(s.name); err != nil || got != System(i) || got.String() != s.name {
			t.Errorf("%s: %v, %v", s.name, got, err)
		}
	}
	var s System
	if err := s.Set("rocky-9"); err == nil || !strings.Contains(err.Error(), "debian-12, debian-13, foreign") {
		t.Errorf("an unknown system: %v", err)
	}
	if err := (&Lab{HostsOf: Foreign}).Up(t.Context(), 1, false); err == nil || !strings.Contains(err.Error(), "only containers") {
		t.Errorf("hosts of another system than Debian: %v", err)
	}
}

// What hosts and containers need to be of a system: where the base container is, how systemd starts, and what the
// operator's configuration says.
func TestHostsAndContainersOfSystems(t *testing.T) {
	const v1 = "lxc.init.cmd = /lib/systemd/systemd SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1\n"
	hosts, err := layout(1, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		hosts, containers System
		base              string
		hostTold          bool
		containerTold     bool
		built             string // "" for as OpenStack-Ansible makes them
	}{
		{Debian12, Debian12, "debian/12", false, false, ""},
		{Debian12, Debian13, "debian/12", false, true, "trixie"},
		{Debian12, Foreign, "debian/12", false, true, "noble"},
		{Debian13, Debian13, "debian/13", true, true, ""},
		{Debian13, Debian12, "debian/13", true, false, "bookworm"},
	} {
		t.Run(tt.hosts.String()+" and "+tt.containers.String(), func(t *testing.T) {
			l := &Lab{Dir: "/lab", Hosts: hosts, HostsOf: tt.hosts, Containers: tt.containers}
			if got := l.HostsOf.baseContainer(); got != "var/cache/lxc/download/"+tt.base+"/amd64/default/rootfs.tar.xz" {
				t.Errorf("the base container is %s", got)
			}
			if got := strings.Contains(l.containerConfig(hosts[0], "/root"), v1); got != tt.hostTold {
				t.Errorf("the host's systemd is told of cgroup v1: %v", got)
			}
			if strings.Contains(l.containerConfig(hosts[1], "/root"), v1) {
				t.Error("Keystone's host is Debian 12's, and is told of cgroup v1")
			}
			if got := strings.Contains(l.hostFiles(hosts[0])["usr/share/lxc/config/common.conf.d/90-lab.conf"], v1); got != tt.containerTold {
				t.Errorf("the containers' systemd is told of cgroup v1: %v", got)
			}
			text := containersFile(l.HostsOf, l.Containers)["user_containers.yml"]
			if (text != "") != (tt.built != "") || !strings.Contains(text, tt.built) {
				t.Errorf("the configuration has %q", text)
			}
		})
	}
}

// A foreign system has no package manager of Debian's, its database or netfilter's programs, and another name.
func TestForeignSystem(t *testing.T) {
	root := t.TempDir()
	gone := []string{
		"var/lib/dpkg/status", "usr/bin/dpkg", "usr/bin/apt-get", "etc/apt/sources.list", "usr/lib/x86_64-linux-gnu/libxtables.so.12",
		"usr/lib/x86_64-linux-gnu/libip4tc.so.2", "usr/sbin/iptables-save", "usr/sbin/ip6tables", "usr/sbin/nft", "usr/sbin/conntrack", "usr/bin/socat",
		"usr/sbin/ethtool", "usr/sbin/ipset", "etc/debian_version",
	}
	stay := []string{"usr/bin/ip", "usr/lib/systemd/systemd", "usr/lib/x86_64-linux-gnu/libmnl.so.0", "usr/sbin/losetup"}
	for _, name := range slices.Concat(gone, stay, []string{"usr/lib/os-release"}) {
		if err := writeFiles(root, map[string]string{name: "Debian's"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := Foreign.of().change(root); err != nil {
		t.Fatal(err)
	}
	for _, name := range gone {
		if _, err := os.Stat(filepath.Join(root, name)); !os.IsNotExist(err) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
	for _, name := range stay {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "usr/lib/os-release"))
	if err != nil || !strings.Contains(string(text), "ID=ubuntu\n") {
		t.Errorf("%s, %v", text, err)
	}
}

// Only what is used is made: making one takes minutes.
func TestNeededRootFileSystems(t *testing.T) {
	for _, tt := range []struct {
		reason   string
		hosts    int // 0: not known yet
		keystone bool
		want     string
	}{
		{"to fill the cache", 0, false, "host balancer container"},
		{"one host is the load balancer", 1, false, "balancer container"},
		{"three hosts", 3, false, "host balancer container"},
		{"and Keystone's", 3, true, "host balancer keystone container"},
	} {
		l := &Lab{}
		if tt.hosts > 0 {
			var err error
			if l.Hosts, err = layout(tt.hosts, tt.keystone); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, r := range l.rootfses() {
			if l.needs(r.name) {
				got = append(got, r.name)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q", tt.reason, got)
		}
	}
}
