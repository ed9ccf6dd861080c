package deploy_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// A plan brings nothing to hosts that have only a proxy, and one of them that hangs is named, whenever it does.
func TestAPlanTakesNoAgentToProxies(t *testing.T) {
	for _, look := range []int{1, 2} {
		w := deploytest.Network(t, 3)
		hosts, lost := w.Hosts()
		glanced := w.Glance(t, "net2", look)
		for name, one := range glanced {
			hosts[name] = one
		}
		o := site.LookOutside(t.Context(), hosts, lost)
		proxies := proxy.Inspect(t.Context(), o, w.In, "")
		wanted := want(t, w.In, facts(w.In))
		wanted.Proxies = proxies.Runs
		world := converged(wanted)
		copies := kubeconfigs.Look(t.Context(), o.Hosts, o.Lost, deploy.CopiesFrom(o.Hosts, wanted, world, w.Dial))
		services := func(ctx context.Context, skip bool) (deploy.Services, error) {
			return deploy.LookAtServices(ctx, o, wanted, world, magnum.World{}, deploy.ServiceOptions{Program: blob("8"), Skip: skip, Proxies: proxies, Dial: w.Dial})
		}
		for _, skip := range []bool{false, true} {
			s, err := services(t.Context(), skip)
			if err != nil {
				t.Fatalf("a host that hangs from look %d on: %v", look, err)
			}
			p := s.Plan(copies.Plan(deploy.Diff(wanted, world, now), nil))
			for _, name := range []string{"net1", "net2", "net3"} {
				planned := slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Place == name && c.Kind == "service" && c.Action == plan.Create })
				if planned != (name != "net2") {
					t.Errorf("%s: planned %v: %v", name, planned, only(p))
				}
			}
			named := slices.ContainsFunc(p.Findings, func(f plan.Finding) bool {
				return f.Where == "net2" && strings.Contains(f.Text, "no answer") && f.Blocks != skip
			})
			if blocked := p.Blocked(nil); !named || len(blocked) > 1 {
				t.Errorf("who hangs, skipped %v: %+v", skip, p.Findings)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		glanced["net2"].Hangs = 1
		if s, err := services(ctx, false); look == 2 && err == nil {
			t.Errorf("who interrupts a look is told of hosts that hang: %+v", s.Notes)
		}
	}
}
