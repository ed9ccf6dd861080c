package capi_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	gold "github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

var update = gold.Flag()

func golden(t *testing.T, name string, objects ...any) {
	t.Helper()
	var b bytes.Buffer
	for i, o := range objects {
		y, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			b.WriteString("---\n")
		}
		b.Write(y)
	}
	gold.Compare(t, *update, name+".yaml", b.String())
}

const (
	imageID   = "8f0c1d0e-6f0a-4f0e-9d4e-3b1f5f0d8a11"
	netID     = "5b2d8f3a-0c57-4f5e-8a3c-0b7a9c1d2e3f"
	subnetID  = "0d9d0c0b-1a2b-4c3d-8e4f-5a6b7c8d9e0f"
	extID     = "c7f1c2d3-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
	groupID   = "1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b"
	clusterID = "7a8f1d0c-52b7-4c1e-9a55-3f3e1a2b4c5d"
)

// aCluster is a small cluster with everything at its default.
func aCluster() (*magnum.Cluster, []*magnum.NodeGroup) {
	c := &magnum.Cluster{
		UUID: clusterID, Name: "k8s", StackID: "kube-abc12", Keypair: "mykey",
		Labels:         map[string]string{"kube_tag": "v1.34.1"},
		MasterFlavorID: "m1.medium", FlavorID: "m1.large", MasterLBEnabled: true,
		Template: magnum.ClusterTemplate{TemplateFields: magnum.TemplateFields{
			ImageID: "ubuntu-24.04", NetworkDriver: "calico", DNSNameserver: "8.8.8.8", ClusterDistro: "ubuntu",
		}},
		Resolved: magnum.Resolved{
			ImageID: imageID, ImageOSDistro: "ubuntu", FlavorName: "m1.large", MasterFlavorName: "m1.medium", ExternalNetworkID: extID,
		},
	}
	return c, []*magnum.NodeGroup{
		{ID: 1, Name: magnum.DefaultMaster, Role: magnum.RoleMaster, IsDefault: true, NodeCount: 1},
		{ID: 2, Name: magnum.DefaultWorker, Role: magnum.RoleWorker, IsDefault: true, NodeCount: 2},
	}
}

type (
	groups  = []*magnum.NodeGroup
	changer = func(*magnum.Cluster, groups) groups
)

type clusterCase struct {
	reason string
	change changer
	opts   capi.Options
}

