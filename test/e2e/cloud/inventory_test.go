package cloud

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// inventory is everything that a project has in the cloud, by kind.
func (w *world) inventory(t *testing.T) map[string][]string {
	t.Helper()
	out := w.mustExec(t, 2*time.Minute, w.tenant, "/usr/bin/python3", "-c", inventoryScript)
	have := map[string][]string{}
	if err := json.Unmarshal([]byte(out), &have); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return have
}

// One process: the openstack command takes seconds for each list.
const inventoryScript = `
import json, openstack
c = openstack.connect(); p = c.current_project_id
print(json.dumps({
 'servers': sorted(s.name for s in c.compute.servers()),
 'ports': sorted((x.name or x.id) + ' ' + x.device_owner for x in c.network.ports(project_id=p)),
 'networks': sorted(x.name for x in c.network.networks(project_id=p)),
 'routers': sorted(x.name for x in c.network.routers(project_id=p)),
 'security groups': sorted(x.name for x in c.network.security_groups(project_id=p)),
 'floating addresses': sorted(x.floating_ip_address for x in c.network.ips(project_id=p)),
 'load balancers': sorted(x.name for x in c.load_balancer.load_balancers()),
 'server groups': sorted(x.name for x in c.compute.server_groups()),
 'volumes': sorted(x.name for x in c.block_storage.volumes()),
 'application credentials': sorted(x.name for x in c.identity.application_credentials(user=c.current_user_id)),
}))`

// nothingLeft compares what the project has with what it had, and looks for what a cluster has left in the management cluster.
func (w *world) nothingLeft(t *testing.T, before map[string][]string, c shown) {
	t.Helper()
	if diff := cmp.Diff(before, w.inventory(t)); diff != "" {
		t.Errorf("the project has something else than before (-before +after):\n%s", diff)
	}
	out, err := w.manage(t, "get", "secrets,clusters,machines,openstackclusters,openstackservers,openstackmachines,magnumclusters,magnumnodegroups", "-o", "name")
	if err != nil {
		t.Error(err)
	}
	for name := range strings.Lines(out) {
		if !w.joined || strings.Contains(name, c.Stack) || strings.Contains(name, c.UUID) { // others work with one that was there before
			t.Errorf("left in the management cluster: %s", name)
		}
	}
}
