package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Addresses of the lab. They are those of the document Jeroboam started from, so that its configuration fits as it is; they
// can be used on any machine, because no packet leaves the lab's network namespace.
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
	// Container is the name of the LXC container that the host is. It names the host's cgroups as well, so it is the lab's own.
	Container string `json:"container"`
}

// Lab is a directory in which everything stands that the lab has made.
type Lab struct {
	Dir, Cache string
	Source     string // Jeroboam's source tree
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

// layout is which hosts there are: three with a load balancer beside them, or one that is everything.
func layout(hosts int) ([]Host, error) {
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

type step struct {
	name string
	do   func(context.Context) error
}

// Up makes the lab.
func (l *Lab) Up(ctx context.Context, hosts int) error {
	var err error
	if l.Hosts, err = layout(hosts); err != nil {
		return err
	}
	for i := range l.Hosts {
		l.Hosts[i].Container = l.containerPrefix() + l.Hosts[i].Name
	}
	return l.steps(ctx, []step{
		{"needed programs", l.checkPrograms},
		{"root file systems in the cache", l.fillCache},
		{"remove what an earlier run left", func(ctx context.Context) error { return (&Lab{Dir: l.Dir, Out: l.Out, Err: l.Err}).Down(ctx) }},
		{"room for the hosts among inotify's instances", l.checkInotify},
		{"directory, keys and list of hosts", l.makeDir},
		{"namespaces and the bridge between hosts", l.makeNamespaces},
		{"hosts on disk", l.eachHost(l.makeHost)},
		{"hosts started", l.eachHost(l.startHost)},
		{"hosts answer and have finished booting", l.eachHost(l.waitHost)},
		{"the operator's configuration", l.makeDeployDir},
		{"sysctls of the machine are untouched", l.checkSysctls},
	})
}

func (l *Lab) steps(ctx context.Context, steps []step) error {
	began := time.Now()
	for i, s := range steps {
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		_, _ = fmt.Fprintf(l.Out, "[%2d/%d %5.1fs] %s\n", i+1, len(steps), time.Since(began).Seconds(), s.name) // progress only
	}
	return nil
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
	var missing []string
	for program, pkg := range map[string]string{
		"lxc-start": "lxc", "mmdebstrap": "mmdebstrap", "ssh-keygen": "openssh-client", "nsenter": "util-linux", "ip": "iproute2",
		"xz": "xz-utils",
	} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("not installed: apt-get install --no-install-recommends %s", strings.Join(missing, " "))
	}
	return nil
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
	if err := command(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "jeroboam-lab", "-f", l.path("ssh", "id_ed25519")); err != nil {
		return err
	}
	if err := l.rememberSysctls(); err != nil {
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
	return json.Unmarshal(text, &l.Hosts)
}

// command runs a program and puts what it said into the error.
func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
