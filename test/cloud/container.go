package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// enabled are the units that make the cloud. Debian enables some of them, and not always.
func enabled() []string {
	return strings.Fields(`systemd-networkd mariadb rabbitmq-server memcached libvirtd virtlogd.socket
		keystone glance-api placement-api nova-api nova-api-metadata nova-conductor nova-scheduler nova-compute
		neutron-api neutron-rpc-server neutron-linuxbridge-agent neutron-dhcp-agent neutron-l3-agent neutron-metadata-agent
		cinder-api cinder-scheduler cinder-volume octavia-api cloud-agent`)
}

// masked are units that came along and have nothing to do here. systemd-machined does not know the cgroups of a
// container in a container: libvirt asks it for a server's and fails (NoMachineForPID); without it libvirt makes them
// itself.
func masked() []string {
	return strings.Fields(`systemd-machined.service haproxy.service keepalived.service radvd.service lxc.service lxc-net.service
		lxc-monitord.service rtslib-fb-targetctl.service libvirt-guests.service iscsid.service iscsid.socket open-iscsi.service multipathd.service
		tgt.service systemd-networkd-wait-online.service systemd-udev-settle.service apt-daily.timer apt-daily-upgrade.timer
		dpkg-db-backup.timer e2scrub_all.timer fstrim.timer logrotate.timer`)
}

// uwsgiRecipe is what is changed in Debian's uwsgi files: few processes, and one thread where there is eventlet
// (greenlet.error: cannot switch to a different thread, or a worker that never answers again: Placement's). Keystone's
// plugin ends it where the kernel has no AppArmor. uwsgi closes a connection after every answer; it has to say so, or
// clients send the next request into it and read an EOF.
const uwsgiRecipe = "3"

func uwsgi(service, text string) string {
	threads := "1"
	if service == "keystone" {
		threads = "4"
	}
	for key, value := range map[string]string{"processes": "2", "threads": threads} {
		text = regexp.MustCompile(`(?m)^`+key+`\s*=.*$`).ReplaceAllString(text, key+" = "+value)
	}
	text = strings.ReplaceAll(text, ",apparmor", "")
	text = strings.TrimRight(text, "\n") + "\nadd-header = Connection: close\n"
	return regexp.MustCompile(`(?m)^apparmor-profile.*\n`).ReplaceAllString(text, "")
}

// writeConfiguration makes Debian's packages this cloud.
func (c *Cloud) writeConfiguration(ctx context.Context) error {
	tree, err := fs.Sub(files, "files")
	if err != nil {
		return err
	}
	contents := machine.ShieldFiles()
	err = fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(tree, path)
		contents[path] = string(text)
		return err
	})
	if err != nil {
		return err
	}
	inis, err := filepath.Glob(c.visible("etc", "*", "*-uwsgi.ini"))
	if err != nil {
		return err
	}
	for _, ini := range inis {
		text, err := os.ReadFile(ini)
		if err != nil {
			return err
		}
		service := filepath.Base(filepath.Dir(ini))
		contents[filepath.Join("etc", service, filepath.Base(ini))] = uwsgi(service, string(text))
	}
	if err := c.ownProvider(contents); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		path := c.visible(name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // it may be a link
			return err
		}
		if err := os.WriteFile(path, []byte(contents[name]), 0o644); err != nil {
			return err
		}
	}
	return c.writeUnits(ctx)
}

