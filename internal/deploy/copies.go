package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// copiesOf are all that there can be: Magnum's driver and the collection's proxy work with the administrator's
// kubeconfig, as that collection does it; ours has an account of its own.
//
// Jeroboam's server has an account of its own as well, which its own room makes.
func copiesOf(in intent.Intent, serves, proxies string) []kubeconfigs.Copy {
	var out []kubeconfigs.Copy
	for _, c := range in.Magnum.Hosts {
		if serves == intent.ImplementationJeroboam {
			break
		}
		out = append(out, kubeconfigs.Copy{Place: site.At(c.Where()), Path: in.Magnum.KubeconfigPath, Mode: 0o755, User: "magnum", Group: "magnum", Admin: true})
	}
	for _, h := range in.Proxy.Hosts {
		if proxies == intent.ImplementationJeroboam {
			break
		}
		out = append(
			out,
			kubeconfigs.Copy{Place: site.At(h.Where()), Path: h.Kubeconfig, Mode: 0o750, User: h.User, Group: h.Group, Admin: true, Unit: proxy.Old},
			kubeconfigs.Copy{Place: site.At(h.Where()), Path: proxy.Kubeconfig, Mode: 0o755, User: proxy.User, Group: proxy.User},
		)
	}
	return out
}

// CopiesFrom is where kubeconfigs come from.
func CopiesFrom(h site.Hosts, w Wanted, world World, dial site.Dialer) kubeconfigs.Source {
	s := kubeconfigs.Source{
		Want: copiesOf(w.Intent, w.Serves, w.Proxies), Hosts: h, Admins: map[string]site.Place{}, Server: "https://" + w.Intent.Endpoint(),
		API: apiOf(h, w, world, dial),
	}
	for _, n := range w.Living() {
		if world.Nodes[n.Name].AdminConf {
			s.Admins[n.Name] = w.Places[n.Name]
		}
	}
	return s
}

// copyKubeconfigs writes the copies that the plan has.
func (d *Deployment) copyKubeconfigs(ctx context.Context) error {
	return d.Copies.Apply(ctx, d.Run, d.Plan, func(ctx context.Context, admin bool) (string, error) {
		if !admin {
			return kubeconfigs.Source{Server: "https://" + d.Wanted.Intent.Endpoint(), API: d.control().ServingAPI}.Proxy(ctx)
		}
		text, err := site.Ask[string](ctx, d.Hosts, d.place(d.control().FirstServing(ctx)), host.OpRead, host.AdminConf)
		if err != nil {
			return "", fmt.Errorf("read the administrator's kubeconfig: %w", err)
		}
		return text, nil
	})
}

// lookAtLeftovers finds what a deployment that goes has left at places that are no part of the cluster.
func lookAtLeftovers(ctx context.Context, h site.Hosts, unreached map[string]error, w Wanted) kubeconfigs.Leftovers {
	stays := slices.ContainsFunc(w.Living(), func(n intent.Node) bool {
		_, there := w.Facts[n.PhysicalHost].Containers[n.Name]
		return there && !w.Facts[n.PhysicalHost].Made[n.Name]
	})
	var entered []site.Place
	for _, name := range slices.Sorted(maps.Keys(w.Places)) { // a load balancer's container
		if p := w.Places[name]; p.Container != "" && w.Facts[p.Host].Containers[p.Container] {
			entered = append(entered, p)
		}
	}
	return kubeconfigs.LookAtLeftovers(ctx, h, unreached, copiesOf(w.Intent, "", ""), "https://"+w.Intent.Endpoint(), stays, entered)
}
