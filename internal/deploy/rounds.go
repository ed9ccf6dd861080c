package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/backups"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Caller is whoever gives a command that changes things.
type Caller interface {
	// Show shows the plan, before anything of it is done.
	Show(p plan.Plan) error
	// Ready says why what is to follow the run could not be done, before anything is changed.
	Ready(in intent.Intent) error
	// Agree is asked whether the plan is meant, unless it was reviewed.
	Agree(p plan.Plan) error
	// Reached is told that a cluster on its way has come to a version of Kubernetes, and which is next.
	Reached(version, next string) error
}

// Rounds is a command that changes things, as a whole: it looks, plans, judges and carries out, and does all of that
// again where more shows than could be seen before.
type Rounds struct {
	Caller Caller
	// Intent is what the configuration asks for, Options what each look goes by. Nodes that are gone leave Options.Replace
	// when their hosts answer again.
	Intent  intent.Intent
	Options Options
	// Allow are the judges whose findings are meant.
	Allow []string
	// Reviewed is the plan that is carried out, and no other; nil if none was kept.
	Reviewed *plan.File
	// Run is what a run works with, but for the hosts.
	Run site.Run

	// seen is what a look sees, in tests of what follows one; nil for a real look.
	seen func(gone []string) *Session
}

// look looks at everything as those do who are going to change something: nothing that earlier runs have left is under
// way any more.
func (r *Rounds) look(ctx context.Context, o Options) (*Session, error) {
	if r.seen != nil {
		return r.seen(o.Replace), nil
	}
	o.Settled = true
	return Look(ctx, r.Intent, o)
}

// Apply makes everything as it should be, and gives the configuration by which it is.
func (r *Rounds) Apply(ctx context.Context) (intent.Intent, error) {
	for {
		in, again, err := r.applyOnce(ctx)
		switch {
		case err != nil:
			return in, err
		case again && r.Reviewed != nil:
			return in, errors.New("all that could be reviewed is done, and there is more now: containers have been started, nodes that were gone are back, or the next minor version is on its way: plan again")
		case !again:
			return in, nil
		}
	}
}

// applyOnce is one round. Another one is needed when containers had to be started to see what is in them, when a
// cluster on its way has reached a version, and when nodes that were gone come back.
func (r *Rounds) applyOnce(ctx context.Context) (in intent.Intent, again bool, err error) {
	s, err := r.look(ctx, r.Options)
	if err != nil {
		return in, false, err
	}
	defer s.Close()
	p := s.Plan(r.Run.Now())
	if err := r.Caller.Show(p); err != nil {
		return in, false, err
	}
	if err := errors.Join(s.holds(p, r.Reviewed), allowed(p, r.Allow), r.Caller.Ready(s.Intent)); err != nil {
		return in, false, err
	}
	if !p.Empty() {
		if r.Reviewed == nil {
			if err := r.Caller.Agree(p); err != nil {
				return in, false, err
			}
		}
		if again, err := s.deployment(p, r.Run).carryOut(ctx); again || err != nil {
			return in, again, err
		}
	}
	if further, err := r.goesOn(ctx, s.Wanted.Chain); further || err != nil {
		return s.Intent, further, err
	}
	return s.Intent, r.comeBack(ctx, s.Intent), nil
}

// Restore makes the management cluster anew from a backup.
func (r *Rounds) Restore(ctx context.Context, archive backups.Restore) error {
	for {
		again, err := r.restoreOnce(ctx, archive)
		if !again {
			return err
		}
	}
}

// PlanRestore shows what Restore would change. It takes no hosts.
func (r *Rounds) PlanRestore(ctx context.Context, archive backups.Restore) error {
	o := r.Options
	o.Hold = nil
	s, err := r.look(ctx, o)
	if err != nil {
		return err
	}
	defer s.Close()
	return r.Caller.Show(s.restoration(archive, r.Run).Plan)
}

// restoreOnce is one round, as of Apply.
func (r *Rounds) restoreOnce(ctx context.Context, archive backups.Restore) (again bool, err error) {
	s, err := r.look(ctx, r.Options)
	if err != nil {
		return false, err
	}
	defer s.Close()
	d := s.restoration(archive, r.Run)
	if err := errors.Join(r.Caller.Show(d.Plan), allowed(d.Plan, r.Allow)); err != nil {
		return false, err
	}
	return d.carryOut(ctx)
}

// Destroy removes what was made, and only that. It needs no bundle.
func (r *Rounds) Destroy(ctx context.Context) error {
	o := r.Options
	o.Settled = true
	s, err := lookToRemove(ctx, r.Intent, o)
	if err != nil {
		return err
	}
	defer s.Close()
	p := destroyPlan(s.Wanted, s.World, s.Services, s.Leftovers)
	if err := errors.Join(r.Caller.Show(p), allowed(p, r.Allow)); err != nil {
		return err
	}
	if err := s.deployment(p, r.Run).Destroy(ctx); err != nil {
		return fmt.Errorf("%w\n(run it again to continue)", err)
	}
	return s.Leftovers.Leave(ctx)
}

// allowed refuses a plan in which something is dangerous that the operator has not allowed.
func allowed(p plan.Plan, allow []string) error {
	judges := map[string]bool{}
	for _, f := range p.Blocked(allow) {
		judges[f.Judge] = true
	}
	if len(judges) == 0 {
		return nil
	}
	return fmt.Errorf("nothing was changed: the plan is dangerous, see above; if that is meant: --allow %s", strings.Join(slices.Sorted(maps.Keys(judges)), " --allow "))
}

// goesOn says between two steps of an old cluster's way that there is another one. Here a run can be stopped: all of
// the cluster has one version, and the next run sees what it is.
func (r *Rounds) goesOn(ctx context.Context, c kubeadm.Chain) (bool, error) {
	rest := c.Rest()
	if len(rest) == 0 {
		return false, nil
	}
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("stopped between two steps, at Kubernetes %s: running again goes on with %s: %w", c.Next(), rest[0], err)
	}
	return true, r.Caller.Reached(c.Next(), rest[0])
}

// comeBack takes nodes off the list of those that are gone whose host answers: they have been taken out, and are made
// anew.
func (r *Rounds) comeBack(ctx context.Context, in intent.Intent) bool {
	gone := r.Options.Replace
	if len(gone) == 0 {
		return false
	}
	hosts, _ := r.Options.Connect(ctx, in, nil) // hosts that do not answer are the question
	hosts.Close()
	r.Options.Replace = comesBack(in, gone, func(name string) bool { return hosts[name] != nil })
	return len(r.Options.Replace) < len(gone)
}

// comesBack says which of the nodes that are declared gone stay so: those whose host does not answer. The others have
// been taken out, and are made anew.
func comesBack(in intent.Intent, gone []string, answers func(physicalHost string) bool) (still []string) {
	for _, n := range in.Nodes {
		for _, name := range gone {
			if n.Name == name && !answers(n.PhysicalHost) {
				still = append(still, name)
			}
		}
	}
	return still
}
