package deploy_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

var update = flag.Bool("update", false, "write the golden files")

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// seed is the intent of the document Jeroboam started from, on three hosts.
func seed(t *testing.T) intent.Intent {
	t.Helper()
	opts := intent.Options{
		Config: "../osa/testdata/oracle/ha3/deploy", Environment: "../osa/testdata/base/30.1.5", System: "testdata/nowhere",
		HostFacts: map[string]map[string]string{},
	}
	in, _, err := intent.Read(opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range in.NeedFacts {
		opts.HostFacts[name] = map[string]string{"hostname": name, "os_family": "Debian", "architecture": "x86_64"}
	}
	in, found, err := intent.Read(opts)
	if err != nil || found.Err() != nil {
		t.Fatal(err, found.Err())
	}
	in.Versions.Kubernetes = "1.36.4"
	return in
}

func blob(s string) string { return "sha256:" + strings.Repeat(s, 64/len(s)) }

func bundle() deploy.Bundle {
	return deploy.Bundle{
		Programs: []deploy.Program{
			{Name: "containerd", Path: "/usr/bin/containerd", Digest: blob("a")},
			{Name: "kubeadm", Path: "/usr/bin/kubeadm", Digest: blob("b")},
			{Name: "kubelet", Path: "/usr/bin/kubelet", Digest: blob("c")},
		},
		Images: []host.Image{{Ref: "registry.k8s.io/pause:3.10.2", Manifest: blob("d"), Blobs: []string{blob("d"), blob("e")}}},
		RootFS: blob("f"),
		Components: []deploy.Component{{Name: "network", Manifest: []byte(`apiVersion: apps/v1
kind: DaemonSet
metadata: {name: net, namespace: kube-system}
---
apiVersion: v1
kind: Namespace
metadata: {name: net}
`)}},
		Versions: map[string]string{"kubernetes": "1.36.4", "pause-image": "registry.k8s.io/pause:3.10.2", "etcd-tag": "3.6.16-0", "coredns-tag": "v1.14.0"},
	}
}

func facts(in intent.Intent) map[string]host.Facts {
	out := map[string]host.Facts{}
	for _, h := range in.Hosts {
		out[h.Name] = host.Facts{
			ID: "debian", Version: "12", Kernel: "6.1.0", CgroupV2: true, Root: true, Now: now, Free: 100 << 30,
			Programs:   map[string]bool{"lxc-start": true, "lxc-attach": true, "lxc-info": true, "tar": true, "systemctl": true, "haproxy": true},
			Interfaces: map[string][]string{"br-mgmt": {h.ManagementAddress + "/22", in.VIPs.Internal.Address + "/32"}, "lxcbr0": {"10.0.3.1/24"}},
			Containers: map[string]bool{},
		}
	}
	return out
}

func want(t *testing.T, in intent.Intent, f map[string]host.Facts, gone ...string) deploy.Wanted {
	t.Helper()
	w, err := deploy.Want(in, bundle(), f, gone)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// converged is the world as Wanted has it.
func converged(w deploy.Wanted) deploy.World {
	world := deploy.World{Closed: map[string]bool{}, Nodes: map[string]host.Node{}}
	for _, i := range w.Items {
		if i.Thing(nil).Want == nil { // it is not to be there
			world.Items = append(world.Items, nil)
			continue
		}
		have := plan.Facts{}
		for k, v := range i.Thing(nil).Want {
			have[k] = v
		}
		for k, v := range i.Thing(have).Want {
			have[k] = v
		}
		if len(have) == 0 {
			have = nil // there is nothing, and there should be nothing
		}
		world.Items = append(world.Items, have)
	}
	var members []host.EtcdMember
	for n, node := range w.Intent.Nodes {
		members = append(members, host.EtcdMember{ID: fmt.Sprint(n), Name: node.NodeName, PeerURLs: []string{"https://" + node.NodeIP + ":2380"}})
	}
	world.Cluster = deploy.Cluster{Reachable: true, Initialised: true, Version: w.Intent.Versions.Kubernetes, Nodes: map[string]corev1.Node{}}
	for _, node := range w.Intent.Nodes {
		v := "v" + w.Intent.Versions.Kubernetes
		world.Nodes[node.Name] = host.Node{
			AdminConf: true, KubeletConf: true, EtcdData: true, Ready: "ok", Etcd: "ok", Members: members, CA: "sha256:x",
			Server:       "https://" + w.Intent.Kubernetes.ControlPlaneHost + ":6443",
			StaticPods:   map[string]string{"etcd": "3.6.16-0", "kube-apiserver": v, "kube-controller-manager": v, "kube-scheduler": v},
			Certificates: []host.Certificate{{Path: "/etc/kubernetes/pki/apiserver.crt", Until: now.Add(300 * 24 * time.Hour)}},
		}
		labels := map[string]string{"node-role.kubernetes.io/control-plane": ""}
		for k, v := range node.Labels {
			labels[k] = v
		}
		world.Cluster.Nodes[node.NodeName] = corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node.NodeName, Labels: labels}}
	}
	return world
}

