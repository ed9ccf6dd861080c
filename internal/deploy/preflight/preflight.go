// Package preflight looks at what hosts are, before anything on them has been changed: what would make a deployment
// fail, all of it at once, and a report of the hosts that can be pasted into a bug report. It is a function of facts:
// nobody is asked.
package preflight

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// MinimumFree is the free space in /var/lib/lxc and /var/lib/jeroboam that a host needs for a new node: its root file
// system, images twice, etcd.
const MinimumFree = 10 << 30

// maxSkew is how far a host's clock may be from the deployer's: certificates that begin in the future are refused, and
// etcd warns from a second on.
const maxSkew = 5 * time.Second

// Check tells everything that would make a deployment fail, before anything has been changed. Pure.
func Check(in intent.Intent, facts map[string]host.Facts) error {
	var errs []error
	for _, h := range in.Hosts {
		f, ok := facts[h.Name]
		if !ok {
			continue
		}
		problem := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("host %s: "+format, append([]any{h.Name}, args...)...))
		}
		if !f.Root {
			problem("the agent is not root: log in as root, or as a user who may use sudo without a password")
		}
		if f.Clock.Off() > maxSkew {
			way := "ahead of"
			if f.Clock.Ahead < 0 {
				way = "behind"
			}
			problem("its clock is %s %s this machine's: set up time synchronisation", f.Clock.Ahead.Abs().Round(time.Second), way)
		}
		if h.Has(intent.RoleNode) {
			nodeHost(in, h, f, problem)
		}
	}
	errs = append(errs, balancers(in, facts)...)
	return errors.Join(errs...)
}

// release says what is wrong with a host's operating system, "" if nothing. The releases are those that
// OpenStack-Ansible 2024.1 to 2026.1 supports, without the family of Red Hat: what the bundle brings into containers is
// Debian's, and SELinux has been thought of nowhere.
func release(f host.Facts) string {
	name := cmp.Or(strings.TrimSpace(f.Name), "its operating system")
	switch f.ID {
	case "debian", "ubuntu":
		releases := map[string][]string{"debian": {"12", "13"}, "ubuntu": {"22.04", "24.04"}}
		if slices.ContainsFunc(releases[f.ID], func(v string) bool { return f.Version == v || strings.HasPrefix(f.Version, v+".") }) {
			return ""
		}
	case "rocky", "centos", "almalinux", "rhel", "ol", "fedora":
		return name + " is of the family of Red Hat, which does not work yet: nodes need hosts with Debian 12 or 13, or Ubuntu 22.04 or 24.04"
	}
	return name + " is none of the releases that work (Debian 12, 13; Ubuntu 22.04, 24.04): take another host, or install one of them"
}

func nodeHost(in intent.Intent, h intent.Host, f host.Facts, problem func(string, ...any)) {
	if wrong := release(f); wrong != "" {
		problem("%s", wrong)
	}
	for _, p := range []string{"lxc-start", "lxc-attach", "lxc-info", "tar", "systemctl"} {
		if !f.Programs[p] {
			problem("there is no %s: run OpenStack-Ansible's setup-hosts first", p)
		}
	}
	kernel(in, f, problem)
	if len(f.Swap) > 0 && !in.Kubernetes.AllowUnsafeSwap {
		problem("swap is on (%s): swapoff -a and take it out of /etc/fstab, or set kubernetes_allow_unsafe_swap", strings.Join(f.Swap, ", "))
	}
	for _, n := range in.Nodes {
		if n.PhysicalHost != h.Name {
			continue
		}
		if n.IsMetal {
			problem("%s is a node on metal: this is not supported, the original collection does not test it either", n.Name)
		}
		if _, there := f.Containers[n.Name]; !there && f.Free < MinimumFree {
			problem("%d GiB are free in %s, a new node needs %d: make room there", f.Free>>30, cmp.Or(f.FreeAt, "/var/lib"), MinimumFree>>30)
		}
		if f.Stores[n.Name].Kind == "overlay" && in.StacksOverlay(n) {
			problem("the root file system of %s is an overlay, on which containerd's overlayfs does not work: set containerd_snapshotter: native, or give it a bind mount at containerd's storage_dir", n.Name)
		}
		for _, net := range n.Networks {
			if _, ok := f.Interfaces[net.Bridge]; !ok && net.Type == "veth" {
				problem("there is no bridge %s for %s of %s", net.Bridge, net.Interface, n.Name)
			}
		}
	}
}

