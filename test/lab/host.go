package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// makeHost unpacks a host's root file system and writes what makes it that host.
func (l *Lab) makeHost(ctx context.Context, h Host) error {
	root := l.root(h)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := machine.Command(ctx, "tar", "-C", root, "-xpf", l.cached(h.image())); err != nil {
		return err
	}
	public, err := os.ReadFile(l.path("ssh", "id_ed25519.pub"))
	if err != nil {
		return err
	}
	files := l.hostFiles(h)
	files["root/.ssh/authorized_keys"] = string(public)
	if h.Balancer {
		maps.Copy(files, balancerFiles())
		if l.hasKeystone() {
			fragment := keystoneFragment(h.Name)
			files["etc/haproxy/conf.d/keystone_service"] = fragment
			files["etc/haproxy/haproxy.cfg"] += fragment
		}
	}
	if h.Keystone {
		maps.Copy(files, keystoneFiles())
	}
	if err := writeFiles(root, files); err != nil {
		return err
	}
	if err := l.hostLinks(ctx, root, h); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(root), "config"), []byte(l.containerConfig(h, root)), 0o644); err != nil {
		return err
	}
	return l.hostKey(ctx, root, h)
}

// image is the root file system that a host is made of.
func (h Host) image() string {
	switch {
	case h.Balancer:
		return "balancer"
	case h.Keystone:
		return "keystone"
	}
	return "host"
}

func (l *Lab) root(h Host) string { return l.path("hosts", h.Container, "rootfs") }

// containerConfig is the LXC container that is the host.
func (l *Lab) containerConfig(h Host, root string) string {
	return machine.Container{
		Hostname: h.Name, Root: root, Bridge: "br-lab", Veth: h.Name, MAC: mac(h), More: []string{"lxc.init.cmd = " + l.rootfs(h.image()).system.init()},
	}.Config()
}

func mac(h Host) string {
	last := h.Address[strings.LastIndexByte(h.Address, '.')+1:]
	var n int
	_, _ = fmt.Sscan(last, &n) // an address of ours
	return fmt.Sprintf("00:16:3e:4c:41:%02x", n)
}

func (l *Lab) hostFiles(h Host) map[string]string {
	addresses := "Address=" + h.Address + prefix + "\n"
	if h.Balancer {
		addresses += "Address=" + internalVIP + "/32\nAddress=" + externalVIP + "/32\n"
	}
	nested := "# The lab's part of every container on this host: cgroup v1 as it is here, and the shield of global sysctls.\n" +
		"lxc.mount.auto = cgroup:rw:force\nlxc.init.cmd = " + l.Containers.init() + "\n"
	files := map[string]string{
		"etc/hostname":                          h.Name + "\n",
		"etc/hosts":                             l.hostsFile(),
		"etc/resolv.conf":                       "# no name server: this host has no way out\n",
		"etc/machine-id":                        "",
		"etc/systemd/network/10-br.netdev":      "[NetDev]\nName=br-mgmt\nKind=bridge\nMACAddress=" + mac(h) + "\n",
		"etc/systemd/network/20-eth0.network":   "[Match]\nName=eth0\n[Network]\nBridge=br-mgmt\n",
		"etc/systemd/network/30-br.network":     "[Match]\nName=br-mgmt\n[Network]\n" + addresses + "LinkLocalAddressing=no\nIPv6AcceptRA=no\n" + l.cloudRoutes(),
		"etc/systemd/network/40-lxcbr0.netdev":  "[NetDev]\nName=lxcbr0\nKind=bridge\n",
		"etc/systemd/network/40-lxcbr0.network": l.lxcbr0(),
		// OpenStack-Ansible makes lxcbr0 itself; Debian's own script would wait half a minute for it.
		"etc/default/lxc-net":        "USE_LXC_BRIDGE=\"false\"\n",
		"etc/default/lxc":            "LXC_AUTO=\"true\"\nBOOTGROUPS=\"onboot,\"\nUSE_LXC_BRIDGE=\"false\"\nSHUTDOWNDELAY=20\n",
		"etc/lxc/lxc-openstack.conf": lxcOpenStack,
		"etc/sysctl.d/99-lab.conf":   "net.ipv4.ip_forward=1\n",
	}
	maps.Copy(files, machine.ShieldFiles())
	nested += strings.Join(machine.ShieldMounts(""), "\n") + "\n"
	files["usr/share/lxc/config/common.conf.d/90-lab.conf"] = nested
	return files
}

// lxcbr0 is the bridge of containers' first interface. Beside a cloud it is their way out, as it is on
// OpenStack-Ansible's hosts.
func (l *Lab) lxcbr0() string {
	router, masquerade := "no", ""
	if l.Cloud != "" {
		router, masquerade = "yes", "IPMasquerade=ipv4\n"
	}
	return "[Match]\nName=lxcbr0\n[Network]\nAddress=10.0.3.1/24\nConfigureWithoutCarrier=yes\nDHCPServer=yes\nLinkLocalAddressing=no\n" + masquerade +
		"[DHCPServer]\nEmitDNS=no\nEmitRouter=" + router + "\n"
}

