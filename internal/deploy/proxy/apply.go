package proxy

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Step and AccessStep are what a run says that it is doing, with the hosts of the proxy and with nodes.
const (
	Step       = "change proxies"
	AccessStep = "give proxies access to kubeconfigs"
)

// Run is the part of a run that is about proxies.
type Run struct {
	site.Work
	Intent intent.Intent
	Found  World
	// Left are those whose tokens end.
	Left []Holder
	// API connects to the management cluster, whose tokens they are.
	API func(ctx context.Context) (client.Client, error)
}

// ApplyAccess changes "jeroboam proxy access" on nodes.
func (r Run) ApplyAccess(ctx context.Context, nodes []intent.Node) error {
	for _, n := range nodes {
		if _, ours := r.List.Places[n.Name]; !ours || !r.Changes(n.Name, GroupAccess) {
			continue
		}
		items, err := r.items(ctx, n.Name, GroupAccess)
		if err == nil {
			err = r.BringItems(ctx, AccessStep, n.Name, items)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// items are a place's, with the tokens that the plan has made now. They stay in memory.
func (r Run) items(ctx context.Context, place, group string) ([]host.Item, error) {
	items := r.List.At(place, group)
	err := r.FillCredentials(ctx, place, items, r.API, func(ctx context.Context, c client.Client, one host.Credential, ca []byte) (string, error) {
		return grant(ctx, c, request{account: accountOf(one.Path), host: place, server: one.Server, ca: ca})
	})
	return items, err
}

// Apply changes the proxies' hosts: those with the old proxy one after the other, so that clusters are always reached
// through the others; then all others at once, because a new process takes over from the older one. All that fails is
// told.
func (r Run) Apply(ctx context.Context) error {
	if err := r.revoke(ctx); err != nil {
		return err
	}
	for _, h := range r.Intent.Proxy.Hosts {
		if r.Found.Hosts[h.Name].Theirs && r.Found.Runs == intent.ImplementationJeroboam {
			if err := r.change(ctx, h, true); err != nil {
				return err
			}
		}
	}
	return site.AtOnce(r.Intent.Proxy.Hosts, func(h intent.ProxyHost) error { return r.change(ctx, h, false) })
}

// change changes one host. among says that there are still hosts with the old proxy, which withdraw what is not
// refreshed.
func (r Run) change(ctx context.Context, h intent.ProxyHost, among bool) error {
	name := site.At(h.Where()).Name()
	if _, ours := r.List.Places[name]; !ours || r.Seen.Unseen[name] || !r.Changes(name, Group) {
		return nil
	}
	began := r.Now()
	items, err := r.items(ctx, name, Group)
	if err != nil {
		return err
	}
	if among {
		items = amongOldHosts(items, h)
	}
	items = append(items, host.Item{Builds: &host.Builds{}}) // not looked for before: that would take an agent to every host
	if err := r.BringItems(ctx, Step, name, items); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.Ended(Step, name, "changed", began)
	return nil
}

// revoke ends the tokens that the plan says.
func (r Run) revoke(ctx context.Context) error {
	var c client.Client
	for _, h := range r.Left {
		if !r.Plan.Touches(site.Cluster, tokenKind, h.name) {
			continue
		}
		if c == nil {
			var err error
			if c, err = r.API(ctx); err != nil {
				return err
			}
		}
		r.Say(Step, h.name, "its token ends")
		if err := revoke(ctx, c, h.account, h.name); err != nil {
			return err
		}
	}
	return nil
}
