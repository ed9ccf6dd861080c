package intent

import (
	"fmt"
	"maps"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// environmentName is a name of an environment file: systemd.exec(5).
var environmentName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// checkValues refuses values that would be written down, and that the program which reads them there would not take:
// one would learn of it when a host has it already.
func (r *reader) checkValues() {
	r.checkContainerd()
	r.checkCilium()
	for i, h := range r.in.Proxy.Hosts {
		r.checkProxyEnvironment(fmt.Sprintf("proxy.hosts[%d].environment", i), h)
	}
	b := r.in.Backups
	if !b.Enabled {
		return
	}
	if !isCalendar(b.OnCalendar) && !r.lost("backups.onCalendar") {
		r.invalid("backups.onCalendar", "cluster_api_backups_on_calendar", b.OnCalendar, `a calendar event of systemd's, such as daily or "*-*-* 02:00:00" (systemd-analyze calendar tries one)`)
	}
	if b.RandomizedDelaySec < 0 {
		r.invalid("backups.randomizedDelaySec", "cluster_api_backups_randomized_delay_sec", b.RandomizedDelaySec, "seconds, from 0 on")
	}
}

// invalid refuses the value of a field.
func (r *reader) invalid(field, variable string, value any, want string) {
	r.fail("value-invalid", r.at(field), "write "+want, "%s is %q", variable, r.show(field, value))
}

// checkContainerd: the bundle's containerd is built without the snapshotters that need a device or a file system of
// their own, which a container does not have.
func (r *reader) checkContainerd() {
	c := r.in.Containerd
	if !slices.Contains([]string{"", "overlayfs", "native"}, c.Snapshotter) {
		r.invalid("containerd.snapshotter", "containerd_snapshotter", c.Snapshotter, "overlayfs or native")
	}
	if levels := []string{"trace", "debug", "info", "warn", "warning", "error", "fatal", "panic"}; c.DebugLevel != "" && !slices.Contains(levels, strings.ToLower(c.DebugLevel)) {
		r.invalid("containerd.debugLevel", "containerd_debug_level", c.DebugLevel, "one of "+strings.Join(levels, ", "))
	}
	for _, d := range []struct{ field, variable, value string }{
		{"containerd.storageDir", "containerd_storage_dir", c.StorageDir}, {"containerd.stateDir", "containerd_state_dir", c.StateDir},
	} {
		if d.value != "" && (!path.IsAbs(d.value) || path.Clean(d.value) == "/" || strings.ContainsFunc(d.value, unicode.IsControl)) {
			r.invalid(d.field, d.variable, d.value, "the absolute path of a directory")
		}
	}
}

// checkCilium looks at what is put into Cilium's objects when they are applied; that the bundle's chart has the rest is
// seen when there is a bundle.
func (r *reader) checkCilium() {
	const field = "cilium.values"
	number := func(name string, value any, least, most int) {
		if n, ok := asInt(value); value != nil && (!ok || n < least || n > most) {
			r.invalid(field, name+" of cilium_helm_values", value, fmt.Sprintf("an integer from %d to %d", least, most))
		}
	}
	v := r.in.Cilium.Values
	if p := v["tunnelProtocol"]; p != nil && p != "geneve" && p != "vxlan" {
		r.invalid(field, "tunnelProtocol of cilium_helm_values", p, "geneve or vxlan")
	}
	number("tunnelPort", v["tunnelPort"], 1, 65535)
	number("MTU", v["MTU"], 0, 65535)
	if operator, ok := v["operator"].(map[string]any); ok {
		number("operator.replicas", operator["replicas"], 1, 100)
	} else if v["operator"] != nil {
		r.invalid(field, "operator of cilium_helm_values", v["operator"], "a mapping")
	}
}

// checkProxyEnvironment: what the proxy does not know has no effect, and a name that is none breaks the file.
func (r *reader) checkProxyEnvironment(field string, h ProxyHost) {
	known := []string{"PROXY_BIND", "PROXY_PORT", "PROXY_ALWAYS"}
	for _, name := range slices.Sorted(maps.Keys(h.Environment)) {
		switch {
		case !environmentName.MatchString(name):
			r.fail("proxy-environment", r.at(field), "write letters, digits and underscores", "%q is no name of an environment variable", name)
		case strings.HasPrefix(name, "PROXY_") && !slices.Contains(known, name):
			r.warn("proxy-environment", r.at(field), "write one of "+strings.Join(known, ", ")+", or take it away", "the proxy reads no %s", name)
		case strings.ContainsFunc(h.Environment[name], unicode.IsControl):
			r.fail("proxy-environment", r.at(field), "write one line", "%s has a line break, or another control character", name)
		}
	}
	if _, err := netip.ParseAddr(h.Bind); err != nil && h.Bind != "*" && h.Bind != h.ManagementAddress { // which was told
		r.fail("proxy-environment", r.at(field), "write an address, or * for all", "PROXY_BIND is %q", r.show(field, h.Bind))
	}
}
