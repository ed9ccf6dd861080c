package deploy

import (
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/components"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

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
