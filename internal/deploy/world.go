package deploy

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/backups"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// World is how everything is.
type World struct {
	site.Seen
	// Nodes are by container.
	Nodes map[string]host.Node
	// Cluster is what the API server says.
	Cluster Cluster
	// Alive is what is seen of nodes that are declared gone.
	Alive Alive
}

// Inspect looks at everything that Wanted names. It changes nothing.
func Inspect(ctx context.Context, h site.Hosts, w Wanted, d site.Dialer) (World, error) {
	world := World{
		Seen:  site.NotLooked(len(w.Items)),
		Nodes: map[string]host.Node{},
	}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	for name, p := range w.Places {
		if slices.Contains(w.Gone, name) {
			continue
		}
		running, there := w.Facts[p.Host].Containers[p.Container]
		switch {
		case h[p.Host] == nil:
			world.Unseen[name] = true
			continue
		case p.Container != "" && there && !running:
			world.Sleeping[name] = true
			continue
		case p.Container != "" && !there:
			world.Closed[name] = true
			continue
		}
		var at []int
		var items []host.Item
		for i, item := range w.Items {
			if item.Place == name {
				at, items = append(at, i), append(items, item)
			}
		}
		g.Go(func() error {
			have, err := site.Ask[host.Observed](gctx, h, p, host.OpObserve, items)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for n, i := range at {
				world.Items[i] = have[n]
			}
			return nil
		})
	}
	for _, n := range w.Intent.Nodes {
		p, known := w.Places[n.Name]
		if !known || world.Closed[n.Name] || w.OutOfReach(world.Seen, n.Name) {
			continue
		}
		g.Go(func() error {
			state, err := site.Ask[host.Node](gctx, h, p, host.OpNode, host.NodeQuery{EtcdMember: n.NodeName, Settings: true, Directory: backups.On(w.Intent, n)})
			mu.Lock()
			defer mu.Unlock()
			world.Nodes[n.Name] = state
			return err
		})
	}
	g.Go(func() error {
		world.Alive = lookForLife(gctx, h, w)
		return nil
	})
	if err := g.Wait(); err != nil {
		return world, err
	}
	var err error
	world.Cluster, err = inspectCluster(ctx, h, w, world, d)
	return world, err
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

// member says whether a node is part of the control plane: its etcd member votes, and something of kubeadm's is there. A node
// that only does not answer is still one, and one of which files are missing is a broken one: a join is not begun again where a
// member votes. What a join leaves that was killed before its member voted is none.
func (w World) member(n intent.Node) bool {
	state := w.Nodes[n.Name]
	if w.anyMembers() {
		// kubeadm lets etcd's member vote when all its manifests are there. One that is missing was in kubeadm's hands when an
		// upgrade was killed: it moves the old one away before it moves the new one in.
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

// bootstrap is the node that a cluster begins with, or began with.
func (w World) bootstrap(nodes []intent.Node) intent.Node {
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
