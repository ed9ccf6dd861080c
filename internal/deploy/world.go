package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// World is how everything is.
type World struct {
	// Items are parallel to Wanted.Items.
	Items []plan.Facts
	// Closed are places that are not there yet. Sleeping are containers that are there and do not run: what is in them is
	// known when they have been started. Unseen are places on hosts that nobody reached, which only status goes on without.
	Closed, Sleeping, Unseen map[string]bool
	// Nodes are by container.
	Nodes map[string]host.Node
	// Cluster is what the API server says.
	Cluster Cluster
	// Alive is what is seen of nodes that are declared gone.
	Alive Alive
}

// Hosts are the agents by physical host.
type Hosts map[string]Agent

// At gives the agent of a place.
func (h Hosts) At(p Place) (Agent, error) {
	a, ok := h[p.Host]
	if !ok {
		return nil, fmt.Errorf("there is no connection to host %s", p.Host)
	}
	return a, nil
}

// Close ends all connections.
func (h Hosts) Close() {
	var all sync.WaitGroup
	for _, a := range h {
		all.Go(func() { _ = a.Close() }) // the agents end by themselves
	}
	all.Wait()
}

// ask calls an agent at a place.
func ask[R any](ctx context.Context, h Hosts, p Place, op string, in any) (R, error) {
	var out R
	a, err := h.At(p)
	if err != nil {
		return out, err
	}
	return out, a.Call(ctx, p.Container, op, in, &out, nil)
}

// Looker is a host that can be looked at without an agent: nothing is brought there before something is to be done. There may be hundreds
// of them, and on most of them nothing changes in a run.
type Looker interface {
	Script(ctx context.Context, script string) (string, error)
}

// looker says whether a place is looked at so.
func (h Hosts) looker(p Place) (Looker, bool) {
	l, ok := h[p.Host].(Looker)
	return l, ok && p.Container == ""
}

// observeAt looks at items of a place.
func observeAt(ctx context.Context, h Hosts, p Place, items []host.Item) ([]plan.Facts, error) {
	if l, ok := h.looker(p); ok && host.Glanceable(items) {
		return host.Glance(ctx, items, l.Script)
	}
	have, err := ask[host.Observed](ctx, h, p, host.OpObserve, items)
	if err == nil && len(have) != len(items) {
		err = errors.New("the agent of " + p.Name() + " did not answer for everything")
	}
	return have, err
}

// Look gathers the facts of all hosts.
func Look(ctx context.Context, h Hosts) (map[string]host.Facts, error) {
	out := map[string]host.Facts{}
	var mu sync.Mutex
	var all sync.WaitGroup
	var errs []error
	for name := range h {
		all.Go(func() {
			f, err := lookAtHost(ctx, h, name)
			mu.Lock()
			defer mu.Unlock()
			out[name], errs = f, append(errs, err)
		})
	}
	all.Wait()
	return out, errors.Join(errs...)
}

// lookAtHost gathers the facts of one host, and how its clock differs from ours.
func lookAtHost(ctx context.Context, h Hosts, name string) (host.Facts, error) {
	asked := time.Now()
	f, err := ask[host.Facts](ctx, h, Place{Host: name}, host.OpFacts, nil)
	f.Clock = clockOf(f, asked, time.Now())
	return f, err
}

// clockOf compares a host's clock with ours. It was read when the request had come there, and the answer left when the host had
// looked around; the two ways in between took the rest, half of it each unless they differ, which is as far as it can be wrong.
func clockOf(f host.Facts, asked, answered time.Time) host.Clock {
	ways := max(answered.Sub(asked)-f.Took, 0)
	return host.Clock{Ahead: f.Now.Sub(asked.Add(ways / 2)), Within: ways / 2}
}

// Inspect looks at everything that Wanted names. It changes nothing.
func Inspect(ctx context.Context, h Hosts, w Wanted, d Dialer) (World, error) {
	world := World{
		Items: make([]plan.Facts, len(w.Items)), Closed: map[string]bool{}, Sleeping: map[string]bool{}, Unseen: map[string]bool{},
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
			have, err := ask[host.Observed](gctx, h, p, host.OpObserve, items)
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
		if !known || world.Closed[n.Name] || w.outOfReach(world, n.Name) {
			continue
		}
		g.Go(func() error {
			state, err := ask[host.Node](gctx, h, p, host.OpNode, host.NodeQuery{EtcdMember: n.NodeName, Settings: true, Directory: backupsOn(w.Intent, n)})
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

// outOfReach says of a place that it could not be looked at, and so nothing is to be done there.
func (w Wanted) outOfReach(world World, place string) bool {
	return slices.Contains(w.Gone, place) || world.Unseen[place] || world.Sleeping[place]
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
