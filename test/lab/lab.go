package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// Addresses of the lab. They are those of the document Jeroboam started from, so that its configuration fits as it is;
// they can be used on any machine, because no packet leaves the lab's network namespace.
const (
	gateway     = "172.29.236.1" // the deploy host: the lab's own namespace
	internalVIP = "172.29.236.9"
	externalVIP = "172.29.236.8"
	balancerIP  = "172.29.236.10"
	prefix      = "/22"
	external    = "openstack.example.com"
)

// Host is one "physical host".
type Host struct {
	Name     string `json:"name"`
	Address  string `json:"address"`
	Balancer bool   `json:"balancer"` // haproxy runs here and the virtual addresses are here
	Keystone bool   `json:"keystone"` // OpenStack's identity service runs here, and nothing else
	// Container is the name of the LXC container that the host is. It names the host's cgroups as well, so it is the lab's
	// own.
	Container string `json:"container"`
}

// Lab is a directory in which everything stands that the lab has made.
type Lab struct {
	Dir, Cache string
	Source     string // Jeroboam's source tree
	HostsOf    System // what physical hosts are of
	Containers System // and what the base container on them is of
	Cloud      string // the directory of the cloud it stands beside; "" if there is none
	Out, Err   io.Writer
	Hosts      []Host
}

func (l *Lab) path(parts ...string) string {
	return filepath.Join(append([]string{l.Dir}, parts...)...)
}

// containerPrefix tells the containers of this lab from those of a lab in another directory.
func (l *Lab) containerPrefix() string {
	return fmt.Sprintf("jeroboam-lab-%08x-", crc32.ChecksumIEEE([]byte(l.Dir)))
}

// layout is which hosts there are: three with a load balancer beside them, or one that is everything; and Keystone's,
// if it is wanted.
func layout(hosts int, keystone bool) ([]Host, error) {
	out, err := plainLayout(hosts)
	if keystone && err == nil {
		out = append(out, Host{Name: "keystone1", Address: keystoneIP, Keystone: true})
	}
	return out, err
}

func plainLayout(hosts int) ([]Host, error) {
	switch hosts {
	case 1:
		return []Host{{Name: "infra1", Address: "172.29.236.11", Balancer: true}}, nil
	case 3:
		return []Host{
			{Name: "infra1", Address: "172.29.236.11"},
			{Name: "infra2", Address: "172.29.236.12"},
			{Name: "infra3", Address: "172.29.236.13"},
			{Name: "haproxy1", Address: balancerIP, Balancer: true},
		}, nil
	}
	return nil, fmt.Errorf("a lab has 1 or 3 hosts, not %d", hosts)
}

// Up makes the lab.
func (l *Lab) Up(ctx context.Context, hosts int, keystone bool) error {
	var err error
	if keystone && l.Cloud != "" {
		return errors.New("--keystone and --cloud exclude each other: a cloud has a Keystone")
	}
	if l.HostsOf.of().major == "" {
		return fmt.Errorf("hosts cannot be of the system %s, only containers", l.HostsOf)
	}
	if l.Hosts, err = layout(hosts, keystone); err != nil {
		return err
	}
	for i := range l.Hosts {
		l.Hosts[i].Container = l.containerPrefix() + l.Hosts[i].Name
	}
	return machine.Steps(ctx, l.Out, []machine.Step{
		{Name: "needed programs", Do: l.checkPrograms},
		{Name: "root file systems in the cache", Do: l.fillCache},
		{Name: "the cloud beside it", Do: l.checkCloud},
		{Name: "remove what an earlier run left", Do: func(ctx context.Context) error { return (&Lab{Dir: l.Dir, Out: l.Out, Err: l.Err}).Down(ctx) }},
		{Name: "room for the hosts among inotify's instances", Do: l.checkInotify},
		{Name: "directory, keys and list of hosts", Do: l.makeDir},
		{Name: "namespaces and the bridge between hosts", Do: l.makeNamespaces},
		{Name: "the cloud's container is a host", Do: l.joinCloud},
		{Name: "hosts on disk", Do: l.eachHost(l.makeHost)},
		{Name: "authorities and certificates", Do: l.makeAuthorities},
		{Name: "hosts started", Do: l.eachHost(l.startHost)},
		{Name: "hosts answer and have finished booting", Do: l.eachHost(l.waitHost)},
		{Name: "the operator's configuration", Do: l.makeDeployDir},
		{Name: "sysctls of the machine are untouched", Do: func(context.Context) error { return l.sysctls().Check() }},
	})
}

// eachHost is one host after the other: the work is the disk's, and there is one disk.
func (l *Lab) eachHost(do func(context.Context, Host) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, h := range l.Hosts {
			if err := do(ctx, h); err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
		}
		return nil
	}
}

func (l *Lab) checkPrograms(context.Context) error {
	return machine.CheckPrograms(map[string]string{
		"lxc-start": "lxc", "mmdebstrap": "mmdebstrap", "ssh-keygen": "openssh-client", "nsenter": "util-linux", "ip": "iproute2",
		"xz": "xz-utils",
	})
}

func (l *Lab) makeDir(ctx context.Context) error {
	for _, d := range []string{"ssh", "hosts", "log"} {
		if err := os.MkdirAll(l.path(d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(l.path("ssh"), 0o700); err != nil {
		return err
	}
	if err := machine.Command(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "jeroboam-lab", "-f", l.path("ssh", "id_ed25519")); err != nil {
		return err
	}
	if err := l.sysctls().Remember(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(l.Hosts, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(l.path("hosts.json"), text, 0o644)
}

// load reads which hosts a lab has that somebody else made.
func (l *Lab) load() error {
	text, err := os.ReadFile(l.path("hosts.json"))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no lab in %s: lab up", l.Dir)
	}
	if err != nil {
		return err
	}
	l.joined()
	return json.Unmarshal(text, &l.Hosts)
}
