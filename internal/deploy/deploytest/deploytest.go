// Package deploytest is what tests of a deployment and of its rooms share: the intent of the document Jeroboam started
// from, a small bundle, hosts and clusters as they should be, agents that say what a test wants them to. For tests
// only.
package deploytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/backup/offsite"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Now is when everything happens.
func Now() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

// Seed is the intent of the document Jeroboam started from, on three hosts. Its files are internal/osa's; a test runs
// in the directory of its package, which is below internal too.
func Seed(t *testing.T) intent.Intent {
	t.Helper()
	dir, err := os.Getwd()
	at := strings.LastIndex(dir, "/internal/")
	if err != nil || at < 0 {
		t.Fatalf("%s is not below internal: %v", dir, err)
	}
	osa := filepath.Join(dir[:at], "internal", "osa")
	in, found, err := intent.ReadAssuming(intent.Options{
		Config: filepath.Join(osa, "testdata/oracle/ha3/deploy"), Environment: filepath.Join(osa, "testdata/base/30.1.5"), System: "testdata/nowhere",
	})
	if err != nil || found.Err() != nil {
		t.Fatal(err, found.Err())
	}
	in.Versions.Kubernetes = "1.36.4"
	return in
}

// PublicKey is one that backups are encrypted for.
const PublicKey = "age1h6hvg6nma2x2jzzld5y64gw7rffqydhhesuxrmgfujkksuhc4f4sed2j6t"

// BackedUp is the seed with backups on its last node, and copies of them elsewhere.
func BackedUp(t *testing.T) intent.Intent {
	t.Helper()
	in := Seed(t)
	in.Backups.Enabled, in.Backups.Recipients = true, []string{PublicKey}
	in.Backups.Copies = []intent.BackupCopy{{Target: offsite.Target{URL: "file:///mnt/elsewhere/backups", Keep: 30}}}
	return in
}

// Blob is a digest made of a few characters.
func Blob(s string) string { return "sha256:" + strings.Repeat(s, 64/len(s)) }

