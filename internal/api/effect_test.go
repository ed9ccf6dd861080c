package api_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/api"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// TestWhatHasNoEffect: what a new template, cluster or node group asks for and cannot have is refused, with what to do
// instead; what clients send without being asked is taken.
func TestWhatHasNoEffect(t *testing.T) {
	const templates, clusters = "/v1/clustertemplates", "/v1/clusters"
	for name, tc := range map[string]struct {
		reason string
		path   string
		body   string // without its braces
		old    func(*magnum.ClusterTemplate)
		detail string // begins so; "": taken
	}{
		"registry":          {"Nobody would run it.", templates, `"registry_enabled":true`, nil, "A registry in the cluster (registry_enabled True) is not supported. Leave it out. To pull"},
		"no registry":       {"All clients send it.", templates, `"registry_enabled":false,"insecure_registry":null`, nil, ""},
		"insecure registry": {"Nodes would not pull from it.", templates, `"insecure_registry":"10.0.0.9:5000"`, nil, "An insecure registry (insecure_registry 10.0.0.9:5000) is not supported. Leave it out, and"},
		"port":              {"It listens on 6443.", templates, `"apiserver_port":8443`, nil, "An API server on port 8443 (apiserver_port) is not supported. It is always 6443: leave apiserver_port out."},
		"usual port":        {"As it is.", templates, `"apiserver_port":6443`, nil, ""},
		"btrfs":             {"containerd has overlayfs.", templates, `"docker_storage_driver":"btrfs"`, nil, "The docker_storage_driver btrfs is not supported. Nodes run containerd"},
		"overlay2":          {"python-magnumclient's default.", templates, `"docker_storage_driver":"overlay2"`, nil, ""},
		"overlay":           {"Its older name.", templates, `"docker_storage_driver":"overlay"`, nil, ""},
		"devicemapper":      {"Heat's default, which nobody asked for.", templates, `"docker_storage_driver":"devicemapper"`, nil, ""},
		"volume driver":     {"Both cannot be.", templates, `"volume_driver":"cinder","labels":{"cinder_csi_enabled":"false"}`, nil, "The volume_driver cinder contradicts label cinder_csi_enabled, which is false."},
		"cinder":            {"It comes by default.", templates, `"volume_driver":"cinder"`, nil, ""},
		"no cinder":         {"Nobody asked for volumes.", templates, `"volume_driver":null,"labels":{"cinder_csi_enabled":"false"}`, nil, ""},
		"everything": {
			"All that is wrong is told.", templates, `"registry_enabled":true,"apiserver_port":8443,"labels":{"cilium_tag":"v1.18.0"}`, nil,
			"A registry in the cluster (registry_enabled True) is not supported. Leave it out. To pull from a registry of your own, name it in label " +
				"container_infra_prefix. An API server on port 8443 (apiserver_port) is not supported. It is always 6443: leave apiserver_port out. Label cilium_tag",
		},
		"and all else": {
			"Rules of every kind.", templates, `"registry_enabled":true,"tls_disabled":true,"labels":{"kube_tag":"1.34"}`, nil,
			"A cluster without TLS (tls_disabled True) is not supported. A Kubernetes API server always speaks TLS. " +
				`Label kube_tag is "1.34", must be a version vX.Y.Z, for example v1.34.1. A registry in the cluster`,
		},
		"Gophercloud's": {"Its acceptance tests.", templates, `"docker_storage_driver":"overlay2","floating_ip_enabled":false,"registry_enabled":false,"docker_volume_size":5`, nil, ""},
		"label later":   {"A cluster may have the load balancer.", templates, `"labels":{"api_server_lb_flavor":"single"}`, nil, ""},
		"addresses":     {"The network has its own.", templates, `"fixed_network":"private","labels":{"fixed_subnet_cidr":"10.7.0.0/24"}`, nil, "Label fixed_subnet_cidr is"},

		"discovery":     {"There is nothing to discover.", clusters, `"discovery_url":"https://discovery.etcd.io/x"`, nil, "A discovery_url is not supported"},
		"no discovery":  {"python-magnumclient and Horizon.", clusters, `"discovery_url":null,"docker_volume_size":null,"floating_ip_enabled":true`, nil, ""},
		"volume type":   {"There is no such volume.", clusters, `"labels":{"docker_volume_type":"SSD (gold)"},"merge_labels":true`, nil, "Label docker_volume_type is"},
		"volume":        {"Here is one.", clusters, `"docker_volume_size":5,"labels":{"docker_volume_type":"SSD (gold)"},"merge_labels":true`, nil, ""},
		"no balancer":   {"The label is the load balancer's.", clusters, `"master_lb_enabled":false,"labels":{"api_server_lb_flavor":"single"},"merge_labels":true`, nil, "Label api_server_lb_flavor is \"single\" and has no effect without a load balancer of the API server. Leave it out, or set master_lb_enabled to true."},
		"services' own": {"Services have load balancers too.", clusters, `"master_lb_enabled":false,"labels":{"octavia_provider":"ovn","octavia_lb_algorithm":"SOURCE_IP_PORT"},"merge_labels":true`, nil, ""},
		"Horizon": {
			"It sends the template's labels back.", clusters, `"master_lb_enabled":false,"labels":{"kube_tag":"v1.34.1","api_server_lb_flavor":"single"}`,
			func(t *magnum.ClusterTemplate) { t.Labels["api_server_lb_flavor"] = "single" }, "",
		},
		"unknown label": {"Magnum takes any.", clusters, `"labels":{"monitoring_enabled":"true"},"merge_labels":true`, nil, ""},
		"old template": {"What is stored keeps nobody.", clusters, `"node_count":1`, func(t *magnum.ClusterTemplate) {
			t.RegistryEnabled, t.InsecureRegistry, t.APIServerPort, t.DockerStorageDriver, t.VolumeDriver = true, "r:5000", 8080, "btrfs", "cinder"
			t.Labels["cinder_csi_enabled"], t.Labels["cilium_tag"], t.Labels["etcd_volume_type"] = "false", "v1.18.0", "__DEFAULT__"
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			id := s.template(t)
			if tc.old != nil {
				tc.old(s.templates[0])
			}
			status, body := 201, strings.TrimSuffix(`{"coe":"kubernetes","image_id":"ubuntu",`+tc.body, ",")+"}"
			if tc.path == clusters {
				status, body = 202, `{"cluster_template_id":"`+id+`",`+tc.body+"}"
			}
			if tc.detail != "" {
				status = 400
			}
			got := s.send(t, "member", "POST", tc.path, body)
			if got.status != status || !strings.HasPrefix(got.detail(), tc.detail) {
				t.Errorf("%s: got %d %q, want %d %q", tc.reason, got.status, got.detail(), status, tc.detail)
			}
		})
	}
}

