package preflight_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/preflight"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// TestKernelsThatLackSomething finds what a container could not give itself.
func TestKernelsThatLackSomething(t *testing.T) {
	in := deploytest.Seed(t)
	name := in.Nodes[0].PhysicalHost
	in.Cilium.TunnelProtocol = "geneve"
	for _, tc := range []struct {
		reason string
		change func(*host.Facts)
		says   string
	}{
		{"all that is needed", func(f *host.Facts) {
			f.Modules = map[string]bool{"overlay": true, "br_netfilter": true, "nf_conntrack": true, "nf_tables": true, "geneve": true, "vxlan": true}
		}, ""},
		{"nobody can tell", func(f *host.Facts) { f.Modules = nil }, ""},
		{"Ubuntu 24.04 as it is installed", func(f *host.Facts) {
			f.ID, f.Version, f.Kernel, f.AppArmor = "ubuntu", "24.04", "6.8.0-86-generic", true
			f.Modules = map[string]bool{"overlay": true, "br_netfilter": true, "nf_conntrack": true, "nf_tables": true, "geneve": true, "vxlan": true}
		}, ""},
		{"Debian 13 as it is installed, and a controller that nobody needs", func(f *host.Facts) {
			f.ID, f.Version, f.Kernel, f.AppArmor = "debian", "13", "6.12.48+deb13-amd64", true
			f.Controllers = append(f.Controllers, "dmem")
		}, ""},
		{"cgroup_disable=memory", func(f *host.Facts) {
			f.Controllers = []string{"cpuset", "cpu", "io", "hugetlb", "pids", "rdma", "misc"}
		}, "has no controller memory, which Kubernetes requires of a node: take cgroup_disable=memory out of"},
		{"hugetlb and io are optional", func(f *host.Facts) { f.Controllers = []string{"cpuset", "cpu", "memory", "pids"} }, ""},
		{"a named hierarchy of cgroup v1, as containers of old systems want it", func(f *host.Facts) {
			f.CgroupV1 = []string{"/sys/fs/cgroup/systemd"}
		}, "cgroup v1 is mounted at /sys/fs/cgroup/systemd beside the unified hierarchy"},
		{"cgroup v1 alone has other files", func(f *host.Facts) { f.CgroupV2, f.Controllers = false, nil }, ""},
		{"a module that is not needed", func(f *host.Facts) { f.Modules = map[string]bool{"vxlan": false} }, ""},
		{"Cilium's tunnel", func(f *host.Facts) { f.Modules = map[string]bool{"geneve": false} }, "its kernel 6.1.0 has no module geneve"},
		{"kube-proxy's rules", func(f *host.Facts) { f.Modules = map[string]bool{"nf_tables": false} }, "has no module nf_tables"},
		{"containerd's snapshots", func(f *host.Facts) { f.Modules = map[string]bool{"overlay": false} }, "has no module overlay"},
		{"kubelet's controllers", func(f *host.Facts) { f.Controllers = []string{"cpu", "memory", "pids"} }, "has no controller cpuset"},
	} {
		f := deploytest.Facts(in)
		h := f[name]
		tc.change(&h)
		f[name] = h
		err := preflight.Check(in, f)
		if ok := err == nil && tc.says == "" || err != nil && tc.says != "" && strings.Contains(err.Error(), "host "+name+": ") && strings.Contains(err.Error(), tc.says); !ok {
			t.Errorf("%s: %v", tc.reason, err)
		}
	}
}

// TestReport shows what each host is, who was not reached, and no text of a host's files.
func TestReport(t *testing.T) {
	in := deploytest.Seed(t)
	f := deploytest.Facts(in)
	first, second := in.Nodes[0].PhysicalHost, in.Nodes[1].PhysicalHost
	h := f[first]
	h.Name, h.CPUs, h.MemoryTotal, h.Modules, h.AppArmor = "Debian GNU/Linux 12", 8, 64<<30, map[string]bool{"overlay": true, "geneve": false}, true
	h.Swap, h.Fragments, h.LXCBase = []string{"/dev/sda2"}, map[string]string{"stats": "password s3cr3t"}, "s3cr3t"
	f[first] = h
	delete(f, second)
	r := preflight.ReportOf(in, f, map[string]error{second: errors.New("host " + second + ": no route to host")})
	want := preflight.Host{
		Name: first, System: "Debian GNU/Linux 12", Kernel: "6.1.0", Cgroups: "v2", Controllers: h.Controllers, AppArmor: true, Modules: []string{"-geneve", "overlay"},
		CPUs: 8, Memory: 64 << 30, Free: 100 << 30, Clock: "0s", Nodes: []string{in.Nodes[0].Name},
	}
	if diff := cmp.Diff(want, r.Hosts[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "s3cr3t") {
		t.Error("a text of the host is in the report")
	}
	all := strings.Join(r.Problems, "\n")
	for _, part := range []string{"swap is on", "no module geneve", second + ": no route to host"} {
		if !strings.Contains(all, part) {
			t.Errorf("nothing about %q in:\n%s", part, all)
		}
	}
}

// A host whose facts cannot be had is told of, and the others are shown; clocks are compared here too.
func TestReportWithoutOneHost(t *testing.T) {
	in := deploytest.Seed(t)
	first, second := in.Nodes[0].PhysicalHost, in.Nodes[1].PhysicalHost
	hosts := site.Hosts{}
	for _, name := range []string{first, second} {
		hosts[name] = &deploytest.Agent{Host: name, Answer: func(string, string, json.RawMessage) (any, error) {
			if name == second {
				return nil, errors.New(second + ": its disk is full")
			}
			f := deploytest.Facts(in)[first]
			f.Now = time.Now().Add(-time.Hour)
			return f, nil
		}}
	}
	o := site.LookOutside(t.Context(), hosts, nil)
	r := preflight.ReportOf(in, o.Facts, o.Lost)
	if len(r.Hosts) != 2 || r.Hosts[0].Lost != "" || r.Hosts[1].Lost != second+": its disk is full" {
		t.Errorf("%+v", r.Hosts)
	}
	if all := strings.Join(r.Problems, "\n"); !strings.Contains(all, first+": its clock is 1h0m0s behind") || !strings.Contains(all, "its disk is full") {
		t.Errorf("problems:\n%s", all)
	}
}
