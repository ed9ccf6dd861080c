package node_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

var update = golden.Flag()

func TestFilesOfANode(t *testing.T) {
	in := deploytest.Seed(t)
	w := deploytest.Want(t, in, deploytest.Facts(in))
	var text strings.Builder
	for _, i := range w.Items {
		if i.File != nil && i.File.Content != "" && (i.Place == in.Nodes[0].Name || i.Place == in.Nodes[0].PhysicalHost) {
			fmt.Fprintf(&text, "## %s %s\n%s\n", i.Group, i.File.Path, i.File.Content)
		}
		if i.Container != nil && i.Container.Name == in.Nodes[0].Name {
			fmt.Fprintf(&text, "## lxc config\n%s\n", i.Thing(nil).Want["config"])
			for _, f := range i.Container.Files {
				fmt.Fprintf(&text, "## rootfs %s\n%s%s\n", f.Path, f.Content, f.Link)
			}
		}
	}
	golden.Compare(t, *update, "node.txt", text.String())
}

func TestCgroupV1IsToldToKubelet(t *testing.T) {
	in := deploytest.Seed(t)
	f := deploytest.Facts(in)
	for name, h := range f {
		h.CgroupV2 = false
		f[name] = h
	}
	text, err := json.Marshal(deploytest.Want(t, in, f).Items)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "failCgroupV1: false") {
		t.Error("kubelet does not learn that it runs on cgroup v1")
	}
}

// kubeadm's verification of the system ends with "failed to parse kernel config" wherever there is no /boot/config-*,
// and a container has none, whatever the hierarchy (kubernetes#96081).
func TestKubeadmDoesNotAskAContainerForTheKernelsConfiguration(t *testing.T) {
	in := deploytest.Seed(t)
	for _, v2 := range []bool{true, false} {
		f := deploytest.Facts(in)
		for name, h := range f {
			h.CgroupV2 = v2
			f[name] = h
		}
		for _, i := range deploytest.Want(t, in, f).Items {
			if i.File != nil && i.File.Path == host.KubeadmConfig && !strings.Contains(i.File.Content, "\n  - SystemVerification\n") {
				t.Errorf("%s, unified hierarchy %v: kubeadm would refuse to run", i.Place, v2)
			}
		}
	}
}

// TestOneNetwork: a bundle with Cilium takes the bridge away, one without Cilium's configuration; either is a deletion,
// which has to be allowed.
func TestOneNetwork(t *testing.T) {
	in := deploytest.Seed(t)
	paths := func(b site.Bundle) (there, gone []string) {
		w, err := deploy.Want(in, b, deploytest.Facts(in), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range w.Items {
			if i.File != nil && i.Place == in.Nodes[0].Name && strings.HasPrefix(i.File.Path, "/etc/cni/net.d/") {
				if i.File.Gone {
					gone = append(gone, i.File.Path)
				} else {
					there = append(there, i.File.Path)
				}
			}
			if i.File != nil && i.File.Path == "/etc/systemd/system/jeroboam-pod-routes.service" {
				for what, line := range map[string]string{
					"there is no route to services": "replace 10.96.0.0/12 dev",
					"a node that boots has its address after the unit starts, which then fails (Invalid prefsrc address)": "\nRestart=on-failure\nRestartSec=1\n",
					"systemd gives up after five times": "\nStartLimitIntervalSec=0\n",
				} {
					if !strings.Contains(i.File.Content, line) {
						t.Errorf("%s: there is no %q in\n%s", what, line, i.File.Content)
					}
				}
			}
		}
		return there, gone
	}
	const bridge, cilium = "/etc/cni/net.d/10-jeroboam.conflist", "/etc/cni/net.d/05-cilium.conflist"
	b := deploytest.Bundle()
	b.Components = []site.Component{{Name: site.Cilium}}
	there, gone := paths(deploytest.Bundle())
	if diff := cmp.Diff([][]string{{bridge}, {cilium}}, [][]string{there, gone}); diff != "" {
		t.Error(diff)
	}
	there, gone = paths(b)
	if diff := cmp.Diff([][]string{nil, {bridge}}, [][]string{there, gone}); diff != "" {
		t.Error(diff)
	}
}
