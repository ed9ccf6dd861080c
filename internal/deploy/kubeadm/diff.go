package kubeadm

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Changes are kubeadm's part, and the Node objects'.
func Changes(w Wanted, world World, now time.Time) []plan.Change {
	var out []plan.Change
	add := func(n intent.Node, kind, name string, a plan.Action, format string, args ...any) {
		out = append(out, plan.Change{Place: n.Name, Group: Group, Kind: kind, Name: name, Action: a, Summary: fmt.Sprintf(format, args...)})
	}
	want := w.Intent.Versions.Kubernetes
	first := world.Bootstrap(w.Intent.Nodes)
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
			out = append(out, Init{Node: n.Name, Version: want}.change())
		case n.Name == first.Name && world.Cluster.Reachable && !world.Cluster.Initialised, n.Name == first.Name && !world.Cluster.Reachable && !world.Member(n):
			out = append(out, Init{Node: n.Name, Version: want, Again: true}.change())
		case !world.Member(n) && state.Touched():
			out = append(out, Join{Node: n.Name, Version: want, Again: true}.change())
		case !world.Member(n):
			out = append(out, Join{Node: n.Name, Version: want}.change())
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
		out = append(out, plan.Change{Place: n.Name, Group: Group, Kind: kind, Name: name, Action: a, Summary: fmt.Sprintf(format, args...)})
	}
	state := world.Nodes[n.Name]
	differ := nodeDiffers(w, n, state)
	if v := outdated(w, world, n); v != "" {
		out = append(out, Upgrade{Node: n.Name, From: v, To: w.Intent.Versions.Kubernetes}.change())
	} else {
		if len(differ.pods) > 0 {
			out = append(out, Settings{Node: n.Name, What: differ.pods}.change())
		}
		if names := renewals(state.Certificates, now); len(names) > 0 { // an upgrade renews them all
			out = append(out, Renewal{Node: n.Name, Names: names}.change())
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

// nodeDifferences are what the Node object lacks: labels, and the taints that would keep everything else off a cluster
// that has no other nodes. Only a Node that is there is touched (the original makes a bogus one where the names
// differ).
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

// RenewBefore is how long before its end a certificate is renewed: kubeadm's last a year.
const RenewBefore = 60 * 24 * time.Hour

// renewals are certificates that are to be renewed: not authorities, which would change everything else.
func renewals(have []host.Certificate, now time.Time) []string {
	var out []string
	for _, c := range have {
		if !c.CA && c.Until.Before(now.Add(RenewBefore)) {
			out = append(out, path.Base(c.Path))
		}
	}
	return out
}
