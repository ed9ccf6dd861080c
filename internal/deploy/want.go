package deploy

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/haproxy"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// The parts of a deployment, in the order of the work.
const (
	groupHost      = "host"
	groupContainer = "container"
	groupNode      = "node"
	groupKubelet   = "kubelet" // what of a node changes after its control plane in an upgrade
	groupRecord    = "record"  // the settings a node has, written when they are in force
	groupHAProxy   = "haproxy"
	groupControl   = "control plane"
)

// Wanted is how everything should be.
type Wanted struct {
	site.List
	Intent intent.Intent
	Bundle site.Bundle
	// Facts are the physical hosts'.
	Facts map[string]host.Facts
	// Serves is who serves Magnum's API, "" if nobody was asked.
	Serves string
	// Proxies is which proxy its hosts have, "" if nobody was asked.
	Proxies string
}

// Want says how everything should be. Pure: facts only decide what a host's kernel and the files of others make necessary.
func Want(in intent.Intent, b site.Bundle, facts map[string]host.Facts, gone []string) (Wanted, error) {
	w := Wanted{Intent: in, Bundle: b, Facts: facts, List: site.List{Places: map[string]site.Place{}, Gone: gone}}
	for _, h := range in.HostsWith(intent.RoleNode) {
		w.Place(site.Place{Host: h.Name})
		w.Add(h.Name, groupHost, hostItems(in, h)...)
	}
	for _, n := range in.Nodes {
		w.Place(site.Place{Host: n.PhysicalHost, Container: n.Name})
		w.Add(n.PhysicalHost, groupContainer, containerItems(n, b, facts[n.PhysicalHost])...)
		items, err := nodeItems(in, b, n)
		if err != nil {
			return w, err
		}
		record, err := initDocuments(in, b, n, traitsOf(facts[n.PhysicalHost]))
		if err != nil {
			return w, err
		}
		w.Add(n.Name, groupNode, items...)
		w.Add(n.Name, groupKubelet, kubeletItems(b)...)
		// Not shown: the one of a node that the original collection made has what let it join.
		w.Add(n.Name, groupRecord, host.Item{File: &host.File{Path: host.KubeadmConfig, Content: ourMark + record, Mode: 0o640, Secret: true}})
		timer, err := backupItems(in, n, facts[n.PhysicalHost])
		if err != nil {
			return w, err
		}
		w.Add(n.Name, groupNode, timer...)
	}
	for _, h := range in.HAProxy.Hosts {
		p := site.At(h.Where())
		w.Place(p)
		w.Add(p.Name(), groupHAProxy, haproxyItems(h, facts[h.PhysicalHost])...)
	}
	return w, nil
}

func traitsOf(f host.Facts) traits { return traits{cgroupV1: f.Kernel != "" && !f.CgroupV2} }

// kernelModules are what kube-proxy, the CNI plugins and containerd use (vexxhost.kubernetes: cni_plugins_kernel_modules).
func kernelModules() []host.Module {
	return []host.Module{
		{Name: "br_netfilter", Shows: "/proc/sys/net/bridge"},
		{Name: "ip_tables", Shows: "/proc/net/ip_tables_names"},
		{Name: "ip6_tables", Shows: "/proc/net/ip6_tables_names"},
		{Name: "nf_conntrack", Shows: "/proc/sys/net/netfilter/nf_conntrack_max"},
		{Name: "overlay", Shows: "/sys/module/overlay"},
	}
}

// own says that a sysctl belongs to a network namespace: a container has its own. The others are the physical host's.
func own(key string) bool {
	return strings.HasPrefix(key, "net.") && !strings.HasPrefix(key, "net.netfilter.nf_conntrack_max")
}

// hostItems are what a physical host needs for its containers: the kernel is one.
func hostItems(in intent.Intent, h intent.Host) []host.Item {
	var out []host.Item
	names := ""
	for _, k := range kernelModules() {
		out = append(out, host.Item{Module: &k})
		names += k.Name + "\n"
	}
	settings := map[string]string{}
	for k, v := range in.Kubernetes.KubeletSysctls {
		if !own(k) {
			settings[k] = v
		}
	}
	if h.ConntrackMax > 0 {
		settings["net.netfilter.nf_conntrack_max"] = fmt.Sprint(h.ConntrackMax)
	}
	out = append(
		out,
		host.Item{File: &host.File{Path: "/etc/modules-load.d/jeroboam.conf", Content: names}},
		host.Item{File: &host.File{Path: "/etc/sysctl.d/90-jeroboam.conf", Content: sysctlText(settings)}},
	)
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		out = append(out, host.Item{Sysctl: &host.Sysctl{Key: k, Value: settings[k], AtLeast: strings.HasPrefix(k, "fs.inotify.")}})
	}
	return out
}

func sysctlText(settings map[string]string) string {
	text := ourMark
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		text += k + " = " + settings[k] + "\n"
	}
	return text
}

// containerItems are the container of a node and what its config names on the host.
func containerItems(n intent.Node, b site.Bundle, f host.Facts) []host.Item {
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

// haproxyItems are the fragments of the API's service on a load balancer, and haproxy reading them.
func haproxyItems(h intent.HAProxyHost, f host.Facts) []host.Item {
	services := make([]haproxy.Service, len(h.Services))
	for i, s := range h.Services {
		services[i] = s
		services[i].Binds = binds(s, f.Fragments[s.Name])
	}
	return fragmentItems(services, h.Settings, f)
}

// fragmentItems are the fragments of services on a load balancer, and haproxy reading them.
func fragmentItems(services []haproxy.Service, settings haproxy.Settings, f host.Facts) []host.Item {
	var out []host.Item
	for _, file := range haproxy.Files(services, settings) {
		text := ourMark + file.Text
		if have, ok := f.Fragments[path.Base(file.Path)]; ok && haproxy.Same(have, text) {
			text = have // another way to write the same is not worth a reload
		}
		out = append(out, host.Item{File: &host.File{
			Path: file.Path, Content: text, Gone: file.Absent, Mode: file.Mode, Owner: file.Owner + ":" + file.Group,
			Temporary: path.Dir(haproxy.Dir),
		}})
	}
	item := &host.HAProxy{Fragments: haproxy.Dir, Config: "/etc/haproxy/haproxy.cfg", Unit: "haproxy.service"}
	for _, s := range services {
		item.Backends = append(item.Backends, backendOf(s.Name))
		item.Services = append(item.Services, s.Name)
	}
	return append(out, host.Item{HAProxy: item})
}

// ourMark begins the fragments we wrote, because removing removes only those, and the records of settings.
const ourMark = "# Written by jeroboam deploy.\n"

// binds leaves the external address out, unless a fragment that is there has it: the API is for the deployment alone, but
// nobody's access is cut by adopting a cluster.
func binds(s haproxy.Service, have string) []haproxy.Bind {
	var out []haproxy.Bind
	for _, b := range s.Binds {
		if b.Type != "external" || strings.Contains(have, "bind "+b.Address+":") {
			out = append(out, b)
		}
	}
	if len(out) == 0 {
		return s.Binds // one address is both
	}
	return out
}
