package deploy

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Diff is what would change, in the order of the work. Pure.
func Diff(w Wanted, world World, now time.Time) plan.Plan {
	var p plan.Plan
	p.Changes = itemChanges(w, world, p, node.GroupHost, node.GroupContainer, node.GroupInside, node.GroupKubelet, groupRecord, balance.Group)
	for _, n := range w.Intent.Nodes {
		if world.Sleeping[n.Name] {
			p.Changes = append(p.Changes, plan.Change{Place: n.Name, Group: groupControl, Kind: "node", Name: n.NodeName, Action: plan.Check, Summary: "its container does not run: looked at when it has been started"})
		}
	}
	if len(world.Sleeping) > 0 {
		return p // whatever is in them may be what the rest depends on
	}
	p.Changes = append(p.Changes, sharedChanges(w, world)...)
	control := controlChanges(w, world, now)
	p.Changes = append(p.Changes, snapshotChanges(w, world, control)...)
	p.Changes = append(p.Changes, control...)
	p.Changes = append(p.Changes, world.Cluster.Changes...)
	p.Changes = itemChanges(w, world, p, groupSpare)
	return p
}

// itemChanges are the plan's changes, and after them those of items of the groups, one group after the other.
func itemChanges(w Wanted, world World, p plan.Plan, groups ...string) []plan.Change {
	for _, group := range groups {
		for i, item := range w.Items {
			if item.Group != group || w.OutOfReach(world.Seen, item.Place) {
				continue
			}
			if item.Container != nil && slices.Contains(w.Gone, item.Container.Name) {
				continue
			}
			c := item.Diff(world.Items[i])
			if c == nil {
				c = follow(item, p)
			}
			if c != nil {
				p.Changes = append(p.Changes, *c)
			}
		}
	}
	return p.Changes
}

// follow is the restart of something that reads a file which changes, nil if none does.
func follow(item host.Item, p plan.Plan) *plan.Change {
	t := item.Thing(nil)
	for _, path := range item.Follows() {
		for _, c := range p.Changes {
			if c.Place == item.Place && (c.Kind == "file" || c.Kind == "credential" || c.Kind == host.KindServerCertificate) && (c.Name == path || strings.HasSuffix(path, "/") && strings.HasPrefix(c.Name, path)) {
				return &plan.Change{Place: t.Place, Group: t.Group, Kind: t.Kind, Name: t.Name, Action: plan.Restart, Summary: "reads " + c.Name}
			}
		}
	}
	return nil
}

// controlChanges are kubeadm's part, and the Node objects'.
func controlChanges(w Wanted, world World, now time.Time) []plan.Change {
	var out []plan.Change
	add := func(n intent.Node, kind, name string, a plan.Action, format string, args ...any) {
		out = append(out, plan.Change{Place: n.Name, Group: groupControl, Kind: kind, Name: name, Action: a, Summary: fmt.Sprintf(format, args...)})
	}
	want := w.Intent.Versions.Kubernetes
	first := world.bootstrap(w.Intent.Nodes)
	for _, n := range w.Intent.Nodes {
		state := world.Nodes[n.Name]
		switch {
		case slices.Contains(w.Gone, n.Name) && !world.known(n):
			continue // has been taken out
		case slices.Contains(w.Gone, n.Name):
			add(n, "node", n.NodeName, plan.Delete, "declared gone: its etcd member, Node and certificates' trust end")
			continue
		case world.Unseen[n.Name], world.lost(n):
			continue
		case n.Name == first.Name && !state.Touched():
			out = append(out, KubeadmInit{Node: n.Name, Version: want}.change())
		case n.Name == first.Name && world.Cluster.Reachable && !world.Cluster.Initialised, n.Name == first.Name && !world.Cluster.Reachable && !world.member(n):
			out = append(out, KubeadmInit{Node: n.Name, Version: want, Again: true}.change())
		case !world.member(n) && state.Touched():
			out = append(out, KubeadmJoin{Node: n.Name, Version: want, Again: true}.change())
		case !world.member(n):
			out = append(out, KubeadmJoin{Node: n.Name, Version: want}.change())
		default:
			out = append(out, memberChanges(w, world, n, now)...)
			continue
		}
		if len(nodeDifferences(n, corev1.Node{})) > 0 {
			add(n, "Node", n.NodeName, plan.Update, "%s", strings.Join(nodeDifferences(n, corev1.Node{}), ", "))
		}
	}
	return out
}

// memberChanges are those of a node that is part of the control plane.
func memberChanges(w Wanted, world World, n intent.Node, now time.Time) []plan.Change {
	var out []plan.Change
	add := func(kind, name string, a plan.Action, format string, args ...any) {
		out = append(out, plan.Change{Place: n.Name, Group: groupControl, Kind: kind, Name: name, Action: a, Summary: fmt.Sprintf(format, args...)})
	}
	state := world.Nodes[n.Name]
	differ := nodeDiffers(w, n, state)
	if v := outdated(w, world, n); v != "" {
		out = append(out, KubeadmUpgrade{Node: n.Name, From: v, To: w.Intent.Versions.Kubernetes}.change())
	} else {
		if len(differ.pods) > 0 {
			out = append(out, KubeadmSettings{Node: n.Name, What: differ.pods}.change())
		}
		if names := renewals(state.Certificates, now); len(names) > 0 { // an upgrade renews them all
			out = append(out, CertificatesRenewal{Node: n.Name, Names: names}.change())
		}
	}
	if len(differ.kubelet) > 0 {
		out = append(out, KubeletSettings{Node: n.Name, What: differ.kubelet}.change())
	}
	if node, ok := world.Cluster.Nodes[n.NodeName]; ok {
		if d := nodeDifferences(n, node); len(d) > 0 {
			add("Node", n.NodeName, plan.Update, "%s", strings.Join(d, ", "))
		}
	}
	return out
}

// nodeDifferences are what the Node object lacks: labels, and the taints that would keep everything else off a cluster that
// has no other nodes. Only a Node that is there is touched (the original makes a bogus one where the names differ).
func nodeDifferences(n intent.Node, node corev1.Node) []string {
	var out []string
	labels := labelsOf(n)
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		if have, ok := node.Labels[k]; !ok || have != labels[k] {
			out = append(out, fmt.Sprintf("label %s=%s", k, labels[k]))
		}
	}
	for _, t := range node.Spec.Taints {
		if t.Key == controlPlaneLabel || t.Key == masterTaint {
			out = append(out, "remove taint "+t.Key)
		}
	}
	if node.Spec.Unschedulable {
		out = append(out, "schedulable again")
	}
	return out
}

// labelsOf are the operator's labels and kubeadm's own, which it sets last of all.
func labelsOf(n intent.Node) map[string]string {
	out := map[string]string{controlPlaneLabel: ""}
	maps.Copy(out, n.Labels)
	return out
}

// renewBefore is how long before its end a certificate is renewed: kubeadm's last a year.
const renewBefore = 60 * 24 * time.Hour

// renewals are certificates that are to be renewed: not authorities, which would change everything else.
func renewals(have []host.Certificate, now time.Time) []string {
	var out []string
	for _, c := range have {
		if !c.CA && c.Until.Before(now.Add(renewBefore)) {
			out = append(out, path.Base(c.Path))
		}
	}
	return out
}