// empty is a world with nothing in it.
func empty(w deploy.Wanted) deploy.World {
	world := deploy.World{Items: make([]plan.Facts, len(w.Items)), Closed: map[string]bool{}, Nodes: map[string]host.Node{}}
	for _, n := range w.Intent.Nodes {
		world.Closed[n.Name] = true
	}
	return world
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", name, diff)
	}
}

func TestPlanOfEmptyHosts(t *testing.T) {
	in := seed(t)
	w := want(t, in, facts(in))
	var text strings.Builder
	if err := plan.WriteText(&text, deploy.Diff(w, empty(w), now), true); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan-empty.txt", text.String())
}

func TestFilesOfANode(t *testing.T) {
	in := seed(t)
	w := want(t, in, facts(in))
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
	golden(t, "node.txt", text.String())
}

func TestNothingToDo(t *testing.T) {
	in := seed(t)
	f := facts(in)
	w := want(t, in, f)
	p := deploy.Diff(w, converged(w), now)
	if !p.Empty() {
		t.Errorf("a converged world has changes: %s\n%+v", plan.Summary(p), p.Changes)
	}
	w.Bundle.Components = nil
	if got := deploy.Judges(w, converged(w)); len(plan.Judged(p, got...).Findings) != 0 {
		t.Error("judges find something in an empty plan")
	}
}

// only gives the changes as short lines.
func only(p plan.Plan) []string {
	var out []string
	for _, c := range p.Changes {
		out = append(out, fmt.Sprintf("%s: %s %s %s", c.Place, c.Action, c.Kind, c.Name))
	}
	return out
}