// Bundle is a small one, of Kubernetes 1.36.4.
func Bundle() site.Bundle {
	return site.Bundle{
		Programs: []site.Program{
			{Name: "containerd", Path: "/usr/bin/containerd", Digest: Blob("a")},
			{Name: "kubeadm", Path: "/usr/bin/kubeadm", Digest: Blob("b")},
			{Name: "kubelet", Path: "/usr/bin/kubelet", Digest: Blob("c")},
		},
		Images: []host.Image{{Ref: "registry.k8s.io/pause:3.10.2", Manifest: Blob("d"), Blobs: []string{Blob("d"), Blob("e")}}},
		RootFS: Blob("f"),
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

// Facts are hosts without containers and without faults.
func Facts(in intent.Intent) map[string]host.Facts {
	out := map[string]host.Facts{}
	for _, h := range in.Hosts {
		out[h.Name] = host.Facts{
			ID: "debian", Version: "12", Kernel: "6.1.0", CgroupV2: true, Controllers: []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"}, Root: true, Now: Now(), Free: 100 << 30,
			Programs:   map[string]bool{"lxc-start": true, "lxc-attach": true, "lxc-info": true, "tar": true, "systemctl": true, "haproxy": true},
			Interfaces: map[string][]string{"br-mgmt": {h.ManagementAddress + "/22", in.VIPs.Internal.Address + "/32"}, "lxcbr0": {"10.0.3.1/24"}},
			Containers: map[string]bool{},
		}
	}
	return out
}

// Want is what the small bundle makes of an intent.
func Want(t *testing.T, in intent.Intent, f map[string]host.Facts, gone ...string) deploy.Wanted {
	t.Helper()
	w, err := deploy.Want(in, Bundle(), f, gone)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Converged is the world as Wanted has it.
func Converged(w deploy.Wanted) deploy.World {
	world := deploy.World{World: kubeadm.World{Seen: site.NotLooked(0), Nodes: map[string]host.Node{}}, Alive: kubeadm.Alive{Asked: []string{"infra1"}}}
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
	world.Cluster = kubeadm.Cluster{Reachable: true, Initialised: true, Version: w.Intent.Versions.Kubernetes, Nodes: map[string]corev1.Node{}}
	for _, node := range w.Intent.Nodes {
		v := "v" + w.Intent.Versions.Kubernetes
		world.Nodes[node.Name] = host.Node{
			AdminConf: true, KubeletConf: true, EtcdData: true, Ready: "ok", Etcd: "ok", Members: members, CA: "sha256:x",
			Server:       "https://" + w.Intent.Kubernetes.ControlPlaneHost + ":6443",
			StaticPods:   map[string]string{"etcd": "3.6.16-0", "kube-apiserver": v, "kube-controller-manager": v, "kube-scheduler": v},
			Certificates: []host.Certificate{{Path: "/etc/kubernetes/pki/apiserver.crt", Until: Now().Add(300 * 24 * time.Hour)}},
		}
		labels := map[string]string{"node-role.kubernetes.io/control-plane": ""}
		for k, v := range node.Labels {
			labels[k] = v
		}
		world.Cluster.Nodes[node.NodeName] = corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node.NodeName, Labels: labels}}
	}
	return world
}

// Empty is a world with nothing in it.
func Empty(w deploy.Wanted) deploy.World {
	world := deploy.World{World: kubeadm.World{Seen: site.NotLooked(len(w.Items)), Nodes: map[string]host.Node{}}, Alive: kubeadm.Alive{Asked: []string{"infra1"}}}
	for _, n := range w.Intent.Nodes {
		world.Closed[n.Name] = true
	}
	return world
}

// Remove takes a member out of everybody's list.
func Remove(world *deploy.World, name string) {
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

// Upgrading is a cluster of 1.35.4 whose first nodes have had their upgrade already, with etcd's programs in the
// bundle.
func Upgrading(t *testing.T, done int) (deploy.Wanted, deploy.World) {
	t.Helper()
	in := Seed(t)
	b := Bundle()
	b.Programs = append(
		b.Programs, site.Program{Name: "etcdctl", Path: "/usr/bin/etcdctl", Digest: Blob("1")},
		site.Program{Name: "etcdutl", Path: "/usr/bin/etcdutl", Digest: Blob("2")},
	)
	f := Facts(in)
	for _, n := range in.Nodes {
		f[n.PhysicalHost].Containers[n.Name] = true
	}
	w, err := deploy.Want(in, b, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	world := Converged(w)
	for i, n := range in.Nodes {
		if i < done {
			continue
		}
		state := world.Nodes[n.Name]
		state.StaticPods = map[string]string{"etcd": "3.6.16-0", "kube-apiserver": "v1.35.4", "kube-controller-manager": "v1.35.4", "kube-scheduler": "v1.35.4"}
		world.Nodes[n.Name] = state
	}
	return w, world
}

// Quiet is a run that nobody watches.
func Quiet(h site.Hosts) site.Run {
	return site.Run{Hosts: h, Report: func(site.Progress) {}, Now: Now}
}

// Only gives the changes as short lines.
func Only(p plan.Plan) []string {
	var out []string
	for _, c := range p.Changes {
		out = append(out, fmt.Sprintf("%s: %s %s %s", c.Place, c.Action, c.Kind, c.Name))
	}
	return out
}

// Agent is a host's agent that answers as a test says, and remembers what it was asked.
type Agent struct {
	Host   string
	Answer func(container, op string, in json.RawMessage) (any, error)
	Asked  []string
}

// Close ends nothing.
func (a *Agent) Close() error { return nil }

// Upload fails.
func (a *Agent) Upload(context.Context, string, io.Reader) error {
	return errors.New("nothing is uploaded")
}

// Dial fails.
func (a *Agent) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("nothing is dialled")
}

// Call gives question and answer the form they have between deployer and host.
func (a *Agent) Call(_ context.Context, container, op string, in, out any, _ func(json.RawMessage)) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	a.Asked = append(a.Asked, container+" "+op)
	answer, err := a.Answer(container, op, raw)
	if err != nil || out == nil {
		return err
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}