func clusters() map[string]clusterCase {
	return map[string]clusterCase{
		"one-master":    {"everything at its default", func(_ *magnum.Cluster, g groups) groups { return g }, capi.Options{}},
		"three-masters": {"a control plane that survives a machine", func(_ *magnum.Cluster, g groups) groups { g[0].NodeCount = 3; return g }, capi.Options{}},
		"autoscaling": {
			"the autoscaler owns the count, and knows what a node would be",
			func(c *magnum.Cluster, g groups) groups {
				c.Labels["auto_scaling_enabled"] = "True"
				c.Resolved.FlavorMemoryMiB, c.Resolved.FlavorVCPUs, c.Resolved.FlavorDiskGiB = 8192, 4, 80
				g[1].MinNodeCount, g[1].MaxNodeCount = 1, new(7)
				return g
			},
			capi.Options{},
		},
		"no-floating-ip": {
			"reachable through the proxy only",
			func(c *magnum.Cluster, g groups) groups {
				c.Labels["master_lb_floating_ip_enabled"] = "false"
				return g
			},
			capi.Options{},
		},
		"given-floating-ip": {
			"an address that is in the DNS already",
			func(c *magnum.Cluster, g groups) groups {
				c.Labels["api_server_floating_ip"], c.Labels["api_server_lb_flavor"], c.Labels["api_server_lb_availability_zone"] = "198.51.100.7", "HA large", "az-1"
				return g
			},
			capi.Options{},
		},
		"access": {
			"who may reach the API server and the ports of Services; the management cluster always may; who says it twice is heard once",
			func(c *magnum.Cluster, g groups) groups {
				c.Labels["api_server_allowed_cidrs"], c.Labels["node_port_allowed_cidrs"] = "198.51.100.0/24,192.0.2.0/24,198.51.100.0/24", "0.0.0.0/0,203.0.113.0/24, 0.0.0.0/0"
				return g
			},
			capi.Options{ManagementCIDRs: []string{"192.0.2.0/24", "10.9.0.0/16"}},
		},
		"more-networks": {
			"machines in more networks and security groups, and one group in another one",
			func(c *magnum.Cluster, g groups) groups {
				c.Labels["extra_networks"], c.Labels["extra_security_groups"] = netID, groupID
				return append(g, &magnum.NodeGroup{
					ID: 3, Name: "storage", Role: "worker", NodeCount: 1, Labels: map[string]string{"extra_networks": netID + "," + subnetID, "extra_security_groups": extID},
				})
			},
			capi.Options{},
		},
		"no-load-balancer": {"the floating IP is the first machine's", func(c *magnum.Cluster, g groups) groups { c.MasterLBEnabled = false; return g }, capi.Options{}},
		"made-floating-ip": {
			"an address that outlives the machine that has it",
			func(c *magnum.Cluster, g groups) groups { c.MasterLBEnabled = false; return g },
			capi.Options{APIAddress: "198.51.100.7"},
		},
		"existing-network": {
			"nothing is made in Neutron but ports",
			func(c *magnum.Cluster, g groups) groups {
				c.Resolved.FixedNetworkID, c.Resolved.FixedSubnetID = netID, subnetID
				c.Labels["calico_ipv4pool"] = "10.0.0.0/16"
				return g
			},
			capi.Options{},
		},
		"audit-oidc": {
			"arguments of the API server",
			func(c *magnum.Cluster, g groups) groups {
				for k, v := range map[string]string{
					"audit_log_enabled": "yes", "audit_log_max_age": "7", "oidc_issuer_url": "https://id.example.org/realms/k8s", "oidc_client_id": "kubernetes",
					"oidc_groups_claim": "groups", "oidc_groups_prefix": "oidc:", "api_server_cert_sans": "k8s.example.org, 192.0.2.10",
					"admission_control_list": "AlwaysPullImages,NodeRestriction", "keystone_auth_enabled": "false",
				} {
					c.Labels[k] = v
				}
				return g
			},
			capi.Options{},
		},
		"volumes": {
			"every kind of volume, and a mirror",
			func(c *magnum.Cluster, g groups) groups {
				c.DockerVolumeSize, c.Resolved.HardwareDiskBus = 50, "scsi"
				for k, v := range map[string]string{
					"boot_volume_size": "40", "boot_volume_type": "Premium SSD", "etcd_volume_size": "20", "availability_zone": "az-1",
					"boot_volume_availability_zone": "az-2", "docker_volume_type": "hdd", "container_infra_prefix": "registry.example.org:5000/k8s/",
				} {
					c.Labels[k] = v
				}
				c.Template.HTTPProxy, c.Template.NoProxy = "http://u:p%40ss@proxy.example.org:3128", "10.0.0.0/8 , .example.org"
				return g
			},
			capi.Options{},
		},
		"two-node-groups": {
			"groups differ in everything a group may differ in; one that goes is left out",
			func(c *magnum.Cluster, g groups) groups {
				return append(g,
					&magnum.NodeGroup{
						ID: 3, Name: "gpu", Role: "gpu", NodeCount: 0, FlavorID: "g1.large", ImageID: "gpu-image", DockerVolumeSize: 100,
						Resolved: magnum.Resolved{FlavorName: "g1.large", ImageID: netID, HardwareDiskBus: "virtio"},
						Labels:   map[string]string{"availability_zone": "gpu-az", "boot_volume_size": "100", "server_group_policies": "affinity", "different_failure_domain": "1"},
						NodeLabels: map[string]string{
							"example.org/accelerator": "a100", "node.cluster.x-k8s.io/pool": "gpu", "plain": "",
						},
						NodeTaints: []magnum.Taint{{Key: "example.org/gpu", Value: "yes", Effect: "NoSchedule"}, {Key: "slow", Effect: "NoExecute"}},
					},
					&magnum.NodeGroup{ID: 4, Name: "old", Role: "worker", NodeCount: 1, Status: magnum.DeleteInProgress})
			},
			capi.Options{ServerGroups: map[string]string{magnum.DefaultMaster: groupID, "gpu": subnetID}},
		},
		"flatcar-cilium": {
			"another operating system and network driver",
			func(c *magnum.Cluster, g groups) groups {
				c.Resolved.ImageOSDistro, c.Template.NetworkDriver, c.DockerVolumeSize = "flatcar", "cilium", 20
				c.Labels["octavia_provider"], c.Labels["control_plane_availability_zones"] = "ovn", "az-1,az-2"
				return g
			},
			capi.Options{},
		},
	}
}

func TestCluster(t *testing.T) {
	for name, tc := range clusters() {
		t.Run(name, func(t *testing.T) {
			c, g := aCluster()
			g = tc.change(c, g)
			tc.opts.Class = "jeroboam-openstack-0123456789"
			got, err := capi.Cluster(c, g, tc.opts)
			if err != nil || len(got.Faults)+len(got.Warnings) > 0 {
				t.Fatalf("%s: %v %v %v", tc.reason, err, got.Faults, got.Warnings)
			}
			golden(t, "cluster-"+name, got.Cluster)
		})
	}
}

