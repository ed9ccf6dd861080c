package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

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
		host.Item{File: &host.File{Path: "/etc/modules-load.d/jeroboam.conf", Content: names}},
		host.Item{File: &host.File{Path: "/etc/sysctl.d/90-jeroboam.conf", Content: sysctlText(settings)}},
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
