package kubeadm_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// pod is a static pod's manifest as kubeadm writes it.
func pod(name string, args ...string) string {
	text := "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: " + name + "\n    command:\n    - " + name + "\n"
	for _, a := range args {
		text += "    - --" + a + "\n"
	}
	return text
}

// settled is a converged world whose nodes and cluster have the settings that Wanted has.
func settled(w deploy.Wanted) deploy.World {
	world := deploytest.Converged(w)
	for _, n := range w.Intent.Nodes {
		record := ""
		for _, i := range w.Items {
			if i.Place == n.Name && i.File != nil && i.File.Path == host.KubeadmConfig {
				record = i.File.Content
			}
		}
		state := world.Nodes[n.Name]
		state.Settings = map[string]string{
			host.KubeadmConfig:                               record,
			host.KubeletConfig:                               document(record, "kind: KubeletConfiguration") + "clusterDomain: cluster.local\n",
			host.KubeletFlags:                                `KUBELET_KUBEADM_ARGS="--cgroups-per-qos=false --enforce-node-allocatable= --node-ip=` + n.NodeIP + `"` + "\n",
			host.Manifests + "/etcd.yaml":                    pod("etcd", "data-dir=/var/lib/etcd", "tls-min-version=TLS1.3"),
			host.Manifests + "/kube-apiserver.yaml":          pod("kube-apiserver", "advertise-address="+n.NodeIP, "tls-min-version=VersionTLS13"),
			host.Manifests + "/kube-controller-manager.yaml": pod("kube-controller-manager", "bind-address=0.0.0.0", "tls-min-version=VersionTLS13"),
			host.Manifests + "/kube-scheduler.yaml":          pod("kube-scheduler", "bind-address=0.0.0.0", "tls-min-version=VersionTLS13"),
		}
		world.Nodes[n.Name] = state
		world.Cluster.Shared = kubeadm.Shared{
			Cluster: document(record, "kind: ClusterConfiguration"), Kubelet: document(record, "kind: KubeletConfiguration"),
			Proxy: document(record, "kind: KubeProxyConfiguration"), CoreDNS: "v1.14.0", ProxyTag: "v1.36.4",
		}
	}
	return world
}

func document(text, with string) string {
	for _, d := range strings.Split(text, "---\n") {
		if strings.Contains(d, with) {
			return d
		}
	}
	return ""
}

// summaries gives the changes of settings with what they say.
func summaries(p plan.Plan) []string {
	var out []string
	for _, c := range p.Changes {
		out = append(out, c.Place+": "+c.Kind+" "+c.Name+": "+c.Summary)
	}
	return out
}

