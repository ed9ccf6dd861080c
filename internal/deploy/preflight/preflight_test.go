package preflight_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/preflight"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

func TestPreflightTellsEverythingAtOnce(t *testing.T) {
	in := deploytest.Seed(t)
	if err := preflight.Check(in, deploytest.Facts(in)); err != nil {
		t.Fatalf("good hosts: %v", err)
	}
	f := deploytest.Facts(in)
	bad := f[in.Nodes[0].PhysicalHost]
	bad.Swap, bad.Free, bad.Version, bad.Clock.Ahead, bad.Root = []string{"/dev/sda2"}, 1<<30, "10", time.Minute, false
	bad.Programs = map[string]bool{}
	bad.Interfaces = map[string][]string{}
	f[in.Nodes[0].PhysicalHost] = bad
	err := preflight.Check(in, f)
	for _, part := range []string{"swap is on", "GiB are free in", "none of the releases", "clock is 1m0s ahead", "not root", "no lxc-start", "no bridge br-mgmt"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("nothing about %q in:\n%v", part, err)
		}
	}
}

// What a node is given are Debian's packages and the paths of its family: a host that is none fails before anything has
// changed.
func TestReleasesOfHosts(t *testing.T) {
	in := deploytest.Seed(t)
	name := in.Nodes[0].PhysicalHost
	for _, tt := range []struct{ id, version, says string }{
		{"debian", "12", ""},
		{"debian", "13", ""},
		{"ubuntu", "22.04", ""},
		{"ubuntu", "24.04", ""},
		{"debian", "11", "is none of the releases"},
		{"ubuntu", "24.10", "is none of the releases"},
		{"ubuntu", "26.04", "is none of the releases"},
		{"rocky", "9.4", "family of Red Hat"},
		{"centos", "9", "family of Red Hat"},
		{"almalinux", "10.0", "family of Red Hat"},
		{"rhel", "9", "family of Red Hat"},
		{"", "", "is none of the releases"},
	} {
		f := deploytest.Facts(in)
		h := f[name]
		h.ID, h.Version, h.Name = tt.id, tt.version, tt.id+" "+tt.version
		f[name] = h
		err := preflight.Check(in, f)
		if ok := err == nil && tt.says == "" || err != nil && tt.says != "" && strings.Contains(err.Error(), "host "+name+": ") && strings.Contains(err.Error(), tt.says); !ok {
			t.Errorf("%s %s: %v", tt.id, tt.version, err)
		}
	}
}

// The kernel takes no overlay for the upper directory of another one, so containerd cannot work there as it is.
func TestStoresOfNodes(t *testing.T) {
	for _, tt := range []struct {
		reason, store, snapshotter string
		mounts                     []intent.BindMount
		says                       bool
	}{
		{reason: "a directory", store: "dir"},
		{reason: "a volume", store: "lvm"},
		{reason: "an overlay", store: "overlay", says: true},
		{reason: "an overlay, named", store: "overlay", snapshotter: "overlayfs", says: true},
		{reason: "an overlay, with copies instead", store: "overlay", snapshotter: "native"},
		{reason: "containerd works on a disk of the host", store: "overlay", mounts: []intent.BindMount{{Host: "/srv/c", Container: "var/lib/containerd", Create: "dir"}}},
		{reason: "another directory of that name", store: "overlay", mounts: []intent.BindMount{{Host: "/srv/c", Container: "var/lib/containerd-x", Create: "dir"}}, says: true},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			in := deploytest.Seed(t)
			n := &in.Nodes[0]
			in.Containerd.Snapshotter, n.LXC.BindMounts = tt.snapshotter, append(n.LXC.BindMounts, tt.mounts...)
			f := deploytest.Facts(in)
			h := f[n.PhysicalHost]
			h.Containers, h.Stores = map[string]bool{n.Name: true}, map[string]host.RootFS{n.Name: {Kind: tt.store}}
			f[n.PhysicalHost] = h
			err := preflight.Check(in, f)
			if says := err != nil && strings.Contains(err.Error(), "the root file system of "+n.Name+" is an overlay"); says != tt.says || err != nil && !says {
				t.Errorf("%v", err)
			}
		})
	}
}

// A load balancer in a container is looked at there: its host has neither its addresses nor its programs.
func TestBalancersInContainers(t *testing.T) {
	const name = "infra1-haproxy-container-1a2b3c4d"
	for _, tt := range []struct {
		reason string
		change func(on, inside *host.Facts)
		says   string
	}{
		{"as it should be", func(_, _ *host.Facts) {}, ""},
		{"it does not run", func(on, inside *host.Facts) { on.Containers[name] = false; *inside = host.Facts{} }, "container " + name + " does not run: lxc-start -n " + name},
		{"nobody has made it", func(on, inside *host.Facts) { delete(on.Containers, name); *inside = host.Facts{} }, "there is no container " + name},
		{"the role has not run", func(_, inside *host.Facts) { inside.Programs = nil }, "host " + name + ": there is no haproxy"},
		{"keepalived does not run there", func(_, inside *host.Facts) { inside.Interfaces = nil }, "no load balancer holds the internal VIP"},
		{"its port is taken there", func(_, inside *host.Facts) { inside.Listening = []string{"0.0.0.0:6443"} }, "host " + name + ": something else listens on 0.0.0.0:6443"},
		{"a port of its host is another one's business", func(on, _ *host.Facts) { on.Listening = []string{"0.0.0.0:6443"} }, ""},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			in := deploytest.Seed(t)
			in.HAProxy.Hosts = in.HAProxy.Hosts[:1]
			b := &in.HAProxy.Hosts[0]
			b.Name, b.IsMetal = name, false
			f := deploytest.Facts(in)
			on := f[b.PhysicalHost]
			inside := host.Facts{Root: true, Programs: map[string]bool{"haproxy": true}, Interfaces: on.Interfaces}
			on.Programs = map[string]bool{"lxc-start": true, "lxc-attach": true, "lxc-info": true, "tar": true, "systemctl": true}
			on.Interfaces = map[string][]string{"br-mgmt": nil, "lxcbr0": nil}
			on.Containers = map[string]bool{name: true}
			for other, facts := range f { // they hold the address as well
				facts.Interfaces = on.Interfaces
				f[other] = facts
			}
			tt.change(&on, &inside)
			f[b.PhysicalHost] = on
			if inside.Root {
				f[name] = inside
			}
			err := preflight.Check(in, f)
			if ok := err == nil && tt.says == "" || err != nil && tt.says != "" && strings.Contains(err.Error(), tt.says); !ok {
				t.Errorf("%v", err)
			}
		})
	}
}
