package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// makeDeployDir writes openstack_deploy, the operator's directory: the files of the document Jeroboam started from with
// the lab's hosts, and beside it the release's environment (openstack-ansible-inventory).
func (l *Lab) makeDeployDir(ctx context.Context) error {
	testdata := filepath.Join(l.Source, "internal", "osa", "testdata")
	deploy := l.path("openstack_deploy")
	for from, to := range map[string]string{
		filepath.Join(testdata, "oracle", "ha3", "deploy"): deploy,
		filepath.Join(testdata, "base", release):           l.path("openstack-ansible", "inventory"),
	} {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			return fmt.Errorf("the configuration comes from the source tree: run this in its root, or say where it is with --source: %w", err)
		}
	}
	// Its inventory names containers the lab does not have.
	if err := os.Remove(filepath.Join(deploy, "openstack_inventory.json")); err != nil {
		return err
	}
	files := l.deployFiles()
	if machine.Command(ctx, "unshare", "--net", "ip", "link", "add", "geneve0", "type", "geneve", "external") != nil {
		files["user_lab.yml"] = "# This machine's kernel has no geneve, which Cilium's nodes reach each other through.\ncilium_helm_values:\n  tunnelProtocol: vxlan\n"
	}
	files["user_magnum.yml"] = "# There is no Keystone here, so nobody can serve Magnum.\nmagnum_implementation: magnum\n"
	maps.Copy(files, containersFile(l.HostsOf, l.Containers))
	switch {
	case l.hasKeystone():
		maps.Copy(files, keystoneDeployFiles())
	case l.Cloud != "":
		maps.Copy(files, cloudDeployFiles())
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(deploy, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

const release = "30.1.5"

// deployFiles are the files that name hosts.
func (l *Lab) deployFiles() map[string]string {
	var infra, balancer strings.Builder
	for _, h := range l.Hosts {
		entry := fmt.Sprintf("  %s:\n    ip: %s\n", h.Name, h.Address)
		if h.Balancer {
			balancer.WriteString(entry)
		}
		if strings.HasPrefix(h.Name, "infra") {
			infra.WriteString(entry)
		}
	}
	beside := ""
	switch { // there can be Magnum, and proxies beside Neutron's agents
	case l.hasKeystone():
		beside = "magnum-infra_hosts:\n" + infra.String() + "network_hosts:\n" + infra.String()
	case l.Cloud != "":
		beside = "magnum-infra_hosts:\n" + infra.String() + "network_hosts:\n" + fmt.Sprintf("  %s:\n    ip: %s\n", cloudHost, cloudIP)
	}
	return map[string]string{
		"openstack_user_config.yml": `---
cidr_networks:
  management: 172.29.236.0/22
  tunnel: 172.29.240.0/22
  storage: 172.29.244.0/22
used_ips:
  - "172.29.236.1,172.29.236.50"
  - "172.29.240.1,172.29.240.50"
  - 172.29.244.1
global_overrides:
  internal_lb_vip_address: ` + internalVIP + `
  external_lb_vip_address: ` + external + `
  management_bridge: "br-mgmt"
  provider_networks:
    - network:
        container_bridge: "br-mgmt"
        container_type: "veth"
        container_interface: "eth1"
        ip_from_q: "management"
        type: "raw"
        group_binds:
          - all_containers
          - hosts
        is_management_address: true
` + beside + `load_balancer_hosts:
` + balancer.String(),
		"conf.d/k8s.yml": "cluster-api_hosts:\n" + infra.String(),
	}
}
