package deploy

import (
	"context"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

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
