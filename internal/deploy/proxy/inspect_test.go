package proxy_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
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

// lookedAt is a host that is looked at by shell script, and on which nobody may do more.
type lookedAt struct {
	deploytest.Agent

	t     *testing.T
	hangs int // from this look on; 0: never
	asked int
}

func (l *lookedAt) Call(context.Context, string, string, any, any, func(json.RawMessage)) error {
	l.t.Error("an agent was brought to " + l.Host)
	return errors.New("no agent")
}

func (l *lookedAt) Script(_ context.Context, script string) (string, error) {
	l.asked++
	if l.hangs > 0 && l.asked >= l.hangs {
		return "", errors.New("host " + l.Host + ": no answer")
	}
	out := "T 1764000000.0 1000.0\n" // there is nothing of all that
	for line := range strings.Lines(script) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "u '"); ok {
			out += fmt.Sprintf("U %s %s\n", base64.StdEncoding.EncodeToString([]byte(strings.TrimSuffix(name, "'"))), base64.StdEncoding.EncodeToString([]byte("LoadState=not-found\n")))
		}
	}
	return out + "E\n", nil
}

// A plan brings nothing to hosts that have only a proxy, and one of them that hangs is named, whenever it does.
func TestProxiesAreLookedAtWithoutAnAgent(t *testing.T) {
	for _, hangs := range []int{1, 2} {
		w := deploytest.Network(t, 3)
		hosts, lost := w.Hosts()
		for _, h := range w.In.Proxy.Hosts {
			if !proxy.Alone(w.In, h.Name) {
				t.Errorf("%s is taken for more than a proxy's host", h.Name)
			}
			one := &lookedAt{Agent: deploytest.Agent{Host: h.Name}, t: t}
			if h.Name == "net2" {
				one.hangs = hangs
			}
			hosts[h.Name] = one
		}
		if proxy.Alone(w.In, w.In.Nodes[0].PhysicalHost) {
			t.Error("a node's host is taken for a proxy's")
		}
		o := site.LookOutside(t.Context(), hosts, lost)
		proxies := proxy.Inspect(t.Context(), o, w.In, "")
		wanted := deploytest.Want(t, w.In, deploytest.Facts(w.In))
		wanted.Proxies = proxies.Runs
		world := deploytest.Converged(wanted)
		copies := kubeconfigs.Look(t.Context(), o.Hosts, o.Lost, deploy.CopiesFrom(o.Hosts, wanted, world, w.Dial))
		for _, skip := range []bool{false, true} {
			s, err := deploy.LookAtServices(t.Context(), o, wanted, world, magnum.World{}, deploy.ServiceOptions{Program: deploytest.Blob("8"), Skip: skip, Proxies: proxies, Dial: w.Dial})
			if err != nil {
				t.Fatalf("a host that hangs from look %d on: %v", hangs, err)
			}
			p := s.Plan(copies.Plan(deploy.Diff(wanted, world, deploytest.Now()), nil))
			for _, name := range []string{"net1", "net2", "net3"} {
				planned := slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Place == name && c.Kind == "service" && c.Action == plan.Create })
				if planned != (name != "net2") {
					t.Errorf("%s: planned %v: %v", name, planned, deploytest.Only(p))
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
		hosts["net2"].(*lookedAt).hangs = 1
		if s, err := deploy.LookAtServices(ctx, o, wanted, world, magnum.World{}, deploy.ServiceOptions{Program: deploytest.Blob("8"), Proxies: proxies, Dial: w.Dial}); hangs == 2 && err == nil {
			t.Errorf("who interrupts a look is told of hosts that hang: %+v", s.Notes)
		}
	}
}
