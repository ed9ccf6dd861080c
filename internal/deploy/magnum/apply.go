package magnum

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Step is what a run says that it is doing with Magnum's servers.
const Step = "change Magnum's servers"

// Run is the part of a run that is about Magnum's servers.
type Run struct {
	site.Work
	Intent intent.Intent
	Found  World
	// API connects to the management cluster, which signs what servers log in to it with.
	API func(ctx context.Context) (client.Client, error)
	// Divert has clients sent to other servers, until what it returns is called.
	Divert func(ctx context.Context, h intent.MagnumHost) (back func())
}

// Apply changes the servers that the plan has, one after the other: load balancers send clients to the others
// meanwhile, and the next one's turn comes when this one serves.
func (r Run) Apply(ctx context.Context) error {
	for _, h := range r.Intent.Magnum.Hosts {
		name := site.At(h.Where()).Name()
		if _, ours := r.List.Places[name]; !ours || !r.Changes(name, Group) {
			continue
		}
		items, err := r.items(ctx, name)
		if err != nil {
			return err
		}
		began := r.Now()
		back := r.Divert(ctx, h)
		if !h.IsMetal {
			items = append(items, host.Item{Returned: &host.Returned{}})
		}
		err = r.BringItems(ctx, Step, name, items)
		if err == nil && r.Found.Serves == intent.ImplementationJeroboam {
			err = r.serves(ctx, h)
		}
		back()
		if err != nil {
			return err
		}
		r.Ended(Step, name, "changed", began)
	}
	return nil
}

// items are a place's, with the certificates and credentials that the plan has made now. They stay in memory.
func (r Run) items(ctx context.Context, place string) ([]host.Item, error) {
	items := r.List.At(place, Group)
	for n, i := range items {
		if i.Certificate != nil && r.Plan.Touches(place, host.KindServerCertificate, i.Certificate.Path) {
			made, err := sign(r.Intent, *i.Certificate, r.Random, r.Now())
			if err != nil {
				return nil, fmt.Errorf("make a certificate for %s: %w", place, err)
			}
			items[n].Certificate = &made
		}
	}
	err := r.FillCredentials(ctx, place, items, r.API, func(ctx context.Context, c client.Client, one host.Credential, ca []byte) (string, error) {
		return kubeconfig509(ctx, c, request{random: r.Random, place: place, server: one.Server, ca: ca, poll: r.Poll})
	})
	return items, err
}

// serves waits until a server answers where it runs.
func (r Run) serves(ctx context.Context, h intent.MagnumHost) error {
	p := site.At(h.Where())
	err := r.Wait(ctx, Step, p.Name(), 2*time.Minute, func() (bool, string) {
		return site.Answers(ctx, r.Hosts, p, Health(r.Intent, h))
	})
	if err != nil {
		return fmt.Errorf("%w\nits log: journalctl -u %s on %s", err, unit, p.Name())
	}
	return nil
}
