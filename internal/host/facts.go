package host

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Facts are what preflight judges a machine by.
type Facts struct {
	Hostname string `json:"hostname"`
	// Agent is the name of the program that tells this, below Agents. Containers have it under the same name.
	Agent string `json:"agent"`
	// ID, Version and Name are of /etc/os-release; Kernel is uname -r.
	ID      string `json:"id"`
	Version string `json:"version"`
	Name    string `json:"name"`
	Kernel  string `json:"kernel"`
	Machine string `json:"machine"`
	// Swap lists swap areas in use.
	Swap []string `json:"swap"`
	// CgroupV2 says that the unified hierarchy is where kubelet looks for cgroups.
	CgroupV2 bool `json:"cgroupV2"`
	// Controllers are those of the unified hierarchy; CgroupV1 is where hierarchies of cgroup v1 are mounted beside it.
	Controllers []string `json:"controllers"`
	CgroupV1    []string `json:"cgroupV1,omitempty"`
	// AppArmor says that the kernel confines programs by profiles.
	AppArmor bool `json:"appArmor"`
	// Modules are modules of the kernel that nodes need: there or to be loaded, or not; without those of which nobody can
	// tell.
	Modules map[string]bool `json:"modules"`
	// Free is the free space in bytes where containers and what is brought for them are kept (the lesser, if these are two
	// file systems), FreeAt where that is; MemoryTotal is in bytes.
	Free        uint64 `json:"free"`
	FreeAt      string `json:"freeAt"`
	MemoryTotal uint64 `json:"memoryTotal"`
	CPUs        int    `json:"cpus"`
	// Now is the machine's clock when it began to look around, and Took how long that took.
	Now  time.Time     `json:"now"`
	Took time.Duration `json:"took"`
	// Run is the run that holds the machine, nil if none does.
	Run *Hold `json:"run,omitempty"`
	// Clock is how the deployer found it.
	Clock Clock `json:"-"`
	// Interfaces are names with addresses in CIDR notation.
	Interfaces map[string][]string `json:"interfaces"`
	// Routes are the destinations of IPv4 routes in CIDR notation, by interface.
	Routes map[string][]string `json:"routes"`
	// Listening are TCP ports in use, "address:port".
	Listening []string `json:"listening"`
	// Programs are those of the needed ones that exist.
	Programs map[string]bool `json:"programs"`
	// Containers are LXC containers by name: running or not.
	Containers map[string]bool `json:"containers"`
	// Made are those of them that jeroboam made, also when their removal was not finished.
	Made map[string]bool `json:"made"`
	Root bool            `json:"root"`
	// Stores are what containers that run have for a root file system, by container.
	Stores map[string]RootFS `json:"stores"`
	// LXCBase is the text of OpenStack-Ansible's /etc/lxc/lxc-openstack.conf, "" if there is none.
	LXCBase string `json:"lxcBase"`
	// LXCArchive is the root file system that OpenStack-Ansible keeps for new containers of this host's own release, where
	// LXC's download template looks for it; "" if there is none.
	LXCArchive string `json:"lxcArchive"`
	// Fragments are haproxy's fragments by file name.
	Fragments map[string]string `json:"fragments"`
}

// RootFS is a container's root file system: Kind is LXC's word for its store (dir, overlay, lvm, zfs), Free the free
// space in bytes.
type RootFS struct {
	Kind string `json:"kind"`
	Free uint64 `json:"free"`
}

// rootFS looks at the one of a container that runs.
func rootFS(m *Machine, name string, pid int) RootFS {
	out := RootFS{Kind: "dir"}
	for line := range strings.Lines(m.read((&Container{Name: name}).dir() + "/config")) {
		if key, value, _ := strings.Cut(normal(line), " = "); key == "lxc.rootfs.path" || key == "lxc.rootfs" {
			if kind, _, ok := strings.Cut(value, ":"); ok {
				out.Kind = strings.Replace(kind, "overlayfs", "overlay", 1) // one store with two names (lxc.container.conf(5))
			}
		}
	}
	var st syscall.Statfs_t
	if syscall.Statfs(m.path(fmt.Sprintf("/proc/%d/root", pid)), &st) == nil {
		out.Free = st.Bavail * uint64(st.Bsize)
	}
	return out
}