// controllers of the unified hierarchy that Kubernetes requires of a node (system-validators: CgroupsV2). The rest of
// its list is part of every kernel, and hugetlb and io are optional.
func controllers() []string { return []string{"cpu", "cpuset", "memory", "pids"} }

// kernel says what the host's kernel lacks: a container cannot load modules, nor give itself controllers.
func kernel(in intent.Intent, f host.Facts, problem func(string, ...any)) {
	needs := append(host.LoadedModules(), host.DemandedModules()...)
	if protocol := in.Cilium.TunnelProtocol; protocol != "" {
		needs = append(needs, host.Module{Name: protocol})
	}
	for _, k := range needs {
		if has, known := f.Modules[k.Name]; known && !has {
			problem("its kernel %s has no module %s, which nodes need: install the distribution's package with the rest of the kernel's modules (linux-modules-extra on Ubuntu)", f.Kernel, k.Name)
		}
	}
	for _, name := range controllers() {
		if f.CgroupV2 && !slices.Contains(f.Controllers, name) {
			problem("its unified cgroup hierarchy has no controller %s, which Kubernetes requires of a node: take cgroup_disable=%s out of the kernel's command line", name, name)
		}
	}
	// LXC takes it for a hybrid layout, in which it hands on nothing of the unified hierarchy (LXC: cgfsng.c).
	for _, at := range f.CgroupV1 {
		problem("cgroup v1 is mounted at %s beside the unified hierarchy: LXC gives containers no controllers then. Unmount it, and keep it from being mounted at boot", at)
	}
}

// balancers checks that somebody holds the internal VIP, and that its port is free for us.
func balancers(in intent.Intent, facts map[string]host.Facts) []error {
	vip := net.ParseIP(in.VIPs.Internal.Bind)
	if vip == nil {
		vip = net.ParseIP(in.VIPs.Internal.Address)
	}
	var errs []error
	held := vip == nil || len(in.HAProxy.Hosts) == 0 // a name: nodes resolve it
	for _, h := range in.HAProxy.Hosts {
		f, ok := facts[site.At(h.Where()).Name()]
		if on, seen := facts[h.PhysicalHost]; !h.IsMetal && seen {
			if running, there := on.Containers[h.Name]; !running {
				errs = append(errs, fmt.Errorf("host %s: %s", h.PhysicalHost, absent(h.Name, there)))
			}
		}
		if !ok {
			held = true // nobody can tell
			continue
		}
		if !f.Programs["haproxy"] {
			errs = append(errs, fmt.Errorf("host %s: there is no haproxy: run OpenStack-Ansible's haproxy-install first", h.Name))
		}
		for _, addrs := range f.Interfaces {
			for _, a := range addrs {
				ip, _, err := net.ParseCIDR(a)
				held = held || err == nil && ip.Equal(vip)
			}
		}
		errs = append(errs, portTaken(in, h, f, vip)...)
	}
	if !held {
		errs = append(errs, fmt.Errorf("no load balancer holds the internal VIP %s: is keepalived running", vip))
	}
	return errs
}

// absent says what to do about a load balancer's container that does not run.
func absent(name string, there bool) string {
	if there {
		return "the load balancer's container " + name + " does not run: lxc-start -n " + name
	}
	return "there is no container " + name + " for the load balancer: run OpenStack-Ansible's setup-hosts and haproxy-install first"
}

func portTaken(in intent.Intent, h intent.HAProxyHost, f host.Facts, vip net.IP) []error {
	for _, s := range h.Services {
		if _, ours := f.Fragments[s.Name]; ours {
			return nil // it is the service itself that listens
		}
	}
	port := fmt.Sprint(in.Kubernetes.ControlPlanePort)
	for _, l := range f.Listening {
		addr, p, err := net.SplitHostPort(l)
		if ip := net.ParseIP(addr); err == nil && p == port && (ip.IsUnspecified() || ip.Equal(vip)) {
			return []error{fmt.Errorf("host %s: something else listens on %s: free the port", h.Name, l)}
		}
	}
	return nil
}
