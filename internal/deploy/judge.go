package deploy

import (
	"fmt"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/components"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// Judges say what is dangerous in a plan. None of them looks at anything but the plan and the world it was made of.
func Judges(w Wanted, world World) []plan.Judge {
	return []plan.Judge{
		restarts(w, world), deletions(), kubeadm.Downgrades(w.Wanted, world.World), quorumRisk(w, world), kubeadm.Lost(w.Wanted, world.World), kubeadm.Authorities(w.Wanted, world.World),
		kubeadm.UnfinishedRestore(w.Wanted, world.World), components.Back(slices.Concat(world.Running, kubeadmsOwn(w, world))), kubeadm.Overlaps(w.Wanted, world.World), node.Waiting(w.List, world.Seen), kubeadm.NoSnapshot(w.Wanted), balance.Others(w.List, world.Seen), kubeadm.StillAlive(w.Wanted, world.World, world.Alive, w.Intent.Nodes), w.Chain.Judge(),
	}
}

// Dangers are the judges whose findings keep the plan of apply from being carried out, for its --allow. A name that is
// not among them is a typing error.
func Dangers() []string {
	return []string{"restart", "delete", "downgrade", "quorum", "lost", "overlap", "others", "alive", "authority", "restore"}
}

// RestoreDangers are Dangers of a restore: RestoreJudges.
func RestoreDangers() []string {
	return []string{"overwrite", "delete", "downgrade", "overlap", "alive"}
}

// DestroyDangers are Dangers of a removal: destroyPlan.
func DestroyDangers() []string { return []string{"delete", "others"} }

// restarts: a member of etcd, with everything else on its node, goes away for a while.
func restarts(w Wanted, world World) plan.Judge {
	return func(p plan.Plan) []plan.Finding {
		var out []plan.Finding
		for _, n := range w.Intent.Nodes {
			if !world.Member(n) {
				continue
			}
			for _, c := range p.Changes {
				switch what := c.What.(type) {
				case kubeadm.Upgrade, kubeadm.Renewal, kubeadm.Settings:
					if c.Place == n.Name {
						out = append(out, plan.Finding{Judge: "restart", Where: n.Name, Blocks: true, Text: "etcd and the API server are restarted"})
					}
					continue
				case kubeadm.KubeletSettings:
					if what.Node == n.Name {
						out = append(out, plan.Finding{Judge: "restart", Where: n.Name, Text: "kubelet is restarted; pods keep running"})
					}
					continue
				}
				switch {
				case c.Kind == "container" && c.Name == n.Name && c.Action != plan.Create && c.Action != plan.Run && n.LXC.AllowRestarts:
					out = append(out, plan.Finding{Judge: "restart", Where: n.Name, Blocks: true, Text: "the container is stopped and started: its etcd member and API server are away meanwhile"})
				case c.Place == n.Name && c.Kind == "unit" && (c.Name == "containerd.service" || c.Name == "kubelet.service"):
					out = append(out, plan.Finding{Judge: "restart", Where: n.Name, Text: c.Name + " is restarted; pods keep running"})
				}
			}
		}
		return out
	}
}

func deletions() plan.Judge {
	return func(p plan.Plan) []plan.Finding {
		var out []plan.Finding
		for _, c := range p.Changes {
			if c.Action == plan.Delete {
				out = append(out, plan.Finding{Judge: "delete", Where: c.Place, Blocks: true, Text: fmt.Sprintf("%s %s is removed", c.Kind, c.Name)})
			}
		}
		return out
	}
}

// quorumRisk: members that do not serve now, while the plan takes another one away.
func quorumRisk(w Wanted, world World) plan.Judge {
	return func(p plan.Plan) []plan.Finding {
		var out []plan.Finding
		for _, n := range w.Living() {
			state := world.Nodes[n.Name]
			if !world.Member(n) || state.Healthy() {
				continue
			}
			text := fmt.Sprintf("does not serve (API server: %s; etcd: %s)", state.Ready, state.Etcd)
			touches := slices.ContainsFunc(w.Living(), func(o intent.Node) bool {
				return o.Name != n.Name && world.Member(o) && (touched(p, o.Name) || containerTouched(p, o))
			})
			out = append(out, plan.Finding{Judge: "quorum", Where: n.Name, Blocks: touches, Text: text})
		}
		return out
	}
}

func containerTouched(p plan.Plan, n intent.Node) bool {
	return slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Kind == "container" && c.Name == n.Name })
}

// touched says whether something changes at a place that what runs there may notice.
func touched(p plan.Plan, place string) bool {
	return slices.ContainsFunc(p.Changes, func(c plan.Change) bool {
		_, spare := c.What.(host.GivesBack)
		return c.Place == place && !spare
	})
}

// kubeadmsOwn are etcd and CoreDNS, which come with Kubernetes.
func kubeadmsOwn(w Wanted, world World) []components.Running {
	var out []components.Running
	add := func(component, have, want string) {
		if components.Versioned(have) && components.Versioned(want) {
			out = append(out, components.Running{Component: component, Have: version.Trim(have), Want: version.Trim(want)})
		}
	}
	for _, n := range w.Intent.Nodes {
		if world.Member(n) {
			add("etcd", world.Nodes[n.Name].StaticPods["etcd"], w.Bundle.Versions["etcd-tag"])
		}
	}
	add("CoreDNS", world.Cluster.Shared.CoreDNS, w.Bundle.Versions["coredns-tag"])
	return out
}
