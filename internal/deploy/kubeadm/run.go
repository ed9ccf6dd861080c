package kubeadm

import (
	"context"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Run is kubeadm's part of a run that changes things: what of it the plan has.
type Run struct {
	site.Run
	Wanted Wanted
	World  World
	Plan   plan.Plan
	Dial   site.Dialer
	// Nudge tells load balancers of a node's API server as soon as it serves, until what it returns is called.
	Nudge func(ctx context.Context, n intent.Node) (stop func())

	mu     sync.Mutex
	joined map[string]bool // nodes that became members in this run
}

// RollStep and SnapshotStep are what a run says that it is doing, in words.
const (
	RollStep     = "change nodes of the cluster"
	SnapshotStep = "take a snapshot of etcd"
)

// Members are the nodes that are part of the control plane, in order: those that were, and those that joined in this
// run.
func (r *Run) Members() []intent.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []intent.Node
	for _, n := range r.Wanted.Living() {
		if r.joined[n.Name] || r.World.Member(n) {
			out = append(out, n)
		}
	}
	return out
}

func (r *Run) becomes(n intent.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.joined == nil {
		r.joined = map[string]bool{}
	}
	r.joined[n.Name] = true
}

func (r *Run) place(n intent.Node) site.Place { return r.Wanted.Places[n.Name] }

// api connects to a node's own API server.
func (r *Run) api(ctx context.Context, n intent.Node) (client.Client, error) {
	return r.Dial(ctx, r.Hosts, r.place(n), r.Wanted.Server(n))
}

// ServingAPI connects to the API server of the first member that serves.
func (r *Run) ServingAPI(ctx context.Context) (client.Client, error) {
	return r.api(ctx, r.FirstServing(ctx))
}
