package deploy_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

func TestPlanOfEmptyHosts(t *testing.T) {
	in := seed(t)
	w := want(t, in, facts(in))
	var text strings.Builder
	if err := plan.WriteText(&text, deploy.Diff(w, empty(w), now), true); err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, *update, "plan-empty.txt", text.String())
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
				world.Cluster = kubeadm.Cluster{}
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
				world.Cluster = kubeadm.Cluster{}
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
			reason: "others' changes of haproxy.cfg come into force with ours, and need a word",
			spoil: func(w deploy.Wanted, world *deploy.World) {
				for i, item := range w.Items {
					if item.HAProxy != nil && item.Place == b.PhysicalHost {
						world.Items[i]["assembled"], world.Items[i]["others"] = "no", "differ"
					}
				}
			},
			want:   []string{b.PhysicalHost + ": update haproxy /etc/haproxy/haproxy.cfg"},
			blocks: []string{"others"},
		},
		{
			reason: "ours alone do not",
			spoil: func(w deploy.Wanted, world *deploy.World) {
				for i, item := range w.Items {
					if item.HAProxy != nil && item.Place == b.PhysicalHost {
						world.Items[i]["assembled"] = "no"
					}
				}
			},
			want: []string{b.PhysicalHost + ": update haproxy /etc/haproxy/haproxy.cfg"},
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

// The operator's word that containers are not restarted is kept: nothing blocks for a restart that does not come, and
// the plan says what waits for one.
func TestContainersThatMayNotBeRestarted(t *testing.T) {
	for _, allow := range []bool{true, false} {
		in := seed(t)
		for i := range in.Nodes {
			in.Nodes[i].LXC.AllowRestarts = allow
		}
		w := want(t, in, facts(in))
		world := converged(w)
		name := in.Nodes[0].Name
		for i, item := range w.Items {
			if item.Container != nil && item.Container.Name == name {
				world.Items[i]["current"] = "no"
				world.Items[i]["config"] = strings.Replace(world.Items[i]["config"], "lxc.mount.auto = ", "lxc.mount.auto = cgroup:ro ", 1)
			}
		}
		p := plan.Judged(deploy.Diff(w, world, now), deploy.Judges(w, world)...)
		if diff := cmp.Diff([]string{in.Nodes[0].PhysicalHost + ": update container " + name}, only(p)); diff != "" {
			t.Error(diff)
		}
		judge := map[bool]string{true: "restart", false: "waiting"}[allow]
		if len(p.Findings) != 1 || p.Findings[0].Judge != judge || p.Findings[0].Blocks != allow {
			t.Errorf("restarts allowed %v: %v", allow, p.Findings)
		}
		for i, item := range w.Items { // written, and not in force
			if item.Container != nil && item.Container.Name == name {
				world.Items[i]["config"] = item.Thing(nil).Want["config"]
			}
		}
		p = plan.Judged(deploy.Diff(w, world, now), deploy.Judges(w, world)...)
		if p.Empty() == allow || len(p.Findings) != 1 || p.Findings[0].Judge != judge {
			t.Errorf("restarts allowed %v, later: %v", allow, p)
		}
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
	p := deploy.DestroyPlan(w, deploy.World{World: kubeadm.World{Seen: site.NotLooked(len(w.Items))}}, deploy.Services{}, kubeconfigs.Leftovers{})
	if diff := cmp.Diff([]string{in.Nodes[0].PhysicalHost + ": delete container " + in.Nodes[0].Name}, only(p)[len(only(p))-1:]); diff != "" {
		t.Error(diff)
	}
	for _, line := range only(p) {
		if strings.Contains(line, in.Nodes[1].Name) {
			t.Errorf("somebody else's container is removed: %s", line)
		}
	}
}

// TestFullDisk: what the kernel says of a full disk does not say what to do.
func TestFullDisk(t *testing.T) {
	in := seed(t)
	w := want(t, in, facts(in))
	world := empty(w)
	hosts := site.Hosts{}
	for _, h := range in.Hosts {
		hosts[h.Name] = &deploytest.Agent{Host: h.Name, Answer: func(string, string, json.RawMessage) (any, error) {
			return nil, errors.New(h.Name + ": store sha256:1: write /var/lib/jeroboam/blobs/sha256/new-1: no space left on device")
		}}
	}
	d := &deploy.Deployment{Wanted: w, World: world, Run: quiet(hosts)}
	d.Plan = deploy.Diff(w, world, now)
	err := d.Apply(t.Context())
	if err == nil || !strings.Contains(err.Error(), "make room there") || !strings.Contains(err.Error(), "infra") {
		t.Errorf("got %v", err)
	}
}