func TestMakesAPIAddress(t *testing.T) {
	for _, tc := range []struct {
		reason string
		change func(*magnum.Cluster)
		want   bool
	}{
		{"a load balancer holds it", func(*magnum.Cluster) {}, false},
		{"a machine would hold it", func(c *magnum.Cluster) { c.MasterLBEnabled = false }, true},
		{"it is the owner's", func(c *magnum.Cluster) { c.MasterLBEnabled, c.Labels["api_server_floating_ip"] = false, "198.51.100.7" }, false},
		{"there is to be none", func(c *magnum.Cluster) { c.MasterLBEnabled, c.Labels["master_lb_floating_ip_enabled"] = false, "false" }, false},
		{"nobody said of which network", func(c *magnum.Cluster) { c.MasterLBEnabled, c.Resolved.ExternalNetworkID = false, "" }, false},
	} {
		c, _ := aCluster()
		tc.change(c)
		if got := capi.MakesAPIAddress(c); got != tc.want {
			t.Errorf("%s: %v", tc.reason, got)
		}
	}
}

func TestClusterSaysAllThatIsWrong(t *testing.T) {
	c, g := aCluster()
	c.StackID, c.UUID, c.Keypair = "Kube", "7", "key\nhole"
	c.Labels = map[string]string{"kube_tag": "latest", "master_lb_floating_ip_enabled": "no", "api_server_floating_ip": "198.51.100.7", "calico_ipv4pool": "10.0.0.0/16", "auto_scaling_enabled": "true"}
	c.MasterLBEnabled = false
	c.Template.NetworkDriver, c.Template.DNSNameserver, c.Template.HTTPProxy = "flannel", "8.8.8.8,dns", `http://p"; rm -rf /`
	c.Resolved = magnum.Resolved{ImageOSDistro: "fedora-coreos", ExternalNetworkID: "public", MasterFlavorName: "m1.medium"}
	g[0].NodeCount = 2
	seven := 7
	g = append(
		g,
		&magnum.NodeGroup{
			Name: "Bad Name", Role: "worker", NodeCount: -1, FlavorID: "x", Labels: map[string]string{"boot_volume_size": "big"},
			NodeLabels: map[string]string{"kubernetes.io/hostname": "me", "a b": "c", "node.cluster.x-k8s.io/nodegroup": "other"},
			NodeTaints: []magnum.Taint{{Key: "k", Effect: "Sometimes"}},
		},
		&magnum.NodeGroup{Name: "default-worker", Role: "worker", MinNodeCount: 9, MaxNodeCount: &seven},
	)
	w, err := capi.Cluster(c, g, capi.Options{ServerGroups: map[string]string{"default-worker": "group"}})
	if err == nil {
		t.Fatal("a cluster that cannot be is written")
	}
	told := map[string]any{"cluster": strings.Split(err.Error(), "\n"), "warnings": strings.Split(errors.Join(w.Warnings...).Error(), "\n")}
	for name, fault := range w.Faults {
		told["group "+name] = strings.Split(fault.Error(), "\n")
	}
	golden(t, "errors", told)
}

func TestClusterIsDeterministic(t *testing.T) {
	for name, tc := range clusters() {
		c, g := aCluster()
		g = tc.change(c, g)
		tc.opts.Class = "class"
		first, err := capi.Cluster(c, g, tc.opts)
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(g)
		for range 5 {
			again, err := capi.Cluster(c, g, tc.opts)
			if diff := cmp.Diff(first, again); err != nil || diff != "" {
				t.Errorf("%s: %v: -first +again\n%s", name, err, diff)
			}
		}
	}
}

func TestClusterClass(t *testing.T) {
	for _, infra := range []struct {
		name string
		capi.Infrastructure
	}{{"openstack", capi.OpenStack()}, {"inmemory", capi.InMemory(0)}} {
		class := capi.ClusterClass(infra.Infrastructure)
		var objects []any
		for _, o := range class.Objects {
			objects = append(objects, o.Object)
		}
		golden(t, "class-"+infra.name, objects...)
	}
}

func TestClusterClassIsNamedAfterItsContent(t *testing.T) {
	a, b, slow := capi.ClusterClass(capi.InMemory(0)).Name, capi.ClusterClass(capi.InMemory(0)).Name, capi.ClusterClass(capi.InMemory(time.Minute)).Name
	if a != b || a == slow {
		t.Errorf("equal classes are called %s and %s, a different one %s", a, b, slow)
	}
}
