package deploy

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/components"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Basis is everything that a plan follows from and apply goes by, as text: what is wanted, and what was seen. What moves by itself, such
// as clocks, heartbeats and the names of backups, is not in it. It has secrets.
func Basis(w Wanted, world World, c kubeconfigs.Copies, s Services) ([]byte, error) {
	type object struct {
		Labels  map[string]string
		Taints  []corev1.Taint
		Kubelet string
		Off     bool
	}
	nodes := map[string]host.Node{}
	for name, n := range world.Nodes {
		n.Files = nil
		nodes[name] = n
	}
	objects := map[string]object{}
	for name, n := range world.Cluster.Nodes {
		objects[name] = object{n.Labels, n.Spec.Taints, n.Status.NodeInfo.KubeletVersion, n.Spec.Unschedulable}
	}
	containers := map[string][2]map[string]bool{}
	for name, f := range w.Facts {
		containers[name] = [2]map[string]bool{f.Containers, f.Made}
	}
	text, err := json.Marshal(struct {
		Items, Services         []host.Item
		Seen, ServicesSeen      []plan.Facts
		Components              []componentSum
		Versions                map[string]string
		Gone                    []string
		Unseen, ServicesUnseen  map[string]bool
		Containers              map[string][2]map[string]bool
		Nodes                   map[string]host.Node
		Objects                 map[string]object
		Shared                  kubeadm.Shared
		Running                 []components.Running
		Reachable, Initialised  bool
		Alive                   Alive
		Copies                  []plan.Facts
		Originals               map[string]string
		Proxy, Serves, ProxyRun string
	}{
		w.Items, s.List.Items, world.Items, s.Seen.Items, sums(w), w.Bundle.Versions, w.Gone, world.Unseen, s.Seen.Unseen, containers, nodes, objects,
		world.Cluster.Shared, world.Running, world.Cluster.Reachable, world.Cluster.Initialised, world.Alive, c.Have, c.Sums, c.Proxy, w.Serves, w.Proxies,
	})
	if err != nil {
		return nil, fmt.Errorf("write down what a plan follows from: %w", err)
	}
	return text, nil
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
