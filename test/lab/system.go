package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// System is what a root file system is of: that of hosts, or the base container on them. Its zero value is what the lab
// has if nobody says otherwise. It is a flag.Value.
type System int

// The systems. Foreign is one for containers only, and stands for all that are not Debian's: no package manager nor its
// database, no library or program of netfilter's, and the name of another distribution.
const (
	Debian12 System = iota
	Debian13
	Foreign
)

// systems are they, in that order.
func systems() []system {
	return []system{
		{name: "debian-12", suite: "bookworm", major: "12"},
		{name: "debian-13", suite: "trixie", major: "13", refusesCgroupV1: true},
		{name: "foreign", suite: "trixie", refusesCgroupV1: true, without: packageManager() + " " + netfilter(), files: map[string]string{
			"usr/lib/os-release": `PRETTY_NAME="Ubuntu 24.04.3 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04.3 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
`,
		}},
	}
}

// system is what there is to know of one.
type system struct {
	name  string // on the command line, and of files in the cache
	suite string // of Debian's archive, of whose packages it is made
	major string // ansible_facts['distribution_major_version']; "" if no host can be of it
	// refusesCgroupV1 says that its systemd (256 and later) starts on cgroup v1 only when it is told to.
	refusesCgroupV1 bool
	without         string            // patterns of files that are taken away again
	files           map[string]string // what is written in the end
}

func (s System) of() system { return systems()[s] }

func (s System) String() string { return s.of().name }

// Set takes a system's name.
func (s *System) Set(name string) error {
	var names []string
	for i, one := range systems() {
		if one.name == name {
			*s = System(i)
			return nil
		}
		names = append(names, one.name)
	}
	return fmt.Errorf("there are %s", strings.Join(names, ", "))
}

// init is the program of process 1 with its arguments. In a container those are what the kernel's command line is on a
// machine (systemd(1), "Kernel Command Line"), and systemd reads there that it has to start on cgroup v1.
func (s System) init() string {
	const program = "/lib/systemd/systemd"
	if s.of().refusesCgroupV1 {
		return program + " SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
	}
	return program
}

// baseContainer is where OpenStack-Ansible keeps what it makes containers of on such a host: by the host's own
// distribution and major version, whatever is in it (lxc_hosts, tasks/lxc_cache.yml).
func (s System) baseContainer() string {
	return "var/cache/lxc/download/debian/" + s.of().major + "/amd64/default/rootfs.tar.xz"
}

// containersFile is what an operator writes for OpenStack-Ansible to have containers of another system than their
// hosts'.
func containersFile(hosts, containers System) map[string]string {
	release, mirror := containers.of().suite, "{{ lxc_apt_mirror }}"
	switch containers {
	case hosts:
		return nil
	case Foreign:
		release, mirror = "noble", "http://archive.ubuntu.com/ubuntu"
	}
	return map[string]string{"user_containers.yml": `# Containers are of another system than their hosts.
lxc_hosts_container_build_command: >-
  debootstrap --variant minbase --include ca-certificates ` + release + `
  /var/lib/machines/{{ lxc_container_base_name }} ` + mirror + "\n"}
}

func packageManager() string {
	return "etc/apt etc/dpkg etc/debian_version etc/cron.daily/apt-compat etc/cron.daily/dpkg etc/logrotate.d/apt etc/logrotate.d/dpkg " +
		"etc/systemd/system/timers.target.wants/apt-* etc/systemd/system/timers.target.wants/dpkg-* usr/lib/systemd/system/apt-* " +
		"usr/lib/systemd/system/dpkg-* usr/bin/apt* usr/bin/dpkg* usr/sbin/dpkg-* usr/lib/apt usr/lib/dpkg usr/libexec/dpkg usr/share/dpkg " +
		"usr/share/debconf usr/lib/*-linux-gnu/libapt-* usr/share/keyrings/debian-* var/cache/apt var/cache/debconf var/lib/apt var/lib/dpkg"
}

func netfilter() string {
	return "usr/lib/*-linux-gnu/libxtables* usr/lib/*-linux-gnu/xtables usr/lib/*-linux-gnu/libip4tc* usr/lib/*-linux-gnu/libip6tc* " +
		"usr/lib/*-linux-gnu/libipset* usr/lib/*-linux-gnu/libnetfilter* usr/lib/*-linux-gnu/libnfnetlink* usr/lib/*-linux-gnu/libnft* " +
		"usr/sbin/*tables* usr/sbin/ipset usr/sbin/nft usr/sbin/conntrack usr/sbin/ethtool usr/sbin/tc usr/lib/tc usr/bin/socat"
}

// change takes away from a root file system what the system does not have, and writes what it has instead.
func (s system) change(root string) error {
	for _, pattern := range strings.Fields(s.without) {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return err
		}
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return writeFiles(root, s.files)
}

// bootstrap makes a root file system of Debian packages as a tar.
func (s system) bootstrap(ctx context.Context, packages []string, to string) error {
	made := to
	if s.without != "" || len(s.files) > 0 {
		made = strings.TrimSuffix(to, ".tar")
		defer func() { _ = os.RemoveAll(made) }() // it is in the tar when all went well
		if err := os.RemoveAll(made); err != nil {
			return err
		}
	}
	if err := machine.Command(ctx, "mmdebstrap", "--quiet", "--variant=minbase", "--components=main", "--include="+strings.Join(packages, ","), s.suite, made); err != nil || made == to {
		return err
	}
	if err := s.change(made); err != nil {
		return err
	}
	return machine.Command(ctx, "tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C", made, "-cf", to, ".")
}
