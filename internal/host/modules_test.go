package host_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// TestKernelOfAHost reads what kernels of real hosts tell: one of Ubuntu's images without linux-modules-extra,
// Debian's, and one without modules.
func TestKernelOfAHost(t *testing.T) {
	for _, tc := range []struct {
		name        string
		files       map[string]string
		modules     map[string]bool
		controllers []string
		armor, v2   bool
		v1          []string
	}{
		{
			name: "Ubuntu 24.04, a cloud's kernel",
			files: map[string]string{
				"proc/sys/kernel/osrelease": "6.8.0-41-kvm\n", "proc/modules": "overlay 212992 0 - Live 0x0\n", "proc/filesystems": "nodev\tproc\n\text4\n",
				"lib/modules/6.8.0-41-kvm/modules.builtin": "kernel/net/netfilter/nf_conntrack.ko\nkernel/net/netfilter/nf_tables.ko\n",
				"lib/modules/6.8.0-41-kvm/modules.dep":     "kernel/fs/overlayfs/overlay.ko.zst:\nkernel/net/bridge/br_netfilter.ko.zst: kernel/net/bridge/bridge.ko.zst\n",
				"sys/fs/cgroup/cgroup.controllers":         "cpuset cpu io memory hugetlb pids rdma misc\n", "sys/module/apparmor/parameters/enabled": "Y\n",
			},
			modules:     map[string]bool{"overlay": true, "br_netfilter": true, "nf_conntrack": true, "nf_tables": true, "geneve": false, "vxlan": false},
			controllers: []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"}, armor: true, v2: true,
		},
		{
			name:    "booted with cgroup_disable=memory", // which the plan has to tell, and not to take for the older hierarchy
			files:   map[string]string{"proc/sys/kernel/osrelease": "6.1.102\n", "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io pids\n"},
			modules: map[string]bool{}, controllers: []string{"cpuset", "cpu", "io", "pids"}, v2: true,
		},
		{
			name: "Ubuntu 22.04, with the named hierarchy that containers of old systems want",
			files: map[string]string{
				"proc/sys/kernel/osrelease": "5.15.0-119-generic\n", "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma misc\n",
				"proc/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot 0 0\n" +
					"bpf /sys/fs/bpf bpf rw,nosuid,nodev,noexec,relatime,mode=700 0 0\n" +
					"cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,xattr,name=systemd 0 0\ncgroup /srv/net_cls cgroup rw,relatime,net_cls 0 0\n",
			},
			modules: map[string]bool{}, controllers: []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"}, v2: true,
			v1: []string{"/sys/fs/cgroup/systemd"},
		},
		{
			name: "a unified hierarchy all of whose controllers are elsewhere",
			files: map[string]string{
				"proc/sys/kernel/osrelease": "6.1.102\n", "sys/fs/cgroup/cgroup.controllers": "\n", "sys/fs/cgroup/memory/tasks": "1\n",
				"proc/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n",
			},
			modules: map[string]bool{}, v2: true, v1: []string{"/sys/fs/cgroup/memory"},
		},
		{
			name: "booted with systemd.unified_cgroup_hierarchy=0",
			files: map[string]string{
				"proc/sys/kernel/osrelease": "5.15.0-119-generic\n", "sys/fs/cgroup/memory/tasks": "1\n", "sys/fs/cgroup/unified/cgroup.controllers": "\n",
				"proc/mounts": "tmpfs /sys/fs/cgroup tmpfs ro 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n",
			},
			modules: map[string]bool{},
		},
		{
			name: "Debian 12",
			files: map[string]string{
				"proc/sys/kernel/osrelease": "6.1.0-25-amd64\n", "lib/modules/6.1.0-25-amd64/modules.builtin": "",
				"lib/modules/6.1.0-25-amd64/modules.dep": "kernel/fs/overlayfs/overlay.ko:\nkernel/net/bridge/br_netfilter.ko:\nkernel/net/netfilter/nf_conntrack.ko:\nkernel/net/netfilter/nf_tables.ko:\nkernel/drivers/net/geneve.ko:\nkernel/drivers/net/vxlan/vxlan.ko:\n",
			},
			modules: map[string]bool{"overlay": true, "br_netfilter": true, "nf_conntrack": true, "nf_tables": true, "geneve": true, "vxlan": true},
		},
		{
			name:    "a kernel of which there is no list",
			files:   map[string]string{"proc/sys/kernel/osrelease": "6.1.102\n", "proc/filesystems": "nodev\toverlay\n", "proc/sys/net/bridge/bridge-nf-call-iptables": "1\n"},
			modules: map[string]bool{"overlay": true, "br_netfilter": true},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range tc.files {
				path := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			m := &host.Machine{Root: root, Now: time.Now, Exec: func(context.Context, host.Command) (host.Output, error) { return host.Output{}, nil }}
			f, err := host.Look(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.modules, f.Modules); diff != "" {
				t.Errorf("modules (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.controllers, f.Controllers); diff != "" && len(tc.controllers)+len(f.Controllers) > 0 {
				t.Errorf("controllers (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.v1, f.CgroupV1); diff != "" {
				t.Errorf("cgroup v1 (-want +got):\n%s", diff)
			}
			if f.AppArmor != tc.armor || f.CgroupV2 != tc.v2 {
				t.Errorf("AppArmor: %v, unified hierarchy: %v", f.AppArmor, f.CgroupV2)
			}
		})
	}
}
