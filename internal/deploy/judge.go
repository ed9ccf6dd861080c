package deploy

import (
	"fmt"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/components"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Judges say what is dangerous in a plan. None of them looks at anything but the plan and the world it was made of.
func Judges(w Wanted, world World) []plan.Judge {
	return []plan.Judge{
		restarts(w, world), deletions(), kubeadm.Downgrades(w.Wanted, world.World), quorumRisk(w, world), kubeadm.Lost(w.Wanted, world.World), kubeadm.Authorities(w.Wanted, world.World),
		unfinished(w, world), components.Back(slices.Concat(world.Running, kubeadmsOwn(w, world))), overlaps(w, world), waiting(w, world), kubeadm.NoSnapshot(w.Wanted), others(w.List, world.Seen), stillAlive(w, world, w.Intent.Nodes), w.Chain.Judge(),
	}
}

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

// waiting: containers that may not be restarted have a configuration that is not in force.
func waiting(w Wanted, world World) plan.Judge {
	return func(p plan.Plan) []plan.Finding {
		var out []plan.Finding
		for i, item := range w.Items {
			if item.Container == nil || !item.Container.NoRestarts || world.Items[i] == nil || world.Items[i]["state"] != "running" {
				continue
			}
			changes := slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Kind == "container" && c.Name == item.Container.Name })
			if changes || world.Items[i]["current"] == "no" {
				out = append(out, plan.Finding{Judge: "waiting", Where: item.Container.Name, Text: "its configuration is newer than it is and not in force: lxc_container_allow_restarts is false, so restart it yourself when it suits"})
			}
		}
		return out
	}
}

// others: haproxy.cfg is one file of everybody's fragments. To put ours in force is to do that with theirs, which they
// may not be ready for, and to undo what somebody wrote into the file by hand.
func others(l site.List, seen site.Seen) plan.Judge {
	return func(p plan.Plan) []plan.Finding {
		var out []plan.Finding
		for i, item := range l.Items {
			if item.HAProxy == nil || len(seen.Items) == 0 || seen.Items[i]["others"] != "differ" || !p.Touches(item.Place, "haproxy", "") {
				continue
			}
			out = append(out, plan.Finding{
				Judge: "others", Where: item.Place, Blocks: true,
				Text: item.HAProxy.Config + " is not what the fragments of other services say (plan shows the difference): it becomes so; run OpenStack-Ansible's haproxy-install if that is meant, or look who changed what",
			})
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
