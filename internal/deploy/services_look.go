package deploy

import (
	"context"
	"net/http"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/keystone"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// ServiceOptions are what looking at services needs beside the world.
type ServiceOptions struct {
	// Program is the digest of the program that agents are.
	Program string
	// Proxies are what is on the proxies' hosts; Dial asks the cluster for their tokens.
	Proxies proxy.World
	Dial    site.Dialer
	// Skip says that places which are not reached are left out; otherwise they block the plan.
	Skip bool
	// Login connects to Keystone; nil is the real one.
	Login func(ctx context.Context, want intent.MagnumService, through http.RoundTripper) (keystone.Directory, error)
}

// LookAtServices says how services should be, and looks how they are. It changes nothing.
func LookAtServices(ctx context.Context, o site.Outside, w Wanted, world World, found magnum.World, opts ServiceOptions) (Services, error) {
	s := newServices(o, w, found, opts.Proxies)
	for _, why := range []plan.Finding{found.Why, opts.Proxies.Why} {
		if why.Text != "" {
			s.Notes = append(s.Notes, why)
		}
	}
	if found.Serves == intent.ImplementationJeroboam {
		now := func(h intent.MagnumHost) time.Time { return o.Facts[h.PhysicalHost].Now }
		s.Notes = append(s.Notes, magnum.Ends(w.Intent, now, kubeadm.RenewBefore)...)
	}
	s.wantMagnum(w, world, opts.Program)
	granted, err := proxy.LookAtGrants(ctx, apiOf(o.Hosts, w, world, opts.Dial))
	if err != nil {
		return s, err
	}
	wish := proxy.Wish{Program: opts.Program, Server: "https://" + w.Intent.Endpoint(), Authority: authorityOf(world), Renew: kubeadm.RenewBefore}
	wish.AddTo(&s.List, w.Intent, w.Living(), opts.Proxies, granted, o.Lost)
	s.wantSpare(w)
	s.left = proxy.Left(w.Intent, granted, opts.Proxies.Runs)
	s.reachable(o, opts.Skip)
	err = s.observe(ctx, o.Hosts, func(name string, err error) plan.Finding { return unreachable(name, err.Error(), opts.Skip) })
	if err != nil {
		return s, err
	}
	if found.Serves == intent.ImplementationJeroboam {
		s.account = keystone.Account{Want: w.Intent.Magnum.Service, Through: keystone.Through(o, w.Intent), Login: opts.Login}
		s.Keystone = s.account.Inspect(ctx)
	}
	return s, nil
}
