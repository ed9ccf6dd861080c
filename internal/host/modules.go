package host

import (
	"path"
	"strings"
)

// shows is how a kernel tells that it has a module, where it does so elsewhere than in /proc/modules: built in, or
// loaded.
func shows() map[string]string {
	return map[string]string{"br_netfilter": "/proc/sys/net/bridge", "nf_conntrack": "/proc/sys/net/netfilter", "overlay": "", "geneve": "", "vxlan": ""}
}

// modules says which of the modules that nodes need this kernel has or could load. One of which nobody can tell,
// because there is no list of the kernel's modules, is left out.
func modules(m *Machine, kernel string) map[string]bool {
	dir := path.Join("/lib/modules", kernel)
	built, list := m.read(dir+"/modules.builtin"), m.read(dir+"/modules.dep")
	loaded, systems := m.read("/proc/modules"), m.read("/proc/filesystems")
	out := map[string]bool{}
	for name, proof := range shows() {
		there := strings.HasPrefix(loaded, name+" ") || strings.Contains(loaded, "\n"+name+" ") ||
			strings.Contains(systems, "\t"+name+"\n") || proof != "" && m.exists(proof) ||
			strings.Contains(built, "/"+name+".ko") || strings.Contains(list, "/"+name+".ko")
		if there || list != "" {
			out[name] = there
		}
	}
	return out
}
