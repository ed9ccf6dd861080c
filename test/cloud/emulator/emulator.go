// Package emulator stands between Nova's libvirt driver and libvirt's LXC, whose containers lack what a Kubernetes node
// needs and what Nova has no option for. libvirt starts one controller process for a container; Exec is what it starts
// instead. It changes the domain that the controller is about to read, and becomes the controller.
//
//   - Capabilities: libvirt takes CAP_MKNOD and CAP_SYS_RESOURCE away, and runc then cannot start a pod.
//   - Cgroups: without systemd-machined libvirt leaves name=systemd, pids and unified where libvirtd itself is, so that
//     all servers' systemds would share one tree; each server gets its own.
//   - Process 1 is a script first (prelude): it makes a cgroup namespace, makes /proc/sys writable with the machine's
//     global sysctls shielded, and becomes the image's own init. So an image needs to know nothing of where it runs.
//
// Hook is libvirt's hook script for LXC: the device cgroup of a started server allows everything. Consoles reads
// servers' consoles.
package emulator

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

const (
	// Real is where libvirt's own controller is kept.
	Real  = "/usr/lib/libvirt/libvirt_lxc.real"
	state = "/run/libvirt/lxc"
)

// Exec prepares the server whose controller was to be started, and becomes its controller.
func Exec(args []string) error {
	name, err := domain(args)
	if err != nil {
		return err
	}
	for _, controller := range controllers() {
		if err := join(filepath.Join("/sys/fs/cgroup", controller), name); err != nil {
			return err
		}
	}
	path := filepath.Join(state, name+".xml")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed, err := change(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		return err
	}
	return syscall.Exec(Real, append([]string{Real}, args...), os.Environ())
}

// controllers are those in which libvirt makes no cgroup for a server.
func controllers() []string { return []string{"systemd", "pids", "unified"} }

func domain(args []string) (string, error) {
	i := slices.Index(args, "--name")
	if i < 0 || i+1 >= len(args) || strings.ContainsRune(args[i+1], '/') {
		return "", fmt.Errorf("no domain's name in %q", args)
	}
	return args[i+1], nil
}

// join puts this process, and so the server, into a cgroup of the server's own. A machine need not have the controller.
func join(controller, name string) error {
	if _, err := os.Stat(controller); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	dir := filepath.Join(controller, "machine", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, os.Getpid()), 0)
}

// change gives a domain all capabilities and the prelude as process 1.
func change(text string) (string, error) {
	const policy = "<capabilities policy='allow'/>"
	switch {
	case strings.Contains(text, policy):
	case strings.Contains(text, "<features>"):
		text = strings.Replace(text, "<features>", "<features>"+policy, 1)
	default:
		text = strings.Replace(text, "</os>", "</os>\n<features>"+policy+"</features>", 1)
	}
	if !strings.Contains(text, policy) {
		return "", errors.New("a domain without <os>")
	}
	init := regexp.MustCompile(`<init>([^<]*)</init>`)
	found := init.FindStringSubmatch(text)
	if found == nil {
		return "", errors.New("a domain without <init>")
	}
	if strings.Contains(text, "<initarg>") {
		return "", errors.New("a domain whose init has arguments")
	}
	var script strings.Builder
	if err := xml.EscapeText(&script, []byte(Prelude(found[1]))); err != nil {
		return "", err
	}
	with := "<init>/bin/sh</init><initarg>-c</initarg><initarg>" + script.String() + "</initarg>"
	return strings.Replace(text, found[0], with, 1), nil
}

// Prelude is what process 1 does before it becomes init. libvirt shows the whole machine's cgroup tree, and kubelet and
// systemd then disagree about where kubepods.slice is: hence the namespace and the controllers mounted anew. /sys stays
// read-only: with a writable one systemd-networkd waits for udev for ever. /dev/kmsg can be made only once the hook has
// run.
func Prelude(init string) string {
	var shield strings.Builder
	values := machine.Shield()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&shield, "shield %s %s\n", name, values[name])
	}
	return `exec unshare -C /bin/sh -c '
mount -o remount,rw /sys/fs/cgroup; mkdir -p /sys/fs/cgroup/pids
for d in /sys/fs/cgroup/*; do
[ -L $d ] && continue; c=${d##*/}; umount $d 2>/dev/null
case $c in
unified) mount -t cgroup2 cgroup2 $d;;
systemd) mount -t cgroup -o none,name=systemd cgroup $d;;
*) mount -t cgroup -o $c cgroup $d;;
esac
done
mount -o remount,rw,bind /proc/sys
mount -t tmpfs -o size=1m shield /mnt
shield() { [ -e /proc/sys/$1 ] || return; f=/mnt/$(echo $1 | tr / .); echo $2 > $f; mount --bind $f /proc/sys/$1; }
` + shield.String() + `umount -l /mnt
mount --make-rshared /
(i=0; until [ -e /dev/kmsg ] || mknod -m 644 /dev/kmsg c 1 11 2>/dev/null || [ $i -ge 300 ]; do i=$((i+1)); sleep 0.2; done) &
exec ` + init + `'`
}

// Hook is called with the domain's name and what happened to it.
func Hook(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("a hook has a domain and an operation, not %q", args)
	}
	switch args[1] {
	case "started":
		return allowDevices(args[0])
	case "release":
		return leave(args[0])
	}
	return nil
}

func allowDevices(name string) error {
	found, err := filepath.Glob("/sys/fs/cgroup/devices/machine/lxc-*-" + strings.NewReplacer("-", "?", "\\", "?").Replace(name) + ".libvirt-lxc/devices.allow")
	if err != nil {
		return err
	}
	for _, path := range found {
		if err := os.WriteFile(path, []byte("a"), 0); err != nil {
			return err
		}
	}
	return nil
}

// leave removes the cgroups that join made.
func leave(name string) error {
	var errs []error
	for _, controller := range controllers() {
		var dirs []string
		err := filepath.WalkDir(filepath.Join("/sys/fs/cgroup", controller, "machine", name), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil // not there is as good
		})
		errs = append(errs, err)
		slices.Reverse(dirs) // children first
		for _, dir := range dirs {
			errs = append(errs, os.Remove(dir))
		}
	}
	return errors.Join(errs...)
}
