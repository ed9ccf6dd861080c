package kubeadm

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Wanted is how the control plane should be.
type Wanted struct {
	site.List
	Intent intent.Intent
	Bundle site.Bundle
	// Facts are the physical hosts'.
	Facts map[string]host.Facts
}

// Living are the nodes that the operator has not declared gone.
func (w Wanted) Living() []intent.Node {
	var out []intent.Node
	for _, n := range w.Intent.Nodes {
		if !slices.Contains(w.Gone, n.Name) {
			out = append(out, n)
		}
	}
	return out
}

// Strangers are nodes that are not part of the control plane yet: nobody minds what is done to them.
func (w Wanted) Strangers(world World) []intent.Node {
	var out []intent.Node
	for _, n := range w.Living() {
		if !world.Member(n) {
			out = append(out, n)
		}
	}
	return out
}

// Server is where a node's own API server listens.
func (w Wanted) Server(n intent.Node) string {
	return net.JoinHostPort(n.NodeIP, fmt.Sprint(w.Intent.Kubernetes.BackendPort))
}

// World is how the control plane is.
type World struct {
	site.Seen
	// Nodes are by container.
	Nodes map[string]host.Node
	// Cluster is what the API server says.
	Cluster Cluster
}

// Look asks the nodes' agents for what kubeadm and etcd have there. Places that are not there or cannot be looked at
// are left out; files names a directory of a node that is listed as well, "" for none.
func Look(ctx context.Context, h site.Hosts, w Wanted, seen site.Seen, files func(intent.Node) string) (map[string]host.Node, error) {
	out := map[string]host.Node{}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range w.Intent.Nodes {
		p, known := w.Places[n.Name]
		if !known || seen.Closed[n.Name] || w.OutOfReach(seen, n.Name) {
			continue
		}
		g.Go(func() error {
			state, err := site.Ask[host.Node](ctx, h, p, host.OpNode, host.NodeQuery{EtcdMember: n.NodeName, Settings: true, Directory: files(n)})
			mu.Lock()
			defer mu.Unlock()
			out[n.Name] = state
			return err
		})
	}
	return out, g.Wait()
}

// listed says whether etcd has a voting member of a node's name.
func (w World) listed(n intent.Node) bool {
	for _, other := range w.Nodes {
		if m, ok := other.Member(n.NodeName); ok && !m.Learner {
			return true
		}
	}
	return false
}

// Member says whether a node is part of the control plane: its etcd member votes, and something of kubeadm's is there.
// A node that only does not answer is still one, and one of which files are missing is a broken one: a join is not
// begun again where a member votes. What a join leaves that was killed before its member voted is none.
func (w World) Member(n intent.Node) bool {
	state := w.Nodes[n.Name]
	if w.anyMembers() {
		// kubeadm lets etcd's member vote when all its manifests are there. One that is missing was in kubeadm's hands when
		// an upgrade was killed: it moves the old one away before it moves the new one in.
		return w.listed(n) && state.Touched()
	}
	if !state.KubeletConf || len(state.StaticPods) == 0 {
		return false
	}
	// Nobody's etcd answers: a finished node counts, or a cluster that is down as a whole would be made anew.
	return state.AdminConf && state.EtcdData
}

// known says whether the cluster has something of a node: an etcd member, even one that does not vote, or a Node.
func (w World) known(n intent.Node) bool {
	_, node := w.Cluster.Nodes[n.NodeName]
	for _, other := range w.Nodes {
		_, member := other.Member(n.NodeName)
		node = node || member
	}
	return node || !w.Cluster.Reachable
}

// lost says whether etcd counts on a node of which there is nothing on its host.
func (w World) lost(n intent.Node) bool {
	_, seen := w.Nodes[n.Name]
	return w.listed(n) && !w.Nodes[n.Name].Touched() && (seen || w.Closed[n.Name]) && !w.Sleeping[n.Name]
}

func (w World) anyMembers() bool {
	for _, n := range w.Nodes {
		if len(n.Members) > 0 {
			return true
		}
	}
	return false
}

// Bootstrap is the node that a cluster begins with, or began with.
func (w World) Bootstrap(nodes []intent.Node) intent.Node {
	for _, test := range []func(host.Node) bool{
		func(n host.Node) bool { return n.AdminConf && n.Healthy() },
		func(n host.Node) bool { return n.AdminConf && len(n.StaticPods) == 4 && n.EtcdData },
		host.Node.Touched,
	} {
		for _, n := range nodes {
			if test(w.Nodes[n.Name]) {
				return n
			}
		}
	}
	return nodes[0]
}