// Clock is how far a machine's clock is ahead of another's (behind it, if negative), give or take Within.
type Clock struct{ Ahead, Within time.Duration }

// Off is how far it is away at least.
func (c Clock) Off() time.Duration { return max(c.Ahead.Abs()-c.Within, 0) }

// Look gathers the facts of a machine.
func Look(ctx context.Context, m *Machine) (Facts, error) {
	f, err := look(ctx, m)
	f.Took = m.Now().Sub(f.Now)
	return f, err
}

func look(ctx context.Context, m *Machine) (Facts, error) {
	f := Facts{
		Now: m.Now(), Root: os.Geteuid() == 0, Interfaces: map[string][]string{}, Programs: map[string]bool{}, Containers: map[string]bool{},
		Fragments: map[string]string{}, Made: map[string]bool{}, Stores: map[string]RootFS{},
	}
	f.Agent, f.Run = AgentName(), holder(m)
	f.Hostname = strings.TrimSpace(m.read("/proc/sys/kernel/hostname"))
	f.Kernel = strings.TrimSpace(m.read("/proc/sys/kernel/osrelease"))
	codename := ""
	for line := range strings.Lines(m.read("/etc/os-release")) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		v = strings.Trim(v, `"`)
		switch k {
		case "ID":
			f.ID = v
		case "VERSION_CODENAME":
			codename = v
		case "VERSION_ID":
			f.Version = v
		case "PRETTY_NAME":
			f.Name = v
		}
	}
	for n, line := range strings.Split(m.read("/proc/swaps"), "\n") {
		if fields := strings.Fields(line); n > 0 && len(fields) > 0 {
			f.Swap = append(f.Swap, fields[0])
		}
	}
	addCgroups(m, &f)
	f.AppArmor = strings.TrimSpace(m.read("/sys/module/apparmor/parameters/enabled")) == "Y"
	f.Modules = modules(m, f.Kernel)
	f.Free, f.FreeAt = freeSpace(m, "/var/lib/lxc", Directory)
	for line := range strings.Lines(m.read("/proc/meminfo")) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "MemTotal:" {
			kb, _ := strconv.ParseUint(fields[1], 10, 64) // the kernel's own number
			f.MemoryTotal = kb << 10
		}
	}
	f.CPUs = strings.Count(m.read("/proc/cpuinfo"), "processor\t")
	f.LXCArchive = baseContainer(m, f.ID, f.Version, codename)
	f.LXCBase = m.read("/etc/lxc/lxc-openstack.conf")
	entries, _ := os.ReadDir(m.path("/etc/haproxy/conf.d")) // no directory: no fragments
	for _, e := range entries {
		f.Fragments[e.Name()] = m.read("/etc/haproxy/conf.d/" + e.Name())
	}
	addInterfaces(&f)
	f.Routes = routes(m.read("/proc/net/route"))
	f.Listening = append(listening(m.read("/proc/net/tcp")), listening(m.read("/proc/net/tcp6"))...)
	for _, p := range []string{"lxc-start", "lxc-attach", "lxc-info", "systemctl", "haproxy", "tar", "swapon"} {
		for _, dir := range []string{"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/", "/usr/local/sbin/", "/usr/local/bin/"} {
			f.Programs[p] = f.Programs[p] || m.exists(dir+p)
		}
	}
	err := addContainers(ctx, m, &f)
	return f, err
}

// baseContainer is where the root file system for new containers is. OpenStack-Ansible 2024.1 and later keeps it by the
// distribution's major version, 12 or 24 (lxc_hosts, tasks/lxc_cache.yml), as it did before on Debian (lxc_cache_map);
// LXC's download template knows releases by their code name.
func baseContainer(m *Machine, id, version, codename string) string {
	major, _, _ := strings.Cut(version, ".")
	for _, release := range []string{major, codename} {
		if at := "/var/cache/lxc/download/" + id + "/" + release + "/" + runtime.GOARCH + "/default/rootfs.tar.xz"; release != "" && m.exists(at) {
			return at
		}
	}
	return ""
}

