package host

import (
	"path"
	"slices"
	"strings"
)

// Nothing in a container can load a module: LXC's own profile for seccomp refuses init_module there
// (/usr/share/lxc/config/common.seccomp). What nodes need is loaded on their hosts beforehand, or by the kernel itself
// when something asks for it.

// LoadedModules are those that have to be loaded beforehand: nothing asks for br_netfilter, and the settings of
// nf_conntrack are only there with it. The tables of iptables of old (ip_tables, ip6_tables) are not among them: all
// that a bundle brings speaks to nf_tables, and since Linux 6.17 kernels are built without them
// (NETFILTER_XTABLES_LEGACY).
func LoadedModules() []Module {
	return []Module{
		{Name: "br_netfilter", Shows: "/proc/sys/net/bridge"},
		{Name: "nf_conntrack", Shows: "/proc/sys/net/netfilter/nf_conntrack_max"},
		{Name: "overlay"},
	}
}

// DemandedModules are those that the kernel loads by itself, if it has them: kube-proxy, Cilium and the plugins ask for
// nf_tables.
func DemandedModules() []Module { return []Module{{Name: "nf_tables"}} }

// tunnels are those that the kernel loads for the first link of that kind; which one is wanted is the configuration's.
func tunnels() []Module { return []Module{{Name: "geneve"}, {Name: "vxlan"}} }

// modules says which of the modules that nodes need this kernel has or could load. One of which nobody can tell,
// because there is no list of the kernel's modules, is left out.
func modules(m *Machine, kernel string) map[string]bool {
	dir := path.Join("/lib/modules", kernel)
	built, list := m.read(dir+"/modules.builtin"), m.read(dir+"/modules.dep")
	loaded, systems := m.read("/proc/modules"), m.read("/proc/filesystems")
	out := map[string]bool{}
	for _, k := range slices.Concat(LoadedModules(), DemandedModules(), tunnels()) {
		there := k.loaded(m) || strings.HasPrefix(loaded, k.Name+" ") || strings.Contains(loaded, "\n"+k.Name+" ") ||
			strings.Contains(systems, "\t"+k.Name+"\n") ||
			strings.Contains(built, "/"+k.Name+".ko") || strings.Contains(list, "/"+k.Name+".ko")
		if there || list != "" {
			out[k.Name] = there
		}
	}
	return out
}
