package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// What of ours is on hosts beside containers. The settings are read at boot in the order of names, and have to come
// after /etc/sysctl.conf, which is read as 99-sysctl.conf: openstack_hosts and lxc_hosts write nf_conntrack_max and
// fs.inotify's limits there, lower ones than a node's.
const (
	modulesFile = "/etc/modules-load.d/jeroboam.conf"
	sysctlFile  = "/etc/sysctl.d/99-zz-jeroboam.conf"
)

// HostFiles are all files that Host may have left on a host.
func HostFiles() []string { return []string{modulesFile, sysctlFile} }

// own says that a sysctl belongs to a network namespace: a container has its own. The others are the physical host's.
func own(key string) bool {
	return strings.HasPrefix(key, "net.") && !strings.HasPrefix(key, "net.netfilter.nf_conntrack_max")
}

// Host are what a physical host needs for its containers: the kernel is one.
func Host(in intent.Intent, h intent.Host) []host.Item {
	var out []host.Item
	names := ""
	for _, k := range host.LoadedModules() {
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
		host.Item{File: &host.File{Path: modulesFile, Content: names}},
		host.Item{File: &host.File{Path: sysctlFile, Content: sysctlText(settings)}},
	)
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		out = append(out, host.Item{Sysctl: &host.Sysctl{Key: k, Value: settings[k], AtLeast: strings.HasPrefix(k, "fs.inotify.")}})
	}
	return out
}

func sysctlText(settings map[string]string) string {
	text := host.Mark
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		text += k + " = " + settings[k] + "\n"
	}
	return text
}
