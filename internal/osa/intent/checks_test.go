package intent_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// edit changes one file of the clean directory: old text for new, or, without old text, more at its end.
type edit struct{ file, old, new string }

func numbered() osa.Draw {
	n := 0
	return osa.Draw{Suffix: func() string { n++; return fmt.Sprintf("%08x", n) }, Pick: func(uint64) uint64 { return 0 }}
}

// clean lays the clean directory down with some edits, and the inventory that belongs to it.
func clean(t *testing.T, edits ...edit) intent.Options {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/clean.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
	}
	for _, e := range edits {
		if e.old != "" && strings.Count(files[e.file], e.old) != 1 {
			t.Fatalf("%s does not have %q once", e.file, e.old)
		}
		if e.old == "" {
			files[e.file] += e.new + "\n"
		} else {
			files[e.file] = strings.Replace(files[e.file], e.old, e.new, 1)
		}
	}
	dir := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	opts := intent.Options{Config: dir, Environment: environment(t), Release: "33.0.1", System: "testdata/nowhere", Draw: numbered(), Env: func(string) (string, bool) { return "", false }}
	src, err := osa.Load(osa.Options{Config: dir, Environment: opts.Environment, Release: opts.Release, System: opts.System})
	if err != nil {
		t.Fatal(err)
	}
	if res, err := osa.Generate(src, numbered()); err == nil {
		text, err := osa.WriteJSON(res.Inventory.Root())
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, osa.InventoryFile), string(text))
	}
	return opts
}

