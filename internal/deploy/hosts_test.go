package deploy_test

import (
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Nobody waits for hosts whose node is gone for good, unless they are something else as well; hosts that have nothing
// but a proxy get no agent.
func TestWhoIsLoggedInTo(t *testing.T) {
	w := deploytest.Network(t, 2)
	w.In.Hosts = append(w.In.Hosts, intent.Host{Name: "compute1"})
	full := seed(t)
	w.In.Magnum.Hosts = full.Magnum.Hosts
	names := func(all []intent.Host) string {
		var out []string
		for _, h := range all {
			out = append(out, h.Name)
		}
		return strings.Join(out, " ")
	}
	gone := []string{w.In.Nodes[2].Name}
	if got := names(deploy.HostsOf(w.In, nil)); got != "infra1 infra2 infra3" {
		t.Errorf("of the cluster: %s", got)
	}
	if got := names(deploy.HostsOf(w.In, gone)); got != "infra1 infra2" {
		t.Errorf("without a node that is gone: %s", got)
	}
	w.In.HAProxy.Hosts = full.HAProxy.Hosts
	if got := names(deploy.HostsOf(w.In, gone)); got != "infra1 infra2 infra3" {
		t.Errorf("its host is a load balancer, too: %s", got)
	}
	agents, light := deploy.HostsBeside(w.In, site.Hosts{"infra1": nil, "infra2": &deploytest.Agent{}, "net2": &deploytest.Agent{}})
	if names(agents) != "infra1 infra3" || names(light) != "net1" {
		t.Errorf("beside the cluster: %s with an agent, %s without", names(agents), names(light))
	}
}
