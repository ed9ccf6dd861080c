// Package inventory is what a project has in a real cloud, for tests that compare what was there before a cluster with
// what is there after it. It is asked by openstacksdk in one process, because the openstack command takes seconds for
// each list.
package inventory

import (
	"encoding/json"
	"fmt"
)

const script = `
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

// Of is everything that a project has, by kind. run runs a command as a user of the project, and gives what it wrote.
func Of(run func(command ...string) (string, error)) (map[string][]string, error) {
	out, err := run("/usr/bin/python3", "-c", script)
	if err != nil {
		return nil, fmt.Errorf("what the project has: %w", err)
	}
	have := map[string][]string{}
	if err := json.Unmarshal([]byte(out), &have); err != nil {
		return nil, fmt.Errorf("what the project has: %w: %s", err, out)
	}
	return have, nil
}