// environment is the part of the release's env.d that these tests need: reading all of it takes most of the time.
func environment(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"k8s", "haproxy", "magnum", "neutron", "nova", "shared-infra", "os-infra", "utility"} {
		text, err := os.ReadFile(filepath.Join("../testdata/base/33.0.1/env.d", name+".yml"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "env.d", name+".yml"), string(text))
	}
	return dir
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func findings(t *testing.T, opts intent.Options) osa.Findings {
	t.Helper()
	_, found, err := intent.Read(opts)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Nothing is found where nothing is wrong: so every case below shows that its finding does not fire by itself.
func TestCleanConfiguration(t *testing.T) {
	for _, f := range findings(t, clean(t)) {
		if f.Code != "ignored" { // the directory is one that the playbooks could deploy, too
			t.Errorf("found: %s", f)
		}
	}
}

const (
	user        = "openstack_user_config.yml"
	nodes       = "conf.d/k8s.yml"
	vars        = "user_variables.yml"
	k8s         = "group_vars/k8s_all/main.yml"
	lb          = "group_vars/k8s_all/haproxy_service.yml"
	magnum      = "group_vars/magnum_all/main.yml"
	rc          = "user.rc"
	secretsFile = "user_secrets.yml"
	proxies     = "  POD_IP: \"{{ management_address }}\"\n"
)

// Each case changes the clean directory in one way. want is "severity code place", where place is file:line as far as
// it is given; everything that is found must be among want, and all of want found.
func TestFindings(t *testing.T) {
	other := authority(t, true)
	const copies = "cluster_api_backups_enabled: true\ncluster_api_backups_recipients: [age1h6hvg6nma2x2jzzld5y64gw7rffqydhhesuxrmgfujkksuhc4f4sed2j6t]\ncluster_api_backups_copies:\n"
	for _, c := range []struct {
		name   string
		edits  []edit
		change func(*intent.Options)
		want   []string
	}{
		{
			name: "no internal VIP", edits: []edit{{user, "  internal_lb_vip_address: 172.29.236.9\n", ""}},
			want: []string{"error vip-missing openstack_user_config.yml", "error cannot-evaluate group_vars/k8s_all/main.yml:9", "error cannot-evaluate group_vars/k8s_all/haproxy_service.yml:12", "error api-not-bound group_vars/k8s_all"},
		},
		{name: "no external VIP", edits: []edit{{user, "  external_lb_vip_address: openstack.example.com\n", ""}}, want: []string{"warning vip-missing openstack_user_config.yml"}},
		{name: "a VIP that a host has", edits: []edit{{user, "internal_lb_vip_address: 172.29.236.9", "internal_lb_vip_address: 172.29.236.21"}}, want: []string{"error vip-taken openstack_user_config.yml:7"}},
		{name: "a VIP that is no address", edits: []edit{{user, "internal_lb_vip_address: 172.29.236.9", "internal_lb_vip_address: 172.29.236.999"}}, want: []string{"error address-invalid openstack_user_config.yml:7"}},
		{name: "a VIP with a prefix", edits: []edit{{user, "internal_lb_vip_address: 172.29.236.9", "internal_lb_vip_address: 172.29.236.9/22"}}, want: []string{"error address-invalid openstack_user_config.yml:7"}},
		{name: "a VIP that is the network", edits: []edit{{user, "internal_lb_vip_address: 172.29.236.9", "internal_lb_vip_address: 172.29.236.0"}}, want: []string{"error address-invalid openstack_user_config.yml:7"}},
		{
			name: "one load balancer, and the VIP is another host's", edits: []edit{
				{user, "load_balancer_hosts: *controllers", "load_balancer_hosts: {infra1: {ip: 172.29.236.11}}"},
				{user, "internal_lb_vip_address: 172.29.236.9", "internal_lb_vip_address: 172.29.236.12"},
			},
			want: []string{"error vip-taken openstack_user_config.yml:7"},
		},
		{
			name: "one load balancer, whose address is the VIP", edits: []edit{
				{user, "load_balancer_hosts: *controllers", "load_balancer_hosts: {infra1: {ip: 172.29.236.11}}"},
				{user, "internal_lb_vip_address: 172.29.236.9", "internal_lb_vip_address: 172.29.236.11"},
			},
		},
		{name: "a password set twice", edits: []edit{{secretsFile, "", "magnum_service_password: another-canary"}}, want: []string{"warning duplicate-key user_secrets.yml:4"}},
		{name: "a host's address with a comma", edits: []edit{{user, "compute1: {ip: 172.29.236.21}", "compute1: {ip: '172.29.236,21'}"}}, want: []string{"error address-invalid openstack_user_config.yml:26"}},
		{name: "a load balancer of IPv6", edits: []edit{{user, "load_balancer_hosts: *controllers", "load_balancer_hosts: {lb1: {ip: 'fd00::10'}}"}}, want: []string{"note address-outside", "error ipv6 openstack_user_config.yml:23"}},
		{name: "a VIP that a container may get", edits: []edit{{user, "internal_lb_vip_address: 172.29.236.9", "internal_lb_vip_address: 172.29.237.9"}}, want: []string{"warning vip-not-reserved openstack_user_config.yml:7"}},
		{name: "pods without a range", edits: []edit{{k8s, "172.29.192.0/21", "172.29.192.0"}}, want: []string{"error cidr-invalid group_vars/k8s_all/main.yml:1"}},
		{name: "pods in IPv6", edits: []edit{{k8s, "172.29.192.0/21", "fd00::/48"}}, want: []string{"error cidr-invalid group_vars/k8s_all/main.yml:1"}},
		{name: "a network that is none", edits: []edit{{user, "172.29.240.0/22", "172.29.240.0-23"}}, want: []string{"error cidr openstack_user_config.yml:3"}},
		{
			name: "pods over the management network", edits: []edit{{k8s, "172.29.192.0/21", "172.29.236.0/21"}},
			want: []string{"warning cidr-overlap group_vars/k8s_all/main.yml:1", "warning cidr-address group_vars/k8s_all/main.yml:1", "warning cidr-address group_vars/k8s_all/main.yml:1"},
		},
		{name: "pods over services", edits: []edit{{k8s, "172.29.192.0/21", "10.100.0.0/21"}}, want: []string{"warning cidr-overlap group_vars/k8s_all/main.yml:1"}},
		{name: "services over a network", edits: []edit{{user, "172.29.240.0/22", "10.96.4.0/22"}}, want: []string{"warning cidr-overlap openstack_user_config.yml:3"}},
		{name: "lxcbr0 over a network", edits: []edit{{user, "172.29.240.0/22", "10.0.0.0/22"}}, want: []string{"error cidr-overlap openstack_user_config.yml:3"}},
		{name: "Cilium's own range", edits: []edit{{k8s, "cilium_ipv4_cidr: 172.29.192.0/21\n", ""}}, want: []string{"warning cidr-overlap group_vars/k8s_all", "warning cidr-overlap group_vars/k8s_all"}},
		{name: "room for fewer nodes than there are", edits: []edit{{k8s, "172.29.192.0/21", "172.29.192.0/23"}}, want: []string{"error pod-cidr-small group_vars/k8s_all/main.yml:1"}},
		{name: "room for no node", edits: []edit{{k8s, "172.29.192.0/21", "172.29.192.0/25"}}, want: []string{"error pod-cidr-small group_vars/k8s_all/main.yml:1"}},
		{name: "room for the nodes and no other", edits: []edit{{k8s, "172.29.192.0/21", "172.29.192.0/23"}, {nodes, "  infra3: {ip: 172.29.236.13}\n", ""}}, want: []string{"warning pod-cidr-small group_vars/k8s_all/main.yml:1", "warning even-nodes"}},
		{name: "containers that were never written down", change: func(o *intent.Options) { _ = os.Remove(filepath.Join(o.Config, osa.InventoryFile)) }, want: []string{"warning not-in-inventory openstack_inventory.json"}},
		{name: "no nodes", edits: []edit{{nodes, "cluster_api_hosts:\n  infra1: {ip: 172.29.236.11}\n  infra2: {ip: 172.29.236.12}\n  infra3: {ip: 172.29.236.13}\n", ""}}, want: []string{"error no-nodes conf.d/k8s.yml"}},
		{name: "two nodes", edits: []edit{{nodes, "  infra3: {ip: 172.29.236.13}\n", ""}}, want: []string{"warning even-nodes"}},
		{name: "nodes on one host", edits: []edit{{nodes, "  infra1: {ip: 172.29.236.11}\n", "  infra1: {ip: 172.29.236.11, affinity: {k8s_container: 3}}\n"}}, want: []string{"warning same-host"}},
		{name: "a node on metal", edits: []edit{{nodes, "  infra3: {ip: 172.29.236.13}\n", "  infra3: {ip: 172.29.236.13, no_containers: true}\n"}}, want: []string{"warning metal openstack_inventory.json", "warning address-twice", "error control-plane-group group_vars/k8s_all/main.yml:8"}},
		{name: "Open vSwitch", edits: []edit{{user, "container_bridge: br-mgmt\n", "container_bridge: br-mgmt\n        container_bridge_type: openvswitch\n"}}, want: []string{"warning bridge-type", "warning bridge-type", "warning bridge-type"}},
		{name: "nspawn", edits: []edit{{nodes, "  infra3: {ip: 172.29.236.13}\n", "  infra3: {ip: 172.29.236.13, container_vars: {container_tech: nspawn}}\n"}}, want: []string{"error container-tech"}},
		{name: "an address elsewhere", edits: []edit{{k8s, `kubelet_node_ip: "{{ management_address }}"`, "kubelet_node_ip: 192.0.2.7"}}, want: []string{"warning node-ip group_vars/k8s_all/main.yml:7", "warning node-ip group_vars/k8s_all/main.yml:7", "warning node-ip group_vars/k8s_all/main.yml:7"}},
		{name: "no address", edits: []edit{{k8s, `kubelet_node_ip: "{{ management_address }}"`, "kubelet_node_ip: eth1"}}, want: []string{"error node-ip group_vars/k8s_all/main.yml:7", "error node-ip group_vars/k8s_all/main.yml:7", "error node-ip group_vars/k8s_all/main.yml:7"}},
		{name: "another node name", edits: []edit{{k8s, "{{ inventory_hostname | lower }}", "k-{{ inventory_hostname | lower }}"}}, want: []string{"warning node-name group_vars/k8s_all/main.yml:6", "warning node-name group_vars/k8s_all/main.yml:6", "warning node-name group_vars/k8s_all/main.yml:6"}},
		{name: "no node name", edits: []edit{{k8s, "{{ inventory_hostname | lower }}", "{{ inventory_hostname | lower }}_x"}}, want: []string{"error node-name", "error node-name", "error node-name"}},
		{name: "one name for all", edits: []edit{{k8s, "{{ inventory_hostname | lower }}", "node"}}, want: []string{"error node-name-twice", "error node-name-twice", "warning node-name", "warning node-name", "warning node-name"}},
		{name: "facts nobody gathered", edits: []edit{{k8s, "{{ inventory_hostname | lower }}", "{{ ansible_facts['hostname'] | lower }}"}}, want: []string{"note no-facts group_vars/k8s_all/main.yml:6"}},
		{name: "facts somebody gathered", edits: []edit{{k8s, "{{ inventory_hostname | lower }}", "{{ ansible_facts['hostname'] | lower }}"}}, change: func(o *intent.Options) {
			o.HostFacts = map[string]map[string]string{}
			for i := 1; i <= 9; i++ {
				name := fmt.Sprintf("infra%d-k8s-container-%08x", (i-1)%3+1, i)
				o.HostFacts[name] = map[string]string{"hostname": name}
			}
			in, _, _ := intent.Read(*o)
			for _, n := range in.Nodes {
				o.HostFacts[n.Name] = map[string]string{"hostname": n.Name}
			}
		}},
		{name: "two numbers", edits: []edit{{k8s, "kubernetes_version: 1.36.1", "kubernetes_version: 1.36"}}, want: []string{"error kubernetes-version group_vars/k8s_all/main.yml:11"}},
		{name: "no version", edits: []edit{{k8s, "kubernetes_version: 1.36.1\n", ""}}, want: []string{"note kubernetes-default group_vars/k8s_all"}},
		{name: "a version that is none", edits: []edit{{k8s, "cluster_api_version: 1.13.2", "cluster_api_version: latest"}}, want: []string{"error version-invalid group_vars/k8s_all/main.yml:3"}},
		{name: "Kubernetes too new", edits: []edit{{k8s, "kubernetes_version: 1.36.1", "kubernetes_version: 1.37.0"}}, want: []string{"error version-matrix group_vars/k8s_all/main.yml:11"}},
		{name: "Kubernetes too old", edits: []edit{{k8s, "kubernetes_version: 1.36.1", "kubernetes_version: 1.28.13"}}, want: []string{"error version-matrix group_vars/k8s_all/main.yml:11"}},
		{name: "Cluster API one patch too old", edits: []edit{{k8s, "clusterctl_version: 1.13.2\ncluster_api_version: 1.13.2", "clusterctl_version: 1.13.0\ncluster_api_version: 1.13.0"}}, want: []string{"error version-matrix group_vars/k8s_all/main.yml:3", "note workload-join group_vars/k8s_all/main.yml:3"}},
		{name: "provider needs a newer Cluster API", edits: []edit{{k8s, "clusterctl_version: 1.13.2\ncluster_api_version: 1.13.2", "clusterctl_version: 1.11.11\ncluster_api_version: 1.11.11"}, {k8s, "kubernetes_version: 1.36.1", "kubernetes_version: 1.34.1"}}, want: []string{"error version-matrix group_vars/k8s_all/main.yml:5", "warning proxy-prefix"}},
		{name: "unknown Cluster API", edits: []edit{{k8s, "clusterctl_version: 1.13.2\ncluster_api_version: 1.13.2", "clusterctl_version: 1.99.0\ncluster_api_version: 1.99.0"}}, want: []string{"warning version-unknown group_vars/k8s_all/main.yml:3"}},
		{name: "clusterctl of another release", edits: []edit{{k8s, "clusterctl_version: 1.13.2", "clusterctl_version: 1.6.0"}}, want: []string{"warning clusterctl-version group_vars/k8s_all/main.yml:2"}},
		{name: "three providers, two versions", edits: []edit{{k8s, "", "cluster_api_bootstrap_version: 1.13.1"}}, want: []string{"warning capi-skew group_vars/k8s_all/main.yml:17"}},
		{name: "another infrastructure", edits: []edit{{k8s, "provider: openstack", "provider: docker"}}, want: []string{"error infrastructure group_vars/k8s_all/main.yml:4"}},
		{name: "image and manifests of two versions", edits: []edit{{k8s, "", "openstack_resource_controller_image_tag: v2.2.0"}}, want: []string{"warning orc-skew group_vars/k8s_all/main.yml:17"}},
		{name: "containerd 1", edits: []edit{{k8s, "", "containerd_version: 1.7.32"}}, want: []string{"note containerd-1 group_vars/k8s_all/main.yml:17"}},
		{name: "Magnum without an account", edits: []edit{{secretsFile, "magnum_service_password: canary-of-magnum\nkeystone_auth_admin_password: canary-of-keystone\n", ""}}, want: []string{"warning magnum-password user_secrets.yml", "warning keystone-password user_secrets.yml"}},
		{name: "Magnum by Jeroboam, without an account", edits: []edit{{secretsFile, "magnum_service_password: canary-of-magnum\n", ""}, {vars, "", "magnum_implementation: Jeroboam"}}, want: []string{"error magnum-password user_secrets.yml"}},
		{name: "Magnum's own needs no account of us", edits: []edit{{secretsFile, "magnum_service_password: canary-of-magnum\n", ""}, {vars, "", "magnum_implementation: magnum"}}},
		{name: "Magnum by nobody", edits: []edit{{vars, "", "magnum_implementation: heat"}}, want: []string{"error magnum-implementation user_variables.yml:8"}},
		{name: "a proxy by nobody", edits: []edit{{vars, "", "magnum_proxy_implementation: heat"}}, want: []string{"error proxy-implementation user_variables.yml:8"}},
		{name: "Magnum behind TLS", edits: []edit{{vars, "", "magnum_implementation: jeroboam\nmagnum_backend_ssl: true"}}, want: []string{"error magnum-certificate user_variables.yml:9"}},
		{name: "Magnum behind TLS that load balancers do not speak", edits: []edit{{vars, "", "magnum_implementation: jeroboam\nhaproxy_magnum_service_overrides: {haproxy_backend_ssl: true}"}}, want: []string{"error magnum-backend-ssl user_variables.yml:9"}},
		{name: "Magnum behind TLS with files that are not there", edits: []edit{{vars, "", "magnum_implementation: jeroboam\nmagnum_backend_ssl: true\nmagnum_user_ssl_cert: /nowhere/m.crt\nmagnum_user_ssl_key: /nowhere/m.key"}}, want: []string{"error magnum-certificate", "error magnum-certificate", "error magnum-certificate"}},
		{name: "the driver of a branch", edits: []edit{{vars, "v0.24.2", "main"}}, want: []string{"note driver-branch user_variables.yml:2"}},
		{name: "a driver in Rust", edits: []edit{{vars, "v0.24.2", "v0.33.0"}}, want: []string{"note driver-rust user_variables.yml:2"}},
		{name: "no control plane host", edits: []edit{{k8s, "kubernetes_hostname: \"{{ internal_lb_vip_address }}\"\n", ""}}, want: []string{"error control-plane-host", "error api-not-bound"}},
		{name: "control plane on the external VIP", edits: []edit{{k8s, "{{ internal_lb_vip_address }}", "{{ external_lb_vip_address }}"}}, want: []string{"warning control-plane-host group_vars/k8s_all/main.yml:9", "error api-not-bound", "error api-not-bound", "error api-not-bound"}},
		{name: "a group without the nodes", edits: []edit{{k8s, "group: k8s_container", "group: controllers"}}, want: []string{"error control-plane-group group_vars/k8s_all/main.yml:8"}},
		{name: "conntrack in containers", edits: []edit{{k8s, "kubernetes_non_init_namespace: true\n", ""}}, want: []string{"error conntrack-namespace"}},
		{name: "half an issuer", edits: []edit{{k8s, "", "kubernetes_oidc_issuer_url: https://sso.example.com"}}, want: []string{"error oidc group_vars/k8s_all/main.yml:17"}},
		{name: "conntrack of the containers", edits: []edit{{vars, "openstack_host_nf_conntrack_max: 1572864\n", ""}, {k8s, "", "openstack_host_nf_conntrack_max: 1572864"}}, want: []string{"note conntrack-host group_vars/k8s_all/main.yml:17"}},
		{name: "keys of LXD", edits: []edit{{k8s, "  - \"lxc.apparmor.profile=unconfined\"\n", "  - \"lxc.apparmor.profile=unconfined\"\n  - security.nesting=true\n"}}, want: []string{"note lxd-key group_vars/k8s_all/main.yml:12"}},
		{name: "read-only sys", edits: []edit{{k8s, "  - \"sys:rw\"\n", ""}}, want: []string{"error mount-auto group_vars/k8s_all/main.yml:14"}},
		{name: "confined", edits: []edit{{k8s, "profile=unconfined", "profile=generated"}}, want: []string{"error apparmor", "error apparmor", "error apparmor"}},
		{name: "confined where there is no AppArmor", edits: []edit{{k8s, "lxc_container_config_list:\n  - \"lxc.apparmor.profile=unconfined\"\n", ""}}, change: func(o *intent.Options) {
			o.HostFacts = map[string]map[string]string{}
			for i := 1; i <= 3; i++ {
				o.HostFacts[fmt.Sprintf("infra%d", i)] = map[string]string{"os_family": "RedHat"}
			}
		}},
		{name: "OpenStack-Ansible's own Kubernetes", edits: []edit{{rc, "export ANSIBLE_SKIP_TAGS=k8s,cluster-api,k8s-backups\n", ""}}, want: []string{"warning own-kubernetes user.rc"}},
		{name: "its own Kubernetes by half", edits: []edit{{rc, "", "export ANSIBLE_SKIP_TAGS='k8s,other' # not all"}}, want: []string{"warning own-kubernetes user.rc:2"}},
		{name: "tags that the shell keeps to itself", edits: []edit{{rc, "export ", ""}}, want: []string{"warning own-kubernetes user.rc"}},
		{name: "an internal VIP of IPv6", edits: []edit{{user, "internal_lb_vip_address: 172.29.236.9", "internal_lb_vip_address: 'fd00::9'"}}, want: []string{"error ipv6 openstack_user_config.yml:7"}},
		{name: "an external VIP of IPv6", edits: []edit{{user, "openstack.example.com", "'2001:db8::8'"}}},
		{name: "nodes of IPv6", edits: []edit{{k8s, `kubelet_node_ip: "{{ management_address }}"`, "kubelet_node_ip: 'fd00::11'"}}, want: []string{"error ipv6", "error ipv6", "error ipv6", "warning node-ip", "warning node-ip", "warning node-ip"}},
		{name: "a management network of IPv6", edits: []edit{{user, "management: 172.29.236.0/22", "management: 'fd00:1::/64'"}, {user, "  - \"172.29.236.1,172.29.236.50\"\n", "  - 'fd00:1::1,fd00:1::50'\n"}}, want: []string{"error ipv6", "note address-outside", "note address-outside", "note address-outside", "note address-outside"}},
		{name: "overlay on overlay", edits: []edit{{k8s, "", "lxc_container_backing_store: zfs"}}, want: []string{"warning backing-store", "warning backing-store", "warning backing-store"}},
		{name: "copies on overlay", edits: []edit{{k8s, "", "lxc_container_backing_store: overlayfs\ncontainerd_snapshotter: native"}}},
		{name: "small volumes", edits: []edit{{k8s, "", "lxc_container_backing_store: lvm"}}, want: []string{"warning fs-size", "warning fs-size", "warning fs-size"}},
		{name: "no restarts", edits: []edit{{k8s, "", "lxc_container_allow_restarts: false"}}, want: []string{"note no-restarts", "note no-restarts", "note no-restarts"}},
		{name: "nodes that differ", edits: []edit{{nodes, "  infra3: {ip: 172.29.236.13}\n", "  infra3: {ip: 172.29.236.13, container_vars: {kubernetes_image_repository: mirror}}\n"}}, change: func(o *intent.Options) {}, want: []string{"warning nodes-differ"}},
		{
			name: "values that nobody would understand",
			edits: []edit{{k8s, "", "containerd_snapshotter: zfs\ncontainerd_debug_level: chatty\ncontainerd_storage_dir: var\n" +
				"cilium_helm_values: {tunnelProtocol: gre, tunnelPort: many, MTU: -1, operator: {replicas: 0}}"}},
			want: []string{
				"error value-invalid " + k8s, "error value-invalid " + k8s, "error value-invalid " + k8s, "error value-invalid " + k8s,
				"error value-invalid " + k8s, "error value-invalid " + k8s, "error value-invalid " + k8s,
			},
		},
		{name: "values that are understood", edits: []edit{{k8s, "", "containerd_snapshotter: native\ncontainerd_debug_level: warn\ncilium_helm_values: {tunnelProtocol: vxlan, tunnelPort: '8473', MTU: 1400, operator: {replicas: 2}}"}}},
		{name: "the proxy's environment", edits: []edit{{vars, proxies, proxies + "  PROXY_PROT: \"1\"\n  A-B: c\n"}}, want: []string{"error proxy-environment " + vars, "warning proxy-environment " + vars}},
		{name: "the proxy's address", edits: []edit{{vars, proxies, proxies + "  HTTPS_PROXY: \"a\\nb\"\n"}, {vars, "  PROXY_BIND: \"{{ management_address }}\"\n", "  PROXY_BIND: everywhere\n"}}, want: []string{"error proxy-environment " + vars, "error proxy-environment " + vars}},
		{name: "a name that a template puts together", edits: []edit{{k8s, "", "kubelet_name_a: x\nhelm_wait: \"{{ lookup('vars', 'kubelet_name_' ~ 'x', default='y') }}\""}}},
		{name: "a variable that mentions only itself", edits: []edit{{vars, "", "kubernetes_vrsion: \"{{ kubernetes_vrsion | default(1) }}\""}}, want: []string{"warning unknown-variable user_variables.yml:"}},
		{name: "a group's name is misspelt, another is gone, and a host", edits: []edit{{"group_vars/k8s_al.yml", "", "a: b"}, {"group_vars/README", "", "text: [that nobody reads"}, {"host_vars/gone.example.com/main.yml", "", "a: {b"}}, want: []string{"warning unknown-group group_vars/k8s_al.yml", "note unknown-group group_vars/README", "note unknown-group host_vars/gone.example.com"}},
		{name: "another number is meant", edits: []edit{{vars, "", "keystone_service_internalurl: http://a"}, {"host_vars/infra4.yml", "", "a: b"}, {vars, "", "cilium_ipv6_cidr: fd00::/64"}}, want: []string{"warning unknown-variable user_variables.yml:", "note unknown-group host_vars/infra4.yml"}},
		{name: "variables of the roles' own", edits: []edit{{k8s, "", "containerd_cfg_dir: /etc/x\nkubectl_download_url: http://a"}}},
		{name: "a file that another one hides", edits: []edit{{"group_vars/k8s_all.yml", "", "a: b"}}, want: []string{"warning unknown-group group_vars/k8s_all.yml"}},
		{name: "a letter is missing", edits: []edit{{vars, "", "kubernetes_vrsion: 1.36.1"}}, want: []string{"warning unknown-variable user_variables.yml:"}},
		{name: "two letters are swapped", edits: []edit{{vars, "", "cluster_api_bakcups_enabled: true"}}, want: []string{"warning unknown-variable user_variables.yml:"}},
		{name: "no role has it", edits: []edit{{k8s, "", "kubernetes_service_cidr: 10.97.0.0/16"}}, want: []string{"warning unknown-variable " + k8s}},
		{name: "a template needs it", edits: []edit{{k8s, "kubernetes_version: 1.36.1\n", "kubernetes_wanted: 1.36.1\nkubernetes_version: \"{{ kubernetes_wanted }}\"\n"}}},
		{name: "keys the role does not know", edits: []edit{{lb, "  haproxy_port: 6443\n", "  haproxy_port: 6443\n  haproxy_interval: '15000'\n"}}, want: []string{"warning haproxy-ignored group_vars/k8s_all/haproxy_service.yml:6"}},
		{name: "two services of a name", edits: []edit{{lb, "", "  - {haproxy_service_name: k8s, haproxy_port: 1, haproxy_backend_nodes: [], haproxy_service_enabled: false}"}}, want: []string{"error service-twice group_vars/k8s_all/haproxy_service.yml:13"}},
		{name: "TLS where it is passed through", edits: []edit{{lb, "haproxy_ssl: false", "haproxy_ssl: true"}}, want: []string{"note haproxy-tls group_vars/k8s_all/haproxy_service.yml:4"}},
		{name: "the API outside", edits: []edit{{lb, "haproxy_k8s_service_overrides:\n  haproxy_bind:\n    - address: \"{{ haproxy_bind_internal_lb_vip_address | default(internal_lb_vip_address) }}\"\n", ""}}, want: []string{"warning api-exposed group_vars/k8s_all/haproxy_service.yml"}},
		{name: "the API outside for some", edits: []edit{{lb, "haproxy_k8s_service_overrides:\n  haproxy_bind:\n    - address: \"{{ haproxy_bind_internal_lb_vip_address | default(internal_lb_vip_address) }}\"\n", "haproxy_k8s_service_overrides: {haproxy_allowlist_networks: [172.29.236.0/22]}\n"}}},
		{name: "the API on another port", edits: []edit{{lb, "haproxy_port: 6443", "haproxy_port: 8443"}}, want: []string{"error api-not-bound", "error api-not-bound", "error api-not-bound"}},
		{name: "the API turned off", edits: []edit{{lb, "enabled: true", "enabled: false"}}, want: []string{"error api-not-bound", "error api-not-bound", "error api-not-bound"}},
		{name: "API servers elsewhere", edits: []edit{{lb, "  haproxy_port: 6443\n", "  haproxy_port: 6443\n  haproxy_backend_port: 443\n"}}, want: []string{"error api-backend-port", "error api-backend-port", "error api-backend-port", "error api-backend-port", "error api-backend-port", "error api-backend-port", "error api-backend-port", "error api-backend-port", "error api-backend-port"}},
		{name: "HTTP in front of the API", edits: []edit{{lb, "type: tcp", "type: http"}}, want: []string{"error api-mode group_vars/k8s_all/haproxy_service.yml:6", "error api-mode", "error api-mode"}},
		{name: "a node without a back end", edits: []edit{{lb, "groups['k8s_all'] | default([])", "groups['k8s_all'][1:]"}}, want: []string{"warning backend-nodes group_vars/k8s_all/haproxy_service.yml:3"}},
		{name: "a back end without a host", edits: []edit{{lb, "groups['k8s_all'] | default([])", "groups['k8s_all'] + ['gone']"}}, want: []string{"error haproxy-node group_vars/k8s_all/haproxy_service.yml:3"}},
		{name: "a port that is none", edits: []edit{{lb, "haproxy_port: 6443", "haproxy_port: https"}}, want: []string{"error haproxy-type group_vars/k8s_all/haproxy_service.yml:5", "error api-not-bound", "error api-not-bound", "error api-not-bound"}},
		{name: "no load balancer", edits: []edit{{user, "load_balancer_hosts: *controllers\n", ""}}, want: []string{"warning no-haproxy openstack_user_config.yml"}},
		{name: "authorities by half", edits: []edit{{k8s, "", "kubernetes_allow_custom_ca: true"}}, want: []string{"error custom-ca-missing group_vars/k8s_all/main.yml:17", "error custom-ca-missing", "error custom-ca-missing"}},
		{name: "authorities for nothing", edits: []edit{{k8s, "", "kubernetes_custom_ca_cert: x"}}, want: []string{"warning custom-ca-unused"}},
		{name: "authorities that are none", edits: customCA(t, authority(t, false)), want: []string{"error custom-ca-invalid", "error custom-ca-invalid", "error custom-ca-invalid"}},
		{name: "keys of other certificates", edits: append(customCA(t, authority(t, true)), edit{"user_secrets.yml", "", indent("kubernetes_custom_ca_key", other.key)}), want: []string{"error custom-ca-invalid user_secrets.yml", "warning duplicate-key user_secrets.yml"}},
		{name: "authorities as they should be", edits: customCA(t, authority(t, true))},
		{name: "a key in clear", edits: append(customCA(t, other), edit{vars, "", indent("kubernetes_custom_ca_key", other.key)}), want: []string{"warning plain-key user_variables.yml:8"}},
		{name: "certificates nobody looks at", edits: []edit{{k8s, "", "download_artifact_validate_certs: false"}}, want: []string{"warning no-validation group_vars/k8s_all/main.yml:17"}},
		{name: "a URL that is none", edits: []edit{{k8s, "", "kubeadm_download_url: mirror/kubeadm"}}, want: []string{"error url-invalid group_vars/k8s_all/main.yml:17"}},
		{name: "a registry with a scheme", edits: []edit{{k8s, "", "containerd_insecure_registries: ['http://mirror:5000']"}}, want: []string{"error registry-invalid group_vars/k8s_all/main.yml:17"}},
		{
			name: "registries with mistakes, all at once",
			edits: []edit{{k8s, "", "containerd_insecure_registries: ['h:1']\ncontainerd_registries:\n" +
				"  https://quay.io: {mirrors: ['https://m']}\n  a: {mirrors: [m, 'https://u:p@m', 'http://m'], username: u, password: p}\n" +
				"  b: {ca: /etc/ca.crt}\n  c: {username: u}\n  d: {}\n  e: {mirors: [x], ca: x}\n  'h:1': {mirrors: ['https://m']}"}},
			want: slices.Repeat([]string{"error registry-invalid"}, 10),
		},
		{name: "registries as they should be", edits: []edit{{k8s, "", indent("containerd_registries: {quay.io: {mirrors: ['https://m/quay', 'http://n']}, 'r.example:5000': {username: u, password: '{{ kubernetes_secret | default(1) }}'}}\nunused", "x")}}},
		{name: "a proxy before the API", edits: []edit{{vars, "", "http_proxy: http://proxy:3128"}}, want: []string{"warning no-proxy"}},
		{name: "a proxy beside the API", edits: []edit{{vars, "", "http_proxy: http://proxy:3128\nno_proxy: localhost,172.29.236.9"}}},
		{name: "no Magnum", edits: []edit{{user, "magnum_infra_hosts: *controllers\n", ""}}, want: []string{"warning no-magnum openstack_user_config.yml"}},
		{name: "the option no driver reads", edits: []edit{{magnum, "endpoint_type: internalURL", "endpoint: internalURL"}}, want: []string{"warning capi-endpoint group_vars/magnum_all/main.yml:8"}},
		{name: "a driver that is not allowed", edits: []edit{{magnum, "default_network_driver: calico", "default_network_driver: cilium"}}, want: []string{"error network-driver group_vars/magnum_all/main.yml:11"}},
		{name: "certificates in no Barbican", edits: []edit{{magnum, "  certificates:\n    cert_manager_type: x509keypair\n", ""}}, want: []string{"warning no-barbican"}},
		{name: "no driver", edits: []edit{{magnum, "magnum_user_pip_packages:\n  - \"git+https://github.com/vexxhost/magnum-cluster-api@{{ magnum_magnum_cluster_api_git_install_branch }}#egg=magnum-cluster-api\"\n", ""}, {"user-collection-requirements.yml", "", "collections: [{name: vexxhost.kubernetes, version: main}]"}}, want: []string{"warning driver-missing", "warning proxy-prefix"}},
		{name: "trust in public authorities", edits: []edit{{magnum, "  drivers:\n    openstack_ca_file: /usr/local/share/ca-certificates/ExampleCorpRoot.crt\n", ""}, {"user-collection-requirements.yml", "", "collections: [{name: vexxhost.kubernetes, version: main}]"}}, want: []string{"warning ca-unset", "warning proxy-prefix"}},
		{name: "a relative path", edits: []edit{{magnum, "    ca_file: /usr/local/share/ca-certificates/ExampleCorpRoot.crt", "    ca_file: root.crt"}}, want: []string{"error ca-path group_vars/magnum_all/main.yml:7"}},
		{name: "an authority nobody installs", edits: []edit{{magnum, "    ca_file: /usr/local/share/ca-certificates/ExampleCorpRoot.crt", "    ca_file: /usr/local/share/ca-certificates/Other.crt"}}, want: []string{"warning ca-unknown group_vars/magnum_all/main.yml:7"}},
		{name: "Debian's path on another", change: func(o *intent.Options) {
			in, _, _ := intent.Read(*o)
			o.HostFacts = map[string]map[string]string{in.Magnum.Hosts[0].Name: {"os_family": "RedHat"}}
		}, want: []string{"error ca-path group_vars/magnum_all/main.yml:5", "error ca-path group_vars/magnum_all/main.yml:7"}},
		{name: "a mapping that replaces another", edits: []edit{{vars, "", "magnum_config_overrides: {nova_client: {api_version: '2.15'}}"}}, want: []string{"warning replaced-mapping user_variables.yml:8", "warning no-barbican"}},
		{name: "proxies named where it has no effect", edits: []edit{{vars, "mcapi_vexxhost_proxy_hosts: compute_hosts\n", ""}, {k8s, "", "mcapi_vexxhost_proxy_hosts: compute_hosts"}}, want: []string{"warning proxy-hosts-ignored group_vars/k8s_all/main.yml:17", "warning proxy-hosts-unknown"}},
		{name: "proxies that are nowhere", edits: []edit{{vars, "proxy_hosts: compute_hosts", "proxy_hosts: nowhere"}}, want: []string{"warning proxy-hosts-unknown user_variables.yml:3"}},
		{name: "no proxies", edits: []edit{{vars, "mcapi_vexxhost_proxy_hosts: compute_hosts\n", ""}}, want: []string{"note no-proxy-hosts"}},
		{name: "an address of its own", edits: []edit{{vars, proxies, ""}}, want: []string{"note pod-ip user_variables.yml"}},
		{name: "always although not", edits: []edit{{vars, proxies, proxies + "  PROXY_ALWAYS: 0\n"}}, want: []string{"warning proxy-always user_variables.yml"}},
		{name: "a port for proxies that is none", edits: []edit{{vars, "PROXY_PORT: 44355", "PROXY_PORT: 443555"}}, want: []string{"error proxy-port user_variables.yml"}},
		{name: "two versions of the driver", edits: []edit{{vars, "magnum_magnum_cluster_api_git_install_branch: v0.24.2\n", ""}, {magnum, "", "magnum_magnum_cluster_api_git_install_branch: v0.24.2"}}, want: []string{"warning proxy-version"}},
		{name: "proxies on load balancers", edits: []edit{{vars, "proxy_hosts: compute_hosts", "proxy_hosts: infra1"}}, want: []string{"note proxy-haproxy user_variables.yml:3"}},
		{name: "the other release's names", edits: []edit{{vars, "magnum_capi_vexxhost_proxy_environment", "mcapi_vexxhost_proxy_environment"}}, want: []string{"warning proxy-prefix user_variables.yml:4"}},
		{name: "backups that nobody could open", edits: []edit{{k8s, "", "cluster_api_backups_enabled: true"}}, want: []string{"error backup-recipients group_vars/k8s_all/main.yml:17"}},
		{name: "backups", edits: []edit{{k8s, "", "cluster_api_backups_enabled: true\ncluster_api_backups_recipients: [age1h6hvg6nma2x2jzzld5y64gw7rffqydhhesuxrmgfujkksuhc4f4sed2j6t]"}}},
		{name: "backups for no key", edits: []edit{{k8s, "", "cluster_api_backups_enabled: true\ncluster_api_backups_recipients: [age1x]"}}, want: []string{"error backup-recipients group_vars/k8s_all/main.yml:18"}},
		{name: "backups for a secret key", edits: []edit{{k8s, "", "cluster_api_backups_enabled: true\ncluster_api_backups_recipients: [AGE-SECRET-KEY-1AZWUTDWJM05RQHTPW9QUH8SDXPAT62KT6DGZVG0N7MD4LHMTM50QPDDEJP]"}}, want: []string{"error backup-recipients group_vars/k8s_all/main.yml:18"}},
		{name: "backups kept nowhere", edits: []edit{{k8s, "", "cluster_api_backups_enabled: true\ncluster_api_backups_recipients: [age1h6hvg6nma2x2jzzld5y64gw7rffqydhhesuxrmgfujkksuhc4f4sed2j6t]\ncluster_api_backups_keep: 0\ncluster_api_backups_path: backups"}}, want: []string{"error backup-keep group_vars/k8s_all/main.yml:19", "error backup-path group_vars/k8s_all/main.yml:20"}},
		{name: "backups for a group", edits: []edit{{k8s, "", "cluster_api_backups_enabled: true\ncluster_api_backups_recipients: [age1h6hvg6nma2x2jzzld5y64gw7rffqydhhesuxrmgfujkksuhc4f4sed2j6t]\ncluster_api_backups_group_name: backup"}}, want: []string{"note backup-ignored group_vars/k8s_all/main.yml:19"}},
		{name: "copies of backups", edits: []edit{{k8s, "", copies + "- {url: 'file:///mnt/elsewhere/backups', keep: 30}\n- {url: 's3://store:9000/backups/cloud', access_key: a, secret_key: b, region: r}"}}},
		{name: "copies of backups that are not possible", edits: []edit{{k8s, "", copies + "- {url: 's3://store', keys: 1}\n- {url: 'file:///mnt/x'}\n- {url: 'file:///mnt/x', keep: many}\n- 7"}}, want: []string{
			"error wrong-type group_vars/k8s_all/main.yml:19", "error backup-copy group_vars/k8s_all/main.yml:19", "error backup-copy group_vars/k8s_all/main.yml:19",
			"error backup-copy group_vars/k8s_all/main.yml:19", "error backup-copy group_vars/k8s_all/main.yml:19", "error backup-copy group_vars/k8s_all/main.yml:19",
		}},
		{name: "backups from nowhere", edits: []edit{{k8s, "", "cluster_api_backups_nodes: [gone]"}}, want: []string{"error backup-node group_vars/k8s_all/main.yml:17"}},
		{name: "a repository that is a URL", edits: []edit{{k8s, "", "kubernetes_image_repository: https://mirror:5000/k8s"}}, want: []string{"error registry-invalid group_vars/k8s_all/main.yml:17"}},
		{name: "a repository with a slash at its end", edits: []edit{{k8s, "", "kubernetes_image_repository: mirror:5000/k8s/"}}, want: []string{"error registry-invalid group_vars/k8s_all/main.yml:17"}},
		{name: "a repository", edits: []edit{{k8s, "", "kubernetes_image_repository: mirror.example.com:5000/k8s_a/b-c"}}},
		{name: "a key twice", edits: []edit{{k8s, "", "kubernetes_version: 1.36.0"}}, want: []string{"warning duplicate-key group_vars/k8s_all/main.yml"}},
		{name: "a netmask instead of a length", edits: []edit{{user, "172.29.240.0/22", "172.29.240.0/255.255.252.0"}}},
		{name: "an overlap behind a netmask", edits: []edit{{user, "172.29.240.0/22", "172.29.192.0/255.255.252.0"}}, want: []string{"warning cidr-overlap group_vars/k8s_all/main.yml:1"}},
		{name: "a variable that cannot be evaluated", edits: []edit{{k8s, "172.29.192.0/21", "\"{{ nowhere }}\""}}, want: []string{"error cannot-evaluate group_vars/k8s_all/main.yml:1"}},
		{name: "a list where text belongs", edits: []edit{{k8s, "172.29.192.0/21", "[172.29.192.0/21]"}}, want: []string{"error wrong-type group_vars/k8s_all/main.yml:1", "error cidr-invalid group_vars/k8s_all/main.yml:1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := clean(t, c.edits...)
			if c.change != nil {
				c.change(&opts)
			}
			got := slices.DeleteFunc(findings(t, opts), func(f osa.Finding) bool { return f.Code == "ignored" }) // TestIgnored
			left := slices.Clone(c.want)
			for _, f := range got {
				line := fmt.Sprintf("%s %s %s", f.Severity, f.Code, strings.TrimPrefix(f.Pos.String(), opts.Config+"/"))
				i := slices.IndexFunc(left, func(w string) bool { return line == w || strings.HasPrefix(line, w) })
				if i < 0 && !slices.ContainsFunc(c.want, func(w string) bool { return strings.HasPrefix(line, w) }) {
					t.Errorf("found as well: %s", f)
				}
				if i >= 0 {
					left = slices.Delete(left, i, i+1)
				}
				if f.Fix == "" || f.Pos.File == "" {
					t.Errorf("no place or no remedy: %s", f)
				}
			}
			told := map[string]bool{}
			for _, f := range got {
				told[f.Severity.String()+" "+f.Code] = true
			}
			for _, w := range left {
				if words := strings.Fields(w); !told[words[0]+" "+words[1]] || len(words) > 2 {
					t.Errorf("not found: %s (found: %v)", w, got)
				}
			}
		})
	}
}

type pair struct{ cert, key string }

func authority(t *testing.T, ca bool) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: ca, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))}
}

func indent(name, text string) string {
	return name + ": |\n  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

func customCA(t *testing.T, p pair) []edit {
	t.Helper()
	out := []edit{{k8s, "", "kubernetes_allow_custom_ca: true"}}
	for _, name := range []string{"ca", "etcd_ca", "front_proxy_ca"} {
		out = append(out, edit{"user_secrets.yml", "", indent("kubernetes_custom_"+name+"_cert", p.cert)}, edit{"user_secrets.yml", "", indent("kubernetes_custom_"+name+"_key", p.key)})
	}
	return out
}
