package deploy

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/components"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Objects are those that a deployment applies.
func Objects(w Wanted) ([]*unstructured.Unstructured, error) {
	objects, err := components.Objects(w.Intent, w.Bundle)
	var out []*unstructured.Unstructured
	for _, o := range objects {
		out = append(out, o.U)
	}
	return out, err
}

// Needs are the digests of files that a run would bring to each host.
func Needs(w Wanted, world World) map[string][]string {
	return (&Deployment{Wanted: w, World: world}).work().Needs()
}

// Versions are those that run, as a look at the objects of the bundle finds them.
func Versions(ctx context.Context, c client.Client, w Wanted) ([]components.Running, error) {
	_, running, err := components.Compare(ctx, c, w.Intent, w.Bundle)
	return running, err
}

// LookForLife asks load balancers about nodes that are gone.
func LookForLife(ctx context.Context, h site.Hosts, w Wanted) Alive { return lookForLife(ctx, h, w) }

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

// Drains says whether a member's pods go elsewhere before it changes.
func Drains(d *Deployment, n intent.Node) bool { return d.drains(n) }