// addContainers looks for LXC's containers.
func addContainers(ctx context.Context, m *Machine, f *Facts) error {
	if !f.Programs["lxc-info"] {
		return nil
	}
	entries, _ := os.ReadDir(m.path("/var/lib/lxc")) // no directory: no containers
	for _, e := range entries {
		f.Made[e.Name()] = MadeHere(m, e.Name())
		if !m.exists("/var/lib/lxc/" + e.Name() + "/config") {
			continue
		}
		pid, err := containerPID(ctx, m, e.Name())
		if err != nil {
			return err
		}
		f.Containers[e.Name()] = pid != 0
		if pid != 0 {
			f.Stores[e.Name()] = rootFS(m, e.Name(), pid)
		}
	}
	return nil
}

// freeSpace is the least that is free at one of the directories, and at which. What is not there yet will be where its
// parent is.
func freeSpace(m *Machine, dirs ...string) (uint64, string) {
	least, at := uint64(math.MaxUint64), ""
	for _, dir := range dirs {
		there := dir
		for !m.exists(there) && there != "/" {
			there = filepath.Dir(there)
		}
		var st syscall.Statfs_t
		if syscall.Statfs(m.path(there), &st) == nil && st.Bavail*uint64(st.Bsize) < least {
			least, at = st.Bavail*uint64(st.Bsize), dir
		}
	}
	if at == "" {
		return 0, ""
	}
	return least, at
}

func addCgroups(m *Machine, f *Facts) {
	const root = "/sys/fs/cgroup/"
	f.Controllers = strings.Fields(m.read(root + "cgroup.controllers"))
	f.CgroupV2 = m.exists(root + "cgroup.controllers") // only the unified hierarchy has it, and kubelet looks nowhere else
	for line := range strings.Lines(m.read("/proc/mounts")) {
		if fields := strings.Fields(line); f.CgroupV2 && len(fields) > 2 && fields[2] == "cgroup" && strings.HasPrefix(fields[1], root) {
			f.CgroupV1 = append(f.CgroupV1, fields[1])
		}
	}
}

func addInterfaces(f *Facts) {
	all, err := net.Interfaces()
	if err != nil {
		return // preflight says that the management address is nowhere
	}
	for _, i := range all {
		addrs, _ := i.Addrs() // the same
		f.Interfaces[i.Name] = []string{}
		for _, a := range addrs {
			f.Interfaces[i.Name] = append(f.Interfaces[i.Name], a.String())
		}
	}
}

// routes reads /proc/net/route: hexadecimal, little endian.
func routes(text string) map[string][]string {
	out := map[string][]string{}
	for n, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if n == 0 || len(f) < 8 {
			continue
		}
		dst, mask := hexAddress(f[1]), hexAddress(f[7])
		if dst == nil || mask == nil {
			continue
		}
		out[f[0]] = append(out[f[0]], (&net.IPNet{IP: dst, Mask: net.IPMask(mask)}).String())
	}
	return out
}

func hexAddress(s string) net.IP {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return nil
	}
	for i := 0; i < len(b); i += 4 { // each word is in the machine's order
		b[i], b[i+1], b[i+2], b[i+3] = b[i+3], b[i+2], b[i+1], b[i]
	}
	return b
}

// listening reads /proc/net/tcp and tcp6.
func listening(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		const listen = "0A"
		if len(f) < 4 || f[3] != listen {
			continue
		}
		addr, port, ok := strings.Cut(f[1], ":")
		n, err := strconv.ParseUint(port, 16, 16)
		if ip := hexAddress(addr); ok && err == nil && ip != nil {
			out = append(out, net.JoinHostPort(ip.String(), strconv.FormatUint(n, 10)))
		}
	}
	return out
}