func TestSettings(t *testing.T) {
	in := deploytest.Seed(t)
	a := in.Nodes[0]
	change := func(world *deploy.World, path, from, to string) {
		n := world.Nodes[a.Name]
		if !strings.Contains(n.Settings[path], from) {
			t.Fatalf("%s has no %q", path, from)
		}
		n.Settings[path] = strings.ReplaceAll(n.Settings[path], from, to)
	}
	apiserver := host.Manifests + "/kube-apiserver.yaml"
	tests := []struct {
		reason string
		spoil  func(world *deploy.World)
		want   []string
	}{
		{reason: "what runs as it should has no change", spoil: func(*deploy.World) {}},
		{
			reason: "an argument of a static pod that is missing, and one with another value",
			spoil: func(world *deploy.World) {
				change(world, apiserver, "    - --tls-min-version=VersionTLS13\n", "")
				change(world, host.Manifests+"/kube-scheduler.yaml", "0.0.0.0", "127.0.0.1")
			},
			want: []string{a.Name + ": kubeadm settings: kube-apiserver gets --tls-min-version=VersionTLS13, kube-scheduler --bind-address 127.0.0.1 -> 0.0.0.0"},
		},
		{
			reason: "arguments that nobody named are somebody else's",
			spoil: func(world *deploy.World) {
				change(world, apiserver, "    - --tls", "    - --audit-log-path=/var/log/audit\n    - --tls")
			},
		},
		{
			reason: "an argument that the configuration named when it was written last, and names no more, goes",
			spoil: func(world *deploy.World) {
				change(world, apiserver, "    - --tls", "    - --profiling=false\n    - --tls")
				change(world, host.KubeadmConfig, "apiServer:\n  extraArgs:\n", "apiServer:\n  extraArgs:\n  - name: profiling\n    value: \"false\"\n")
			},
			want: []string{a.Name + ": kubeadm settings: kube-apiserver loses --profiling=false"},
		},
		{
			reason: "what the original collection's file names was not ours: it is rewritten in every run and never applied",
			spoil: func(world *deploy.World) {
				change(world, apiserver, "    - --tls", "    - --profiling=false\n    - --tls")
				n := world.Nodes[a.Name]
				n.Settings[host.KubeadmConfig] = "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\napiServer:\n  extraArgs:\n    profiling: \"false\"\n"
				n.Settings[host.KubeletFlags] = strings.Replace(n.Settings[host.KubeletFlags], "--node-ip", "--container-runtime-endpoint=unix:///x --node-ip", 1)
			},
		},
		{
			reason: "a ClusterConfiguration of an older kubeadm has its arguments in a map",
			spoil: func(world *deploy.World) {
				world.Cluster.Shared.Cluster = strings.Replace(world.Cluster.Shared.Cluster, "apiServer:\n  extraArgs:\n  - name: tls-min-version\n    value: VersionTLS13\n", "apiServer:\n  extraArgs:\n    tls-min-version: VersionTLS13\n", 1)
			},
		},
		{
			reason: "kubelet alone has other settings",
			spoil: func(world *deploy.World) {
				change(world, host.KubeletConfig, "tlsMinVersion: VersionTLS13", "tlsMinVersion: VersionTLS12")
				change(world, host.KubeletFlags, "--enforce-node-allocatable= ", "")
			},
			want: []string{a.Name + ": kubeadm kubelet settings: kubelet gets --enforce-node-allocatable=, tlsMinVersion VersionTLS12 -> VersionTLS13"},
		},
		{
			reason: "an older etcd than the bundle's is brought along; a newer one is left",
			spoil: func(world *deploy.World) {
				for i, v := range []string{"3.6.8-0", "3.6.20-0", "3.6.16-0"} {
					world.Nodes[in.Nodes[i].Name].StaticPods["etcd"] = v
				}
			},
			want: []string{a.Name + ": kubeadm settings: etcd 3.6.8-0 -> 3.6.16-0"},
		},
		{
			reason: "what the cluster keeps for joining nodes follows, but not its networks and the way of kube-proxy",
			spoil: func(world *deploy.World) {
				s := &world.Cluster.Shared
				s.Cluster = strings.ReplaceAll(strings.ReplaceAll(s.Cluster, "VersionTLS13", "VersionTLS12"), "podSubnet: ", "podSubnet: 10.0.0.0/8 #")
				s.Kubelet = strings.ReplaceAll(s.Kubelet, "VersionTLS13", "VersionTLS12")
				s.Proxy = strings.ReplaceAll(strings.ReplaceAll(s.Proxy, "mode: nftables", "mode: iptables"), "0.0.0.0", "127.0.0.1")
				s.ProxyTag = "v1.36.3"
			},
			want: []string{
				"cluster: settings kubeadm-config: kube-apiserver --tls-min-version VersionTLS12 -> VersionTLS13, kube-controller-manager --tls-min-version VersionTLS12 -> VersionTLS13, kube-scheduler --tls-min-version VersionTLS12 -> VersionTLS13",
				"cluster: settings kubelet-config: tlsMinVersion VersionTLS12 -> VersionTLS13",
				"cluster: settings kube-proxy: metricsBindAddress 127.0.0.1 -> 0.0.0.0",
				"cluster: settings addons: kube-proxy v1.36.3 -> v1.36.4",
			},
		},
		{
			reason: "an upgrade that was killed between two moves of a manifest: the node is still a member, and gets it again",
			spoil: func(world *deploy.World) {
				n := world.Nodes[a.Name]
				delete(n.StaticPods, "kube-apiserver")
				delete(n.Settings, apiserver)
			},
			want: []string{a.Name + ": kubeadm settings: kube-apiserver has no manifest"},
		},
		{
			reason: "an upgrade that was killed after the static pods is finished: kubelet says that it was",
			spoil: func(world *deploy.World) {
				for i, v := range []string{"v1.36.3", "v1.36.4", "v1.36.4"} {
					node := world.Cluster.Nodes[in.Nodes[i].NodeName]
					node.Status.NodeInfo = corev1.NodeSystemInfo{KubeletVersion: v}
					world.Cluster.Nodes[in.Nodes[i].NodeName] = node
				}
			},
			want: []string{a.Name + ": kubeadm upgrade: 1.36.3 -> 1.36.4, one node at a time"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			w := deploytest.Want(t, in, deploytest.Facts(in))
			world := settled(w)
			tt.spoil(&world)
			// The record itself, a file, is not what is looked at here.
			if diff := cmp.Diff(tt.want, summaries(deploy.Diff(w, world, deploytest.Now()))); diff != "" {
				t.Error(diff)
			}
		})
	}
}
