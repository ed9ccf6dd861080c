package deploy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

var update = golden.Flag()

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

func bundle() site.Bundle {
	return site.Bundle{
		Programs: []site.Program{
			{Name: "containerd", Path: "/usr/bin/containerd", Digest: blob("a")},
			{Name: "kubeadm", Path: "/usr/bin/kubeadm", Digest: blob("b")},
			{Name: "kubelet", Path: "/usr/bin/kubelet", Digest: blob("c")},
		},
		Images: []host.Image{{Ref: "registry.k8s.io/pause:3.10.2", Manifest: blob("d"), Blobs: []string{blob("d"), blob("e")}}},
		RootFS: blob("f"),
		Components: []site.Component{{Name: "network", Manifest: []byte(`apiVersion: apps/v1
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
	world := deploy.World{Seen: site.NotLooked(0), Nodes: map[string]host.Node{}, Alive: deploy.Alive{Asked: []string{"infra1"}}}
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
	world := deploy.World{Seen: site.NotLooked(len(w.Items)), Nodes: map[string]host.Node{}, Alive: deploy.Alive{Asked: []string{"infra1"}}}
	for _, n := range w.Intent.Nodes {
		world.Closed[n.Name] = true
	}
	return world
}

// quiet is a run that nobody watches.
func quiet(h site.Hosts) site.Run {
	return site.Run{Hosts: h, Report: func(site.Progress) {}, Now: func() time.Time { return now }}
}

// only gives the changes as short lines.
func only(p plan.Plan) []string {
	var out []string
	for _, c := range p.Changes {
		out = append(out, fmt.Sprintf("%s: %s %s %s", c.Place, c.Action, c.Kind, c.Name))
	}
	return out
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
