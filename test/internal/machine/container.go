package machine

import "strings"

// Container is an LXC container that is a host.
type Container struct {
	Hostname string
	Root     string // its root file system, shield files in it
	Bridge   string // of the namespaces it stands in
	Veth     string // the name of its interface's other end
	MAC      string
	More     []string // further lines
}

// Config is the container's configuration. proc:mixed keeps the machine's sysctls read-only; those that software on a
// real host writes are covered by small files of the host's own (Shield).
func (c Container) Config() string {
	lines := []string{
		"lxc.uts.name = " + c.Hostname,
		"lxc.rootfs.path = dir:" + c.Root,
		"lxc.apparmor.profile = unconfined",
		"lxc.mount.auto = proc:mixed sys:rw cgroup:rw:force",
		"lxc.cap.drop =",
		"lxc.cgroup.devices.allow = a",
		"lxc.pty.max = 1024",
		"lxc.mount.entry = /dev/kmsg dev/kmsg none bind,create=file 0 0",
		"lxc.net.0.type = veth",
		"lxc.net.0.link = " + c.Bridge,
		"lxc.net.0.flags = up",
		"lxc.net.0.veth.pair = " + c.Veth,
		"lxc.net.0.hwaddr = " + c.MAC,
		"lxc.signal.halt = SIGRTMIN+4",
	}
	lines = append(lines, c.More...)
	lines = append(lines, ShieldMounts(c.Root)...)
	return strings.Join(lines, "\n") + "\n"
}