func TestDiff(t *testing.T) {
	in := seed(t)
	a, b, c := in.Nodes[0], in.Nodes[1], in.Nodes[2]
	tests := []struct {
		reason string
		spoil  func(w deploy.Wanted, world *deploy.World)
		gone   []string
		want   []string
		blocks []string
	}{
		{
			reason: "a file changed by hand is that drift and nothing else",
			spoil: func(w deploy.Wanted, world *deploy.World) {
				for i, item := range w.Items {
					if item.Place == b.Name && item.File != nil && item.File.Path == "/etc/crictl.yaml" {
						world.Items[i]["content"] = "something else\n"
					}
				}
			},
			want: []string{b.Name + ": update file /etc/crictl.yaml"},
		},
		{
			reason: "a node that was never touched joins",
			spoil: func(_ deploy.Wanted, world *deploy.World) {
				world.Nodes[c.Name] = host.Node{}
				remove(world, c.NodeName)
			},
			want: []string{c.Name + ": run kubeadm join", c.Name + ": update Node " + c.NodeName},
		},
		{
			reason: "a join that was killed while its member was a learner begins again",
			spoil: func(_ deploy.Wanted, world *deploy.World) {
				for name, n := range world.Nodes {
					n.Members = append([]host.EtcdMember{}, n.Members...)
					n.Members[2].Learner = true
					world.Nodes[name] = n
				}
				delete(world.Cluster.Nodes, c.NodeName)
			},
			want: []string{c.Name + ": run kubeadm join", c.Name + ": update Node " + c.NodeName},
		},
		{
			reason: "a member that only does not serve is left in peace",
			spoil: func(_ deploy.Wanted, world *deploy.World) {
				n := world.Nodes[c.Name]
				n.Ready, n.Etcd, n.Members = "connection refused", "connection refused", nil
				world.Nodes[c.Name] = n
			},
		},
		{
			reason: "a kubeadm init that was killed goes on",
			spoil: func(_ deploy.Wanted, world *deploy.World) {
				world.Cluster = deploy.Cluster{}
				world.Nodes = map[string]host.Node{a.Name: {AdminConf: true, StaticPods: map[string]string{"etcd": "3.6.16-0"}}}
			},
			want: []string{
				a.Name + ": run kubeadm init", a.Name + ": update Node " + a.NodeName, b.Name + ": run kubeadm join",
				b.Name + ": update Node " + b.NodeName, c.Name + ": run kubeadm join", c.Name + ": update Node " + c.NodeName,
			},
		},
		{
			reason: "a cluster whose API server is down everywhere is not made anew",
			spoil: func(_ deploy.Wanted, world *deploy.World) {
				world.Cluster = deploy.Cluster{}
				for name, n := range world.Nodes {
					n.Ready, n.Etcd, n.Members = "no", "no", nil
					world.Nodes[name] = n
				}
			},
		},
		{
			reason: "another version is an upgrade, which restarts etcd",
			spoil: func(_ deploy.Wanted, world *deploy.World) {
				for name, n := range world.Nodes {
					n.StaticPods = map[string]string{"etcd": "x", "kube-apiserver": "v1.36.3", "kube-controller-manager": "v1.36.3", "kube-scheduler": "v1.36.3"}
					world.Nodes[name] = n
				}
			},
			want:   []string{a.Name + ": run kubeadm upgrade", b.Name + ": run kubeadm upgrade", c.Name + ": run kubeadm upgrade"},
			blocks: []string{"restart", "restart", "restart"},
		},
		{
			reason: "two minor versions at once are refused",
			spoil: func(_ deploy.Wanted, world *deploy.World) {
				n := world.Nodes[a.Name]
				n.StaticPods = map[string]string{"etcd": "x", "kube-apiserver": "v1.34.3", "kube-controller-manager": "", "kube-scheduler": ""}
				world.Nodes[a.Name] = n
			},
			want:   []string{a.Name + ": run kubeadm upgrade"},
			blocks: []string{"downgrade", "restart"},
		},
		{
			reason: "a certificate that ends soon is renewed",
			spoil: func(_ deploy.Wanted, world *deploy.World) {
				n := world.Nodes[b.Name]
				n.Certificates = []host.Certificate{{Path: "/etc/kubernetes/pki/apiserver.crt", Until: now.Add(24 * time.Hour)}, {Path: "/etc/kubernetes/pki/ca.crt", Until: now, CA: true}}
				world.Nodes[b.Name] = n
			},
			want:   []string{b.Name + ": run kubeadm certs renew"},
			blocks: []string{"restart"},
		},
		{
			reason: "a label, a taint and a cordon that are not as they should be",
			spoil: func(_ deploy.Wanted, world *deploy.World) {
				n := world.Cluster.Nodes[a.NodeName]
				n.Labels = map[string]string{"node-role.kubernetes.io/control-plane": ""}
				n.Spec.Taints = []corev1.Taint{{Key: "node-role.kubernetes.io/control-plane"}}
				n.Spec.Unschedulable = true
				world.Cluster.Nodes[a.NodeName] = n
			},
			want: []string{a.Name + ": update Node " + a.NodeName},
		},
		{
			reason: "a node that is declared gone is taken out, and only it",
			gone:   []string{c.Name},
			spoil:  func(_ deploy.Wanted, world *deploy.World) { delete(world.Nodes, c.Name) },
			want:   []string{c.Name + ": delete node " + c.NodeName},
			blocks: []string{"delete"},
		},
		{
			reason: "a node that is declared gone and has been taken out is no change",
			gone:   []string{c.Name},
			spoil: func(_ deploy.Wanted, world *deploy.World) {
				remove(world, c.NodeName)
				delete(world.Nodes, c.Name)
			},
		},
		{
			reason: "a voting member whose static pods were taken away is broken, and is not made to join again",
			spoil: func(_ deploy.Wanted, world *deploy.World) {
				n := world.Nodes[c.Name]
				n.StaticPods = map[string]string{"kube-apiserver": "v1.36.4"}
				n.Ready, n.Etcd, n.Members = "connection refused", "connection refused", nil
				world.Nodes[c.Name] = n
			},
		},
		{
			reason: "restarting a container while another member is down risks the quorum",
			spoil: func(w deploy.Wanted, world *deploy.World) {
				for i, item := range w.Items {
					if item.Container != nil && item.Container.Name == a.Name {
						world.Items[i]["current"] = "no"
					}
				}
				n := world.Nodes[b.Name]
				n.Etcd = "connection refused"
				world.Nodes[b.Name] = n
			},
			want:   []string{a.PhysicalHost + ": restart container " + a.Name},
			blocks: []string{"quorum", "restart"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			w := want(t, in, facts(in), tt.gone...)
			world := converged(w)
			tt.spoil(w, &world)
			p := plan.Judged(deploy.Diff(w, world, now), deploy.Judges(w, world)...)
			if diff := cmp.Diff(tt.want, only(p)); diff != "" {
				t.Error(diff)
			}
			var blocks []string
			for _, f := range p.Blocked(nil) {
				blocks = append(blocks, f.Judge)
			}
			if diff := cmp.Diff(tt.blocks, blocks); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The host of a node that is gone may be gone with it: there is no connection to bring anything.
func TestNothingIsBroughtToNodesThatAreGone(t *testing.T) {
	in := seed(t)
	dead := in.Nodes[2]
	w := want(t, in, facts(in), dead.Name)
	world := empty(w)
	world.Unseen = map[string]bool{dead.PhysicalHost: true}
	needs := deploy.Needs(w, world)
	if got := needs[dead.PhysicalHost]; got != nil {
		t.Errorf("%s is to get %q", dead.PhysicalHost, got)
	}
	for _, n := range in.Nodes[:2] {
		if len(needs[n.PhysicalHost]) == 0 {
			t.Errorf("%s is to get nothing", n.PhysicalHost)
		}
	}
}

// A cluster that is there and silent must not look as if all of it were to be created.
func TestSilentClusterIsNotNew(t *testing.T) {
	w := want(t, seed(t), facts(seed(t)))
	for _, tt := range []struct {
		there bool
		want  plan.Action
		says  string
	}{{false, plan.Create, ""}, {true, plan.Update, "not compared: nobody answers"}} {
		c, err := deploy.NotSeen(w, "nobody answers", tt.there)
		if err != nil || len(c.Changes) < 2 {
			t.Fatalf("%d changes, %v", len(c.Changes), err)
		}
		last := c.Changes[len(c.Changes)-1] // the first is CoreDNS, which kubeadm makes
		if last.Action != tt.want || last.Summary != tt.says {
			t.Errorf("there %v: %s %q, want %s %q", tt.there, last.Action, last.Summary, tt.want, tt.says)
		}
	}
}

// remove takes a member out of everybody's list.
func remove(world *deploy.World, name string) {
	for at, n := range world.Nodes {
		var left []host.EtcdMember
		for _, m := range n.Members {
			if m.Name != name {
				left = append(left, m)
			}
		}
		n.Members = left
		world.Nodes[at] = n
	}
	delete(world.Cluster.Nodes, name)
}

func TestPreflightTellsEverythingAtOnce(t *testing.T) {
	in := seed(t)
	if err := deploy.Preflight(in, facts(in), now); err != nil {
		t.Fatalf("good hosts: %v", err)
	}
	f := facts(in)
	bad := f[in.Nodes[0].PhysicalHost]
	bad.Swap, bad.Free, bad.Version, bad.Now, bad.Root = []string{"/dev/sda2"}, 1<<30, "10", now.Add(time.Minute), false
	bad.Programs = map[string]bool{}
	bad.Interfaces = map[string][]string{"eth9": {in.Network.PodCIDR}}
	f[in.Nodes[0].PhysicalHost] = bad
	err := deploy.Preflight(in, f, now)
	for _, part := range []string{"swap is on", "GiB are free in", "none of the releases", "clock is 1m0s away", "not root", "no lxc-start", "no bridge br-mgmt", "overlaps"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("nothing about %q in:\n%v", part, err)
		}
	}
}

func TestForeignClusters(t *testing.T) {
	in := seed(t)
	w := want(t, in, facts(in))
	world := converged(w)
	if err := deploy.Foreign(w, world); err != nil {
		t.Fatal(err)
	}
	n := world.Nodes[in.Nodes[0].Name]
	n.Server, n.CA = "https://10.0.0.1:6443", "sha256:other"
	world.Nodes[in.Nodes[0].Name] = n
	err := deploy.Foreign(w, world)
	if err == nil || !strings.Contains(err.Error(), "10.0.0.1") || !strings.Contains(err.Error(), "2 different clusters") {
		t.Errorf("got %v", err)
	}
}

func TestCgroupV1IsToldToKubelet(t *testing.T) {
	in := seed(t)
	f := facts(in)
	for name, h := range f {
		h.CgroupV2 = false
		f[name] = h
	}
	text, err := json.Marshal(want(t, in, f).Items)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "failCgroupV1: false") || !strings.Contains(string(text), "SystemVerification") {
		t.Error("kubelet does not learn that it runs on cgroup v1")
	}
}

func TestDestroyRemovesOnlyOurs(t *testing.T) {
	in := seed(t)
	f := facts(in)
	ours := f[in.Nodes[0].PhysicalHost]
	ours.Made = map[string]bool{in.Nodes[0].Name: true}
	ours.Containers = map[string]bool{in.Nodes[0].Name: true}
	f[in.Nodes[0].PhysicalHost] = ours
	theirs := f[in.Nodes[1].PhysicalHost]
	theirs.Containers = map[string]bool{in.Nodes[1].Name: true}
	f[in.Nodes[1].PhysicalHost] = theirs
	w := deploy.Nothing(in, f)
	p := deploy.DestroyPlan(w, deploy.World{Items: make([]plan.Facts, len(w.Items))})
	if diff := cmp.Diff([]string{in.Nodes[0].PhysicalHost + ": delete container " + in.Nodes[0].Name}, only(p)[len(only(p))-1:]); diff != "" {
		t.Error(diff)
	}
	for _, line := range only(p) {
		if strings.Contains(line, in.Nodes[1].Name) {
			t.Errorf("somebody else's container is removed: %s", line)
		}
	}
}
