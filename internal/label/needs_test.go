package label_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

// TestIdle: a label that is good by itself may need something else to act.
func TestIdle(t *testing.T) {
	everything := label.Setting{NetworkDriver: "calico", Balanced: true, BootVolume: true, ContainerVolume: true}
	with := func(change func(*label.Setting)) label.Setting { s := everything; change(&s); return s }
	for name, tc := range map[string]struct {
		reason string
		scope  label.Scope
		in     label.Setting
		labels map[string]string
		had    map[string]string
		want   []string
	}{
		"all that there is": {"nothing is idle where everything is there", label.Cluster, everything, map[string]string{
			"calico_ipv4pool": "10.1.0.0/16", "calico_tag": "v3.30.0", "fixed_subnet_cidr": "10.2.0.0/24", "api_server_lb_flavor": "big",
			"api_server_lb_availability_zone": "az1", "boot_volume_type": "ssd", "boot_volume_availability_zone": "az1",
			"etcd_volume_size": "5", "etcd_volume_type": "ssd", "docker_volume_type": "ssd", "audit_log_enabled": "true",
			"audit_log_max_age": "7", "oidc_issuer_url": "https://id.example.org", "oidc_client_id": "k8s", "oidc_groups_claim": "groups",
			"cinder_csi_plugin_tag": "v1.34.0", "csi_resizer_tag": "v1.0.0", "manila_csi_plugin_tag": "v1.34.0",
		}, nil, nil},
		"another driver's pool": {
			"pods have their addresses from cilium_ipv4pool", label.Cluster, with(func(s *label.Setting) { s.NetworkDriver = "cilium" }),
			map[string]string{"calico_ipv4pool": "10.1.0.0/16", "cilium_ipv4pool": "10.3.0.0/16"},
			nil,
			[]string{
				`label calico_ipv4pool is "10.1.0.0/16" and has no effect without the network driver calico. Leave it out, or set network_driver calico in the cluster template`,
			},
		},
		"the default": {
			"who says what is so anyway asks for nothing", label.Cluster, with(func(s *label.Setting) { s.NetworkDriver = "cilium" }),
			map[string]string{"calico_ipv4pool": "10.100.0.0/16", "audit_log_max_age": "30"},
			nil, nil,
		},
		"off":     {"nor who switches off what is off", label.Cluster, everything, map[string]string{"cilium_hubble_ui_enabled": "no"}, nil, nil},
		"on":      {"Hubble is Cilium's", label.Cluster, everything, map[string]string{"cilium_hubble_ui_enabled": "yes"}, nil, []string{`label cilium_hubble_ui_enabled is "yes" and has no effect without the network driver cilium. Leave it out, or set network_driver cilium in the cluster template`}},
		"no type": {"empty is not given", label.Cluster, label.Setting{}, map[string]string{"boot_volume_type": "", "api_server_lb_flavor": ""}, nil, nil},
		"wrong":   {"Validate reports it", label.Cluster, label.Setting{}, map[string]string{"audit_log_max_age": "many"}, nil, nil},
		"subnet": {
			"an existing network has its addresses", label.Cluster, with(func(s *label.Setting) { s.ExistingNetwork = true }),
			map[string]string{"fixed_subnet_cidr": "10.2.0.0/24"},
			nil,
			[]string{
				`label fixed_subnet_cidr is "10.2.0.0/24" and has no effect without a network that is made for the cluster. Leave it out, or leave fixed_network and fixed_subnet out`,
			},
		},
		"balancer": {
			"the master has the address itself", label.Cluster, with(func(s *label.Setting) { s.Balanced = false }),
			map[string]string{"api_server_lb_flavor": "big", "octavia_provider": "ovn"},
			nil,
			[]string{
				`label api_server_lb_flavor is "big" and has no effect without a load balancer of the API server. Leave it out, or set master_lb_enabled to true`,
			},
		},
		"balancer later": {
			"a cluster may have one", label.Template,
			label.Setting{NetworkDriver: "calico"},
			map[string]string{"api_server_lb_flavor": "big", "docker_volume_type": "ssd", "etcd_volume_type": "ssd"},
			nil, nil,
		},
		"driver of a template": {
			"no cluster has another one", label.Template,
			label.Setting{NetworkDriver: "calico"},
			map[string]string{"cilium_tag": "v1.18.0"},
			nil,
			[]string{
				`label cilium_tag is "v1.18.0" and has no effect without the network driver cilium. Leave it out, or set network_driver cilium in the cluster template`,
			},
		},
		"group": {
			"what is a whole cluster's is no group's matter", label.NodeGroup,
			label.Setting{NetworkDriver: "calico"},
			map[string]string{"docker_volume_type": "ssd", "cilium_tag": "v1.18.0"},
			nil,
			[]string{
				`label docker_volume_type is "ssd" and has no effect without a volume for containers. Leave it out, or set docker_volume_size`,
			},
		},
		"inherited": {
			"who switches something off need not take away all that belongs to it", label.Cluster, everything,
			map[string]string{"audit_log_enabled": "false", "audit_log_max_age": "7", "audit_log_max_size": "50"},
			map[string]string{"audit_log_enabled": "true", "audit_log_max_age": "7", "audit_log_max_size": "20"},
			[]string{
				`label audit_log_max_size is "50" and has no effect without an audit log. Leave it out, or set label audit_log_enabled to true`,
			},
		},
		"switched off": {
			"a version of what is not installed", label.Cluster, everything,
			map[string]string{"cinder_csi_enabled": "false", "csi_resizer_tag": "v1.0.0"},
			nil,
			[]string{
				`label csi_resizer_tag is "v1.0.0" and has no effect without the Cinder CSI driver. Leave it out, or set label cinder_csi_enabled to true`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, err := range label.Idle(tc.scope, tc.in, tc.labels, tc.had) {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.reason, diff)
			}
		})
	}
}

// TestNeedsAreOfLabels: a name that is no label's would never be asked about.
func TestNeedsAreOfLabels(t *testing.T) {
	for _, name := range label.Needy() {
		if _, known := label.Lookup(name); !known {
			t.Errorf("%s is no label", name)
		}
	}
}
