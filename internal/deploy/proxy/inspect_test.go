package proxy_test

import (
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
)

// Hosts that have only a proxy get no agent, and one of them that hangs is lost, and keeps nobody from the others.
func TestProxiesAreLookedAtWithoutAnAgent(t *testing.T) {
	w := deploytest.Network(t, 3)
	hosts, lost := w.Hosts()
	for name, one := range w.Glance(t, "net2", 1) {
		if !proxy.Alone(w.In, name) {
			t.Errorf("%s is taken for more than a proxy's host", name)
		}
		hosts[name] = one
	}
	if proxy.Alone(w.In, w.In.Nodes[0].PhysicalHost) {
		t.Error("a node's host is taken for a proxy's")
	}
	o := site.LookOutside(t.Context(), hosts, lost)
	found := proxy.Inspect(t.Context(), o, w.In, "")
	for _, name := range []string{"net1", "net2", "net3"} {
		_, seen := found.Hosts[name]
		if hangs := name == "net2"; seen == hangs || (o.Lost[name] != nil) != hangs {
			t.Errorf("%s: looked at %v, lost for %v", name, seen, o.Lost[name])
		}
	}
}
