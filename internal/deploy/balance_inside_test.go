package deploy_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// twoHomes is a host, and a container on it, with facts of their own.
type twoHomes struct {
	deploytest.Agent
	facts map[string]host.Facts
}

func (h *twoHomes) Call(_ context.Context, container, op string, _, out any, _ func(json.RawMessage)) error {
	if f, ok := out.(*host.Facts); ok && op == host.OpFacts {
		*f = h.facts[container]
	}
	return nil
}

const balancer = "infra1-haproxy-container-1a2b3c4d"

// contained is the seed with its first load balancer in a container, and no other.
func contained(t *testing.T) (intent.Intent, intent.HAProxyHost) {
	t.Helper()
	in := seed(t)
	in.HAProxy.Hosts = in.HAProxy.Hosts[:1]
	b := &in.HAProxy.Hosts[0]
	b.Name, b.IsMetal = balancer, false
	return in, *b
}

// What a load balancer in a container has is there: a fragment on its host is nobody's.
func TestABalancerInAContainer(t *testing.T) {
	in, b := contained(t)
	theirs := "# theirs\nfrontend " + b.Services[0].Name + "\n  bind " + in.VIPs.External.Address + ":6443\n"
	agent := &twoHomes{Agent: deploytest.Agent{Host: b.PhysicalHost}, facts: map[string]host.Facts{
		"":       {Containers: map[string]bool{balancer: true}},
		balancer: {Fragments: map[string]string{b.Services[0].Name: theirs}},
	}}
	seen, err := site.Look(t.Context(), site.Hosts{b.PhysicalHost: agent}, balance.Inside(in)...)
	if err != nil {
		t.Fatal(err)
	}
	f := facts(in)
	f[balancer] = seen[balancer]
	fragment := func(w deploy.Wanted) string {
		i := slices.IndexFunc(w.Items, func(i host.Item) bool { return i.Place == balancer && i.File != nil })
		if i < 0 {
			t.Fatal("there is no fragment for the load balancer")
		}
		return w.Items[i].File.Content
	}
	if text := fragment(want(t, in, f)); !strings.Contains(text, "bind "+in.VIPs.External.Address+":") {
		t.Errorf("the address that it has is taken away:\n%s", text)
	}
	delete(f, balancer)
	on := f[b.PhysicalHost]
	on.Fragments = map[string]string{b.Services[0].Name: theirs} // what is left of a time before
	f[b.PhysicalHost] = on
	if text := fragment(want(t, in, f)); strings.Contains(text, "bind "+in.VIPs.External.Address+":") {
		t.Errorf("its host's old fragment decides:\n%s", text)
	}
}

// Destroying looks for our fragments where they are.
func TestDestroyABalancerInAContainer(t *testing.T) {
	in, b := contained(t)
	f := facts(in)
	f[balancer] = host.Facts{Fragments: map[string]string{b.Services[0].Name: host.Mark}}
	w := deploy.Nothing(in, f)
	if !slices.ContainsFunc(w.Items, func(i host.Item) bool { return i.Place == balancer && i.File != nil && i.File.Gone }) {
		t.Errorf("our fragment stays: %+v", w.Items)
	}
}
