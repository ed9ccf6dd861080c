package clusterapi

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// gated is a manager whose runnables wait until open is closed.
//
// After a restart the simulated machines are rebuilt from their objects, and that takes a moment. A controller that
// sees a workload cluster in this moment finds nodes missing, and a machine health check replaces a machine whose node
// is gone at once. So everything but the infrastructure provider is set up through a gated manager.
type gated struct {
	ctrl.Manager
	open <-chan struct{}
}

// Add adds r behind the gate.
func (g gated) Add(r manager.Runnable) error {
	unlimit(r)
	return g.Manager.Add(waiting{r, g.open})
}

type waiting struct {
	manager.Runnable
	open <-chan struct{}
}

func (w waiting) Start(ctx context.Context) error {
	select {
	case <-w.open:
		return w.Runnable.Start(ctx)
	case <-ctx.Done():
		return nil
	}
}

// NeedLeaderElection says false: there is one process, and the data directory's lock sees to that.
func (w waiting) NeedLeaderElection() bool { return false }