// hostsFile is the /etc/hosts of the hosts and of the deploy host: there is no name server.
func (l *Lab) hostsFile() string {
	names := "127.0.0.1 localhost\n" + internalVIP + " internal.example.com\n" + externalVIP + " " + external + "\n" + gateway + " deploy\n"
	for _, o := range l.Hosts {
		names += o.Address + " " + o.Name + "\n"
	}
	if l.Cloud != "" {
		names += cloudIP + " " + cloudHost + "\n"
	}
	return names
}

// lxcOpenStack is what OpenStack-Ansible's lxc_hosts role writes for all containers.
const lxcOpenStack = `lxc.apparmor.profile = generated
lxc.apparmor.allow_nesting = 1
lxc.start.auto = 1
lxc.start.delay = 15
lxc.group = onboot
lxc.group = openstack
`

func (l *Lab) hostLinks(ctx context.Context, root string, h Host) error {
	for _, dir := range []string{"usr/lib/modules", "usr/src", "openstack/backup", "openstack/log", "var/lib/lxc"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	// OpenStack-Ansible keeps the base container where LXC's download template looks for it.
	base := filepath.Join(root, l.HostsOf.baseContainer())
	if err := os.MkdirAll(filepath.Dir(base), 0o755); err != nil {
		return err
	}
	if err := machine.Command(ctx, "cp", "--reflink=auto", l.cached("container"), base); err != nil {
		return err
	}
	enable := []string{"systemd-networkd", "ssh", "lxc"}
	if h.Balancer {
		enable = append(enable, "haproxy")
	}
	if err := machine.Command(ctx, "systemctl", append([]string{"--root", root, "--quiet", "enable"}, enable...)...); err != nil {
		return err
	}
	if h.Keystone {
		if err := enableKeystone(ctx, root); err != nil {
			return err
		}
	}
	return machine.Command(ctx, "systemctl", "--root", root, "--quiet", "mask", "lxc-net.service", "systemd-networkd-wait-online.service",
		"systemd-udev-settle.service", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer")
}

// hostKey gives the host keys of its own (the cached image has the same for all) and remembers them for ssh.
func (l *Lab) hostKey(ctx context.Context, root string, h Host) error {
	for _, kind := range []string{"rsa", "ecdsa"} {
		for _, suffix := range []string{"", ".pub"} {
			_ = os.Remove(filepath.Join(root, "etc/ssh/ssh_host_"+kind+"_key"+suffix)) // ed25519 is enough
		}
	}
	key := filepath.Join(root, "etc/ssh/ssh_host_ed25519_key")
	_, _ = os.Remove(key), os.Remove(key+".pub") // not there is as good
	if err := machine.Command(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", h.Name, "-f", key); err != nil {
		return err
	}
	return l.know(h.Name, h.Address, key+".pub")
}

// know lets ssh believe a host's key.
func (l *Lab) know(name, address, file string) error {
	public, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	known, err := os.OpenFile(l.path("ssh", "known_hosts"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(known, "%s,%s %s", name, address, public)
	if closed := known.Close(); err == nil {
		err = closed
	}
	return err
}

func writeFiles(root string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(root, name)
		dirMode, mode := os.FileMode(0o755), os.FileMode(0o644)
		if strings.HasPrefix(name, "root/.ssh/") {
			dirMode, mode = 0o700, 0o600
		}
		if strings.HasSuffix(name, ".key.pem") {
			mode = 0o600
		}
		if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) startHost(ctx context.Context, h Host) error {
	if err := l.holder().Run(ctx, "lxc-start", "-P", l.path("hosts"), "-n", h.Container, "-o", l.path("log", h.Name+".log"), "-l", "WARN"); err != nil {
		log, _ := os.ReadFile(l.path("log", h.Name+".log")) // says why, if it is there
		return fmt.Errorf("%w\n%s", err, machine.Tail(log))
	}
	return nil
}

// ssh is a command on a host, as the deployer gives it.
func (l *Lab) ssh(ctx context.Context, h Host, command string) (*exec.Cmd, error) {
	return l.holder().Enter(ctx, "ssh", "-i", l.path("ssh", "id_ed25519"), "-o", "UserKnownHostsFile="+l.path("ssh", "known_hosts"),
		"-o", "BatchMode=yes", "-o", "ConnectTimeout=3", "-o", "LogLevel=ERROR", "root@"+h.Address, command)
}

func (l *Lab) waitHost(ctx context.Context, h Host) error {
	return machine.WaitFor(ctx, 3*time.Minute, func() error {
		cmd, err := l.ssh(ctx, h, "systemctl is-system-running; systemctl --failed --no-legend --plain")
		if err != nil {
			return err
		}
		out, err := cmd.CombinedOutput()
		state, failed, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		if state == "running" && err == nil {
			return nil
		}
		return fmt.Errorf("it is %q %s", state, failed)
	})
}