// TestPatchesAskForNothingWithoutEffect: a patch of a template is held to what it brings. An old template can be
// renamed and mended.
func TestPatchesAskForNothingWithoutEffect(t *testing.T) {
	s := newService(t)
	id := s.template(t)
	old := s.templates[0]
	old.RegistryEnabled, old.APIServerPort, old.Labels["cilium_tag"] = true, 8080, "v1.18.0"
	for _, tc := range []struct {
		reason, patch string
		status        int
		detail        string
	}{
		{"the others stay", `{"op":"replace","path":"/name","value":"old"}`, 200, ""},
		{"another wish", `{"op":"add","path":"/insecure_registry","value":"r:5000"}`, 400, "An insecure registry"},
		{"another value", `{"op":"replace","path":"/apiserver_port","value":8081}`, 400, "An API server on port 8081"},
		{"another label", `{"op":"add","path":"/labels/cilium_hubble_ui_enabled","value":"true"}`, 400, "Label cilium_hubble_ui_enabled"},
		{"mended", `{"op":"replace","path":"/registry_enabled","value":false}`, 200, ""},
		{"and back", `{"op":"replace","path":"/registry_enabled","value":true}`, 400, "A registry in the cluster"},
	} {
		got := s.send(t, "member", "PATCH", "/v1/clustertemplates/"+id, "["+tc.patch+"]")
		if got.status != tc.status || !strings.HasPrefix(got.detail(), tc.detail) {
			t.Errorf("%s: got %d %q, want %d %q", tc.reason, got.status, got.detail(), tc.status, tc.detail)
		}
	}
}

// TestWhatAddonsAreCalled: a name that is no addon's excludes nothing. What is missing is one line, however much it is.
func TestWhatAddonsAreCalled(t *testing.T) {
	missing := error(nil)
	s := newService(t, func(o *api.Options) {
		o.AddonNames = []string{"calico", "cinder-csi"}
		o.Addons = func(string, map[string]string, string) error { return missing }
	})
	id := s.template(t)
	body := func(names string) string {
		return `{"cluster_template_id":"` + id + `","merge_labels":true,"labels":{"addons_excluded":"` + names + `"}}`
	}
	want := "Label addons_excluded names coredns, which is no addon. There are: calico, cinder-csi."
	if got := s.must(t, 400, "member", "POST", "/v1/clusters", body("calico,coredns")); got.detail() != want {
		t.Errorf("got %s, want %s", got.detail(), want)
	}
	s.must(t, 202, "member", "POST", "/v1/clusters", body("calico"))
	if got := s.must(t, 400, "member", "PATCH", "/v1/clustertemplates/"+id, `[{"op":"add","path":"/labels/addons_excluded","value":"coredns"}]`); got.detail() != want {
		t.Errorf("of a template: got %s, want %s", got.detail(), want)
	}
	s.templates[0].Labels["addons_excluded"] = "coredns" // of before
	s.must(t, 202, "member", "POST", "/v1/clusters", `{"cluster_template_id":"`+id+`"}`)
	missing = errors.Join(errors.New("no calico"), errors.New("no cinder-csi"))
	if got := s.must(t, 400, "member", "POST", "/v1/clusters", body("calico")); got.detail() != "This cluster could not become usable: no calico; no cinder-csi." {
		t.Errorf("got %q", got.detail())
	}
}
