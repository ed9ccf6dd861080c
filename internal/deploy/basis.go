package deploy

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// basis is everything that a plan follows from and apply goes by, in parts: what is wanted, and what was seen. What
// moves by itself, such as clocks, heartbeats and the names of backups, is not in it. It has secrets.
func basis(w Wanted, world World, c kubeconfigs.Copies, s Services) ([]plan.Part, error) {
	var out []plan.Part
	var errs []error
	add := func(name string, what any) {
		text, err := json.Marshal(what)
		if err != nil {
			errs = append(errs, fmt.Errorf("write down what a plan follows from, %s: %w", name, err))
		}
		out = append(out, plan.Part{Name: name, Text: text})
	}
	add("the bundle", []any{sums(w), w.Bundle.Versions})
	add("the nodes that are declared gone (--replace)", w.Gone)
	containers := map[string][2]map[string]bool{}
	for name, f := range w.Facts {
		containers[name] = [2]map[string]bool{f.Containers, f.Made}
	}
	add("which hosts and containers are there, and answer", []any{world.Unseen, s.Seen.Unseen, containers})
	for _, n := range w.Intent.Nodes {
		state := world.Nodes[n.Name]
		state.Files = nil
		add("the node "+n.Name, state)
	}
	add("the cluster", clusterBasis(world))
	add("what load balancers say of nodes that are gone", world.Alive)
	add("kubeconfigs at other places", []any{c.Have, c.Sums, c.Proxy})
	add("who serves Magnum, and which proxy its hosts have", []string{w.Serves, w.Proxies})
	for _, l := range []struct {
		list site.List
		seen site.Seen
		what string
	}{{w.List, world.Seen, ""}, {s.List, s.Seen, " of Magnum and the proxies"}} {
		wanted, seen := map[string][]host.Item{}, map[string][]plan.Facts{}
		for i, item := range l.list.Items {
			wanted[item.Place], seen[item.Place] = append(wanted[item.Place], item), append(seen[item.Place], l.seen.Items[i])
		}
		for _, place := range slices.Sorted(maps.Keys(wanted)) {
			add("what configuration, bundle or flags want on "+place+l.what, wanted[place])
			add("what is on "+place+l.what, seen[place])
		}
	}
	return out, errors.Join(errs...)
}

// clusterBasis is what the API server says, without what moves by itself.
func clusterBasis(world World) any {
	type object struct {
		Labels  map[string]string
		Taints  []corev1.Taint
		Kubelet string
		Off     bool
	}
	objects := map[string]object{}
	for name, n := range world.Cluster.Nodes {
		objects[name] = object{n.Labels, n.Spec.Taints, n.Status.NodeInfo.KubeletVersion, n.Spec.Unschedulable}
	}
	return []any{objects, world.Cluster.Shared, world.Running, world.Cluster.Reachable, world.Cluster.Initialised}
}

// componentSum is a component by its content.
type componentSum struct{ Name, Sum string }

func sums(w Wanted) []componentSum {
	var out []componentSum
	for _, c := range w.Bundle.Components {
		out = append(out, componentSum{c.Name, fmt.Sprintf("%x", sha256.Sum256(c.Manifest))})
	}
	return out
}
