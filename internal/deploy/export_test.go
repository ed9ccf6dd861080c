package deploy

import (
	"context"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/backups"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// What tests see beside what the package shows to others: each is the one of the same name.

func Basis(w Wanted, world World, c kubeconfigs.Copies, s Services) ([]plan.Part, error) {
	return basis(w, world, c, s)
}

func (s *Session) Holds(p plan.Plan, reviewed *plan.File) error { return s.holds(p, reviewed) }

func RestorePlan(w Wanted, world World, r backups.Restore, now time.Time) (plan.Plan, World) {
	return restorePlan(w, world, r, now)
}

func Nothing(in intent.Intent, facts map[string]host.Facts) Wanted { return nothing(in, facts) }

func DestroyPlan(w Wanted, world World, s Services, l kubeconfigs.Leftovers) plan.Plan {
	return destroyPlan(w, world, s, l)
}

func NoServices(ctx context.Context, o site.Outside, w Wanted, found magnum.World, proxies proxy.World, own string) (Services, error) {
	return noServices(ctx, o, w, found, proxies, own)
}

func (s Services) Except(l kubeconfigs.Leftovers) kubeconfigs.Leftovers { return s.except(l) }

func LookAtLeftovers(ctx context.Context, h site.Hosts, unreached map[string]error, w Wanted) kubeconfigs.Leftovers {
	return lookAtLeftovers(ctx, h, unreached, w)
}

// Snapshot is the step before an upgrade.
func Snapshot(ctx context.Context, d *Deployment) error { return d.snapshot(ctx) }

// GiveBack is the last step.
func GiveBack(ctx context.Context, d *Deployment) error { return d.giveBack(ctx) }

// Steps are the names of a run's steps.
func Steps() []string {
	var out []string
	for _, s := range steps() {
		out = append(out, s.name)
	}
	return out
}

// Sees has a test say what the looks of a command see, when these nodes are gone.
func (r *Rounds) Sees(what func(gone []string) *Session) { r.seen = what }

// Drains says whether a member's pods go elsewhere before it changes.
func Drains(d *Deployment, n intent.Node) bool { return d.drains(n) }
