package node

import (
	"fmt"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Container are the container of a node and what its config names on the host.
func Container(n intent.Node, b site.Bundle, f host.Facts) []host.Item {
	if n.IsMetal {
		return nil
	}
	var out []host.Item
	lines := []string{"lxc.mount.auto = " + strings.Join(n.LXC.MountAuto, " ")}
	lines = append(lines, n.LXC.Config...)
	for _, bm := range n.LXC.BindMounts {
		if bm.Create == "dir" {
			out = append(out, host.Item{File: &host.File{Path: bm.Host, Dir: true, Once: true}})
		}
		lines = append(lines, fmt.Sprintf("lxc.mount.entry = %s %s none bind,create=%s 0 0", bm.Host, strings.TrimPrefix(bm.Container, "/"), bm.Create))
	}
	c := &host.Container{
		Name: n.Name, Base: containerBase(n, f), Lines: lines, Single: []string{"lxc.mount.auto"}, RootFS: b.RootFS, Archive: f.LXCArchive, Files: firstFiles(n),
		NoRestarts: !n.LXC.AllowRestarts,
	}
	for _, net := range n.Networks {
		if net.Type == "veth" {
			c.Networks = append(c.Networks, host.Interface{Name: net.Interface, Bridge: net.Bridge, Pair: net.VethPair, MTU: net.MTU})
			c.Base = append(c.Base, "lxc.include = /var/lib/lxc/"+n.Name+"/"+net.Interface+".ini")
		}
	}
	return append(out, host.Item{Container: c})
}

// containerBase is what a config of ours begins with, beside the lines that any must have.
func containerBase(n intent.Node, f host.Facts) []string {
	base := []string{}
	if !strings.Contains(f.LXCBase, "common.conf") {
		base = append(base, "lxc.include = /usr/share/lxc/config/common.conf")
	}
	if f.LXCBase != "" {
		base = append(base, "lxc.include = "+n.LXC.ConfigBase)
	}
	if !strings.Contains(f.LXCBase, "lxc.start.auto") {
		base = append(base, "lxc.start.auto = 1", "lxc.group = onboot", "lxc.group = openstack")
	}
	return append(
		base,
		"lxc.uts.name = "+hostName(n), "lxc.rootfs.path = dir:/var/lib/lxc/"+n.Name+"/rootfs", "lxc.autodev = 1",
		"lxc.start.order = 100", "lxc.signal.halt = SIGRTMIN+4",
	)
}

func hostName(n intent.Node) string { return strings.ReplaceAll(n.Name, "_", "-") }

// firstFiles are written into a new container before it starts: its name and its network.
func firstFiles(n intent.Node) []host.File {
	out := []host.File{
		{Path: "/etc/hostname", Content: hostName(n) + "\n"},
		{Path: "/etc/hosts", Content: fmt.Sprintf("127.0.0.1 localhost\n127.0.1.1 %s.%s %s\n::1 localhost ip6-localhost ip6-loopback\n", hostName(n), n.LXC.Domain, hostName(n))},
		{Path: "/etc/machine-id", Content: ""},
	}
	for _, net := range n.Networks {
		text := "[Match]\nName=" + net.Interface + "\n\n[Network]\nLinkLocalAddressing=no\n"
		if net.Address == "" {
			text += "DHCP=ipv4\n\n[Link]\nRequiredForOnline=no\n"
		} else {
			text += "Address=" + net.Address + "\n"
			if net.Gateway != "" {
				text += "Gateway=" + net.Gateway + "\n"
			}
			for _, r := range net.StaticRoutes {
				text += "\n[Route]\nDestination=" + r.CIDR + "\nGateway=" + r.Gateway + "\n"
			}
		}
		out = append(out, host.File{Path: "/etc/systemd/network/20-" + net.Interface + ".network", Content: text})
	}
	return append(out, host.File{Path: "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service", Link: "/lib/systemd/system/systemd-networkd.service"})
}

// Unfinished says of a container that it has to be made: there is none, or a run of ours was killed while it made it.
// One that OpenStack-Ansible made is its own matter.
func Unfinished(f host.Facts, name string) bool {
	running, there := f.Containers[name]
	return !there || f.Made[name] && !running
}
