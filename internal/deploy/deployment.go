package deploy

import (
	"context"
	"sync"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/backups"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Deployment is one run of Apply, with what its steps share.
type Deployment struct {
	site.Run
	Wanted Wanted
	World  World
	Plan   plan.Plan
	Dial   site.Dialer
	// Restore is the backup that the cluster is made of; nil in any other run.
	Restore *backups.Restore
	// Copies are kubeconfigs at other places.
	Copies kubeconfigs.Copies
	// Leftovers are what Destroy finds at other places.
	Leftovers kubeconfigs.Leftovers
	// Services are Magnum and the proxies; Outside are the agents of all hosts that were reached, theirs among them.
	Services Services
	Outside  site.Hosts

	once  sync.Once
	plane *kubeadm.Run // see control
}

// deployment is a run that carries out a plan of the session.
func (s *Session) deployment(p plan.Plan, run site.Run) *Deployment {
	run.Hosts = s.Hosts
	return &Deployment{
		Run: run, Wanted: s.Wanted, World: s.World, Plan: p, Dial: s.dial, Copies: s.Copies, Services: s.Services, Outside: s.Outside.Hosts, Leftovers: s.Leftovers,
	}
}

// restoration is the run that makes the cluster anew of a backup, with its plan. What stands beside the cluster is left
// to apply.
func (s *Session) restoration(archive backups.Restore, run site.Run) *Deployment {
	w := s.Wanted.WithoutGone()
	p, fresh := restorePlan(w, s.World, archive, run.Now())
	p = plan.Judged(s.Copies.Plan(p, kubeadm.Fresh(p)), RestoreJudges(w, s.World, archive)...)
	run.Hosts = s.Hosts
	return &Deployment{Run: run, Wanted: w, World: fresh, Plan: p, Dial: s.dial, Restore: &archive, Copies: s.Copies}
}

// control is kubeadm's part of the run.
func (d *Deployment) control() *kubeadm.Run {
	d.once.Do(func() {
		d.plane = &kubeadm.Run{
			Run: d.Run, Wanted: d.Wanted.Wanted, World: d.World.World, Plan: d.Plan, Dial: d.Dial,
			Nudge: func(ctx context.Context, n intent.Node) func() { return d.api().Nudge(ctx, d.serverOf(n)) },
		}
	})
	return d.plane
}

// plane is a step that is kubeadm's alone.
func plane(do func(*kubeadm.Run, context.Context) error) func(*Deployment, context.Context) error {
	return func(d *Deployment, ctx context.Context) error { return do(d.control(), ctx) }
}

// onRestore is a step that only a restore has.
func onRestore(do func(*Deployment, context.Context) error) func(*Deployment, context.Context) error {
	return func(d *Deployment, ctx context.Context) error {
		if d.Restore == nil {
			return nil
		}
		return do(d, ctx)
	}
}

// work is the run with the cluster's own items.
func (d *Deployment) work() site.Work {
	return site.Work{Run: d.Run, List: d.Wanted.List, Seen: d.World.Seen, Plan: d.Plan, Open: d.Wanted.Bundle.Open}
}

// services is the run as far as services go: the same plan, with the services' own items and hosts.
func (d *Deployment) services() site.Work {
	w := d.work()
	w.Hosts, w.List, w.Seen = d.Outside, d.Services.List, d.Services.Seen
	return w
}

// api is the API behind its load balancers in this run.
func (d *Deployment) api() balance.Service { return balance.API(d.Run, d.Wanted.Intent) }

// serverOf is a node's API server behind them.
func (d *Deployment) serverOf(n intent.Node) balance.Server {
	return balance.APIServer(d.Wanted.Intent, n)
}

func (d *Deployment) place(n intent.Node) site.Place { return d.Wanted.Places[n.Name] }