// ownProvider registers our driver under the names of Octavia's own.
func (c *Cloud) ownProvider(contents map[string]string) error {
	found, err := filepath.Glob(c.visible("usr/lib/python3/dist-packages/octavia-*.egg-info/entry_points.txt"))
	if err != nil || len(found) != 1 {
		return errors.Join(fmt.Errorf("octavia's entry points: found %v, want one file", found), err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		return err
	}
	changed := regexp.MustCompile(`(?m)^(amphora|octavia) = octavia\.api\.drivers\..*$`).ReplaceAllString(string(text), "$1 = jeroboam_octavia:Driver")
	contents[strings.TrimPrefix(found[0], c.visible())] = changed
	return nil
}

func (c *Cloud) writeUnits(ctx context.Context) error {
	for _, link := range []struct{ name, target string }{
		{"usr/lib/libvirt/libvirt_lxc.real", ""},
		{"usr/lib/libvirt/libvirt_lxc", "/usr/local/sbin/cloud"}, // emulator: this program looks at its own name
		{"etc/libvirt/hooks/lxc", "/usr/local/sbin/cloud"},
	} {
		path := c.visible(link.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if link.target == "" {
			if err := os.Rename(c.visible("usr/lib/libvirt/libvirt_lxc"), path); err != nil {
				return err
			}
			continue
		}
		if err := os.Symlink(link.target, path); err != nil {
			return err
		}
	}
	if err := os.Remove(c.visible("usr/share/dbus-1/system-services/org.freedesktop.machine1.service")); err != nil {
		return err
	}
	root := c.path("root")
	if err := c.holder().Run(ctx, append([]string{"systemctl", "--root", root, "--quiet", "enable"}, enabled()...)...); err != nil {
		return err
	}
	return c.holder().Run(ctx, append([]string{"systemctl", "--root", root, "--quiet", "mask"}, masked()...)...)
}

// makeFiles mounts the layers under a directory of this cloud's own, with the program that runs inside.
func (c *Cloud) makeFiles(ctx context.Context) error {
	layer, err := c.configured()
	if err != nil {
		return err
	}
	if err := c.mount(ctx, c.path("upper"), c.path("work"), layer, c.rootfs()); err != nil {
		return err
	}
	return copyFile(c.program(), c.visible("usr/local/sbin/cloud"), 0o755)
}

// start boots the container, to a systemd target or to what is usual.
func (c *Cloud) start(ctx context.Context, target string) error {
	init := "lxc.init.cmd = /lib/systemd/systemd"
	if target != "" {
		init += " --unit=" + target
	}
	config := machine.Container{
		Hostname: "cloud", Root: c.path("root"), Bridge: "br-cloud", Veth: "cloud", MAC: "00:16:3e:4a:43:0a",
		More: []string{
			init,
			// In cgroup v1 a container weighs as much as one process beside it; this one is thirty services and servers besides.
			"lxc.cgroup.cpu.shares = 16384",
			// Disks are files of the machine's file system: "down" finds loop devices by them.
			"lxc.mount.entry = " + c.path("disks", "instances") + " var/lib/nova/instances none bind,create=dir 0 0",
			"lxc.mount.entry = " + c.path("disks", "volumes") + " var/lib/cinder/volumes none bind,create=dir 0 0",
		},
	}.Config()
	dir := c.path("lxc", c.container())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o644); err != nil {
		return err
	}
	log := c.path("log", "lxc.log")
	if err := c.holder().Run(ctx, "lxc-start", "-P", c.path("lxc"), "-n", c.container(), "-o", log, "-l", "WARN"); err != nil {
		text, _ := os.ReadFile(log) // says why, if it is there
		return fmt.Errorf("%w\n%s", err, machine.Tail(text))
	}
	return nil
}

// attach is a command in the container.
func (c *Cloud) attach(ctx context.Context, args ...string) (*exec.Cmd, error) {
	return c.holder().Enter(ctx, append([]string{
		"lxc-attach", "-P", c.path("lxc"), "-n", c.container(), "--clear-env", "-v", "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
		"-v", "HOME=/root", "-v", "LANG=C.UTF-8", "--",
	}, args...)...)
}

// shell runs a line of shell in the container.
func (c *Cloud) shell(ctx context.Context, line string) error {
	cmd, err := c.attach(ctx, "sh", "-ec", line)
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, machine.Tail(out))
	}
	return nil
}

// stop lets the container end in an orderly way, so that its databases are whole.
func (c *Cloud) stop(ctx context.Context) error {
	return c.holder().Run(ctx, "lxc-stop", "-P", c.path("lxc"), "-n", c.container(), "-t", fmt.Sprint(int((2 * time.Minute).Seconds())))
}
