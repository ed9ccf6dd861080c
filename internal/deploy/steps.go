package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/keystone"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/preflight"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
)

type step struct {
	name string
	run  func(*Deployment, context.Context) error
}

// steps is a deployment on one screen. Each does only what the plan has for it; hosts work in parallel inside a step
// unless it says otherwise.
func steps() []step {
	return []step{
		{"bring files to the hosts", (*Deployment).bringFiles},
		{"take out nodes that are gone", plane((*kubeadm.Run).RemoveGone)},
		{"clear what a restore replaces", plane((*kubeadm.Run).ClearOld)},
		{"prepare hosts", (*Deployment).prepareHosts},
		{"make containers", (*Deployment).makeContainers},
		{"look into started containers", (*Deployment).lookAgain},
		{"install nodes", (*Deployment).installNodes},
		{"balance the API", (*Deployment).balance},
		{kubeadm.RestoreStep, onRestore((*Deployment).restore)},
		{"make the cluster", (*Deployment).initialise},
		{"forget old nodes and pods", onRestore(plane((*kubeadm.Run).ForgetOld))},
		{kubeadm.SnapshotStep, (*Deployment).snapshot},
		{"give members new images", (*Deployment).giveImages},
		{"share settings", plane((*kubeadm.Run).Share)},
		{"change nodes of the cluster", (*Deployment).rollNodes}, // one at a time, with gates
		{"change addons", plane((*kubeadm.Run).ChangeAddons)},
		{"join nodes", plane((*kubeadm.Run).Join)}, // one at a time, with gates
		{"label nodes", plane((*kubeadm.Run).Label)},
		{"apply components", (*Deployment).applyComponents},
		{"wait until everything is available", (*Deployment).converge},
		{"wait until restored pods run", onRestore((*Deployment).revived)},
		{kubeconfigs.Step, (*Deployment).copyKubeconfigs},
		{"bring files to services' hosts", (*Deployment).bringServiceFiles},
		{keystone.Step, (*Deployment).register},
		{"make Magnum's containers", (*Deployment).makeServiceContainers},
		{magnum.Step, (*Deployment).changeMagnum}, // one at a time
		{"balance Magnum", (*Deployment).balanceMagnum},
		{proxy.AccessStep, (*Deployment).changeAccess},
		{proxy.Step, (*Deployment).changeProxies},
		{spareStep, (*Deployment).giveBack},
	}
}

// Apply carries the plan out. It stops at the first step that fails; running again goes on from there.
func (d *Deployment) Apply(ctx context.Context) error {
	for _, s := range steps() {
		began := d.Now()
		if err := s.run(d, ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, hint(err))
		}
		if took := d.Now().Sub(began); took > 50*time.Millisecond {
			d.Report(site.Progress{Time: d.Now(), Step: s.name, Text: "done", Took: took})
		}
	}
	return nil
}

// carryOut applies a plan. Again says that containers were started, and another look is needed.
func (d *Deployment) carryOut(ctx context.Context) (again bool, err error) {
	err = d.Apply(ctx)
	switch {
	case errors.Is(err, errLookAgain):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("%w\n(run it again to continue)", err)
	}
	return false, nil
}

// hint says what to do about errors whose text says only what happened.
func hint(err error) error {
	if err != nil && strings.Contains(strings.ToLower(err.Error()), "no space left on device") {
		return fmt.Errorf("%w\nthe disk of that host is full: a node needs %d GiB in /var/lib/lxc and /var/lib/jeroboam, or in its container where that has a volume of its own; make room there", err, preflight.MinimumFree>>30)
	}
	return err
}

// errLookAgain ends a run that has started containers which were stopped: what is in them is in nobody's plan yet.
var errLookAgain = errors.New("containers have been started: inspect and plan again")

func (d *Deployment) lookAgain(context.Context) error {
	if len(d.World.Sleeping) > 0 {
		return errLookAgain
	}
	return nil
}
