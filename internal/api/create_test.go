package api_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

// TestCreateCluster is the contract's section A7: what is wrong decides the status, and of two things the one Magnum
// meets first.
func TestCreateCluster(t *testing.T) {
	cases := map[string]struct {
		reason  string
		body    string // T is a good template's UUID
		token   string
		version string
		world   func(*world)
		status  int
		detail  string // begins so
	}{
		"plain":            {reason: "The least that is needed.", body: `{"cluster_template_id":"T"}`, status: 202},
		"by name":          {reason: "Templates may be named.", body: `{"cluster_template_id":"k8s"}`, status: 202},
		"openstack client": {reason: "What python-magnumclient sends.", body: `{"cluster_template_id":"T","create_timeout":60,"discovery_url":null,"keypair":null,"master_count":1,"name":"x","node_count":1}`, status: 202},
		"horizon":          {reason: "magnum-ui sends strings.", body: `{"cluster_template_id":"T","node_count":"2","master_count":"3","create_timeout":" 5 ","floating_ip_enabled":"yes"}`, status: 202},
		"fraction":         {reason: "Python's int() cuts.", body: `{"cluster_template_id":"T","node_count":2.9}`, status: 202},
		"true is 1":        {reason: "And True is 1.", body: `{"cluster_template_id":"T","master_count":true}`, status: 202},
		"null count":       {reason: "500 in Magnum; here the default.", body: `{"cluster_template_id":"T","master_count":null}`, status: 202},
		"silent":           {reason: "Not marked read-only in Magnum: ignored.", body: `{"cluster_template_id":"T","uuid":"x","status":"CREATE_COMPLETE","health_status":"HEALTHY"}`, status: 202},

		"no json":       {reason: "1", body: `{"cluster_template_id":`, status: 400, detail: "Request is not in valid JSON format"},
		"two values":    {reason: "1", body: `{} {}`, status: 400, detail: "Request is not in valid JSON format"},
		"deep json":     {reason: "Nesting is bounded.", body: strings.Repeat(`{"a":`, 20000), status: 400, detail: "Request is not in valid JSON format"},
		"list":          {reason: "500 in Magnum.", body: `[]`, status: 400, detail: "Invalid input for argument cluster."},
		"empty":         {reason: "1", body: ``, status: 400, detail: `Missing argument: "cluster"`},
		"unknown":       {reason: "1", body: `{"cluster_template_id":"T","bogus":1}`, status: 400, detail: "Unknown attribute for argument cluster: bogus"},
		"read only":     {reason: "R", body: `{"cluster_template_id":"T","api_address":"x"}`, status: 400, detail: "Invalid input for field/attribute api_address. Value: 'x'. Cannot set read only field."},
		"no template":   {reason: "mandatory", body: `{}`, status: 400, detail: "Invalid input for field/attribute cluster_template_id. Value: 'None'. Mandatory field missing."},
		"bad name":      {reason: "pattern", body: `{"cluster_template_id":"T","name":"1x"}`, status: 400, detail: "Invalid input for field/attribute name. Value: '1x'."},
		"sql name":      {reason: "metacharacters are no letters", body: `{"cluster_template_id":"T","name":"a'; DROP TABLE cluster;--"}`, status: 400},
		"jsonpath name": {reason: "metacharacters are no letters", body: `{"cluster_template_id":"T","name":"a{.items[0]}"}`, status: 400},
		"template name": {reason: "metacharacters are no letters", body: `{"cluster_template_id":"T","name":"a{{ 7*7 }}"}`, status: 400},
		"newline name":  {reason: "$ must not match before a newline", body: `{"cluster_template_id":"T","name":"a\n"}`, status: 400},
		"empty name":    {reason: `"" for a string`, body: `{"cluster_template_id":"T","name":""}`, status: 400},
		"long name":     {reason: "242", body: `{"cluster_template_id":"T","name":"` + strings.Repeat("a", 243) + `"}`, status: 400},
		"type":          {reason: "wrong type", body: `{"cluster_template_id":["T"]}`, status: 400},
		"bad count":     {reason: "wrong type", body: `{"cluster_template_id":"T","node_count":"many"}`, status: 400},
		"negative":      {reason: "bound", body: `{"cluster_template_id":"T","node_count":-1}`, status: 400, detail: "Invalid input for field/attribute node_count. Value: '-1'. Value should be greater or equal to 0"},
		"overflow":      {reason: "bound", body: `{"cluster_template_id":"T","node_count":1e400}`, status: 400},
		"zero 1.10":     {reason: "From 1.10", body: `{"cluster_template_id":"T","node_count":0}`, version: "1.10", status: 202},
		"zero 1.9":      {reason: "Not before", body: `{"cluster_template_id":"T","node_count":0}`, version: "1.9", status: 400},
		"lost 1.10":     {reason: "2", body: `{"cluster_template_id":"lost","master_count":2}`, version: "1.10", status: 404, detail: "ClusterTemplate lost could not be found."},
		"lost 1.9":      {reason: "2, recoded before 1.10", body: `{"cluster_template_id":"lost"}`, version: "1.9", status: 400, detail: "ClusterTemplate lost could not be found."},
		"others' lost":  {reason: "2: templates of others do not exist", token: "other", body: `{"cluster_template_id":"T"}`, status: 404},
		"twice": {reason: "2", body: `{"cluster_template_id":"k8s"}`, world: func(w *world) {
			second := *w.templates[0]
			second.UUID = "x"
			w.templates = append(w.templates, &second)
		}, status: 409, detail: "Multiple clustertemplates exist with same name."},
		"distro":       {reason: "3", body: `{"cluster_template_id":"T","master_count":2}`, world: func(w *world) { w.templates[0].ClusterDistro = "beos" }, status: 400, detail: "Cluster type (vm, beos, kubernetes) not supported."},
		"devicemapper": {reason: "4", body: `{"cluster_template_id":"T","docker_volume_size":2,"master_count":2}`, world: func(w *world) { w.templates[0].DockerStorageDriver = "devicemapper" }, status: 400, detail: "docker volume size 2 GB is not valid"},
		"even":         {reason: "5, before policy", token: "reader", body: `{"cluster_template_id":"T","master_count":2}`, status: 400, detail: "master nodegroup size of 2 is invalid, size cannot be an even number."},
		"reader": {reason: "6, before quota", token: "reader", body: `{"cluster_template_id":"T"}`, world: func(w *world) {
			w.quotas = append(w.quotas, &magnum.Quota{ID: 1, ProjectID: "demo", Resource: "Cluster"})
		}, status: 403, detail: "Policy doesn't allow cluster:create to be performed."},
		"quota": {reason: "7, before hidden", body: `{"cluster_template_id":"T"}`, world: func(w *world) {
			w.quotas = append(w.quotas, &magnum.Quota{ID: 1, ProjectID: "demo", Resource: "Cluster", HardLimit: 0})
			w.templates[0].Hidden = true
		}, status: 403, detail: "Resource limit exceeded: You have reached the maximum clusters per project, 0. You may delete a cluster to make room for a new one."},
		"hidden":          {reason: "8, before labels", body: `{"cluster_template_id":"T","labels":{"a":"b"}}`, world: func(w *world) { w.templates[0].Hidden = true }, status: 403},
		"no kube_tag":     {reason: "9: given labels replace the template's", body: `{"cluster_template_id":"T","labels":{"a":"b"},"flavor_id":"lost"}`, status: 400, detail: "Label kube_tag must be"},
		"merged":          {reason: "9: unless merged", body: `{"cluster_template_id":"T","labels":{"a":"b"},"merge_labels":true}`, status: 202},
		"empty labels":    {reason: "9: none given means the template's", body: `{"cluster_template_id":"T","labels":{}}`, status: 202},
		"bad kube_tag":    {reason: "9", body: `{"cluster_template_id":"T","labels":{"kube_tag":"latest"}}`, status: 400, detail: `Label kube_tag is "latest"`},
		"evil label":      {reason: "9: what labels may hold is bounded by type", body: `{"cluster_template_id":"T","labels":{"kube_tag":"v1.34.1","audit_log_max_age":"30\n  - --insecure"}}`, status: 400},
		"nested label":    {reason: "1: plain values only", body: `{"cluster_template_id":"T","labels":{"a":{"b":"c"}}}`, status: 400},
		"null label":      {reason: "1: plain values only", body: `{"cluster_template_id":"T","labels":{"a":null}}`, status: 400},
		"labels list":     {reason: "1: a dictionary", body: `{"cluster_template_id":"T","labels":["a"]}`, status: 400},
		"flavor":          {reason: "10", body: `{"cluster_template_id":"T","flavor_id":"lost","keypair":"lost"}`, status: 400, detail: "Unable to find flavor lost."},
		"no disk":         {reason: "10", body: `{"cluster_template_id":"T","flavor_id":"diskless"}`, status: 400, detail: "Flavor with zero root volume size is not supported when boot_volume_size is zero."},
		"no disk needed":  {reason: "10: a volume is booted from", body: `{"cluster_template_id":"T","flavor_id":"diskless","labels":{"boot_volume_size":20},"merge_labels":"true"}`, status: 202},
		"network":         {reason: "11, before the key pair", body: `{"cluster_template_id":"T","fixed_network":"lost","keypair":"lost"}`, status: 400, detail: "Unable to find network lost."},
		"external":        {reason: "11: an external network is no fixed one", body: `{"cluster_template_id":"T","fixed_network":"public"}`, status: 400},
		"networks":        {reason: "11", body: `{"cluster_template_id":"T","fixed_network":"ambiguous"}`, status: 409},
		"subnet":          {reason: "11", body: `{"cluster_template_id":"T","fixed_subnet":"lost"}`, status: 400, detail: "Unable to find fixed subnet lost."},
		"image gone":      {reason: "11", body: `{"cluster_template_id":"T"}`, world: func(w *world) { w.templates[0].ImageID = "lost" }, status: 400, detail: "Image lost could not be found."},
		"image forbidden": {reason: "11", body: `{"cluster_template_id":"T"}`, world: func(w *world) { w.templates[0].ImageID = "forbidden" }, status: 403},
		"image changed":   {reason: "11", body: `{"cluster_template_id":"T"}`, world: func(w *world) { w.templates[0].ImageID = "bare" }, status: 400, detail: "Image bare doesn't contain os_distro field."},
		"many masters":    {reason: "5, etcd waits for more than half of them", body: `{"cluster_template_id":"T","master_count":9999}`, status: 400, detail: "master nodegroup size of 9999 is invalid, size cannot be more than 9."},
		"null template":   {reason: "null is like absent", body: `{"cluster_template_id":null}`, status: 400, detail: "Invalid input for field/attribute cluster_template_id. Value: 'None'. Mandatory field missing."},
		"key pair":        {reason: "12, before the load balancer", body: `{"cluster_template_id":"T","keypair":"lost","master_count":3,"master_lb_enabled":false}`, status: 404, detail: "Unable to find keypair lost."},
		"no balancer":     {reason: "13", body: `{"cluster_template_id":"T","master_count":3,"master_lb_enabled":false}`, status: 400, detail: "master_count must be 1 when master_lb_enabled is False"},
		"no flavor":       {reason: "A cluster without one could never come up.", body: `{"cluster_template_id":"T"}`, world: func(w *world) { w.templates[0].FlavorID = "" }, status: 400, detail: "A flavor is missing."},
		"cloud down":      {reason: "Try later.", body: `{"cluster_template_id":"T"}`, world: func(w *world) { w.cloud = openstack.ErrUnavailable }, status: 503},
		"token died":      {reason: "The token expired between Keystone and Nova: log in again.", body: `{"cluster_template_id":"T"}`, world: func(w *world) { w.cloud = fmt.Errorf("flavors: %w", openstack.ErrUnauthorized) }, status: 401},
		"credential down": {reason: "No cluster without a credential.", body: `{"cluster_template_id":"T"}`, world: func(w *world) { w.credential = openstack.ErrUnavailable }, status: 503},
		"no credential":   {reason: "A restricted application credential makes no other.", body: `{"cluster_template_id":"T"}`, world: func(w *world) { w.credential = openstack.ErrForbidden }, status: 403, detail: "Keystone does not let you make the application credential"},
		"not stored":      {reason: "The credential was made, the Secret was not.", body: `{"cluster_template_id":"T"}`, world: func(w *world) { w.put = errors.New("etcd is full") }, status: 500},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			id := s.template(t)
			if tc.world != nil {
				tc.world(s.world)
			}
			if tc.token == "" {
				tc.token = "member"
			}
			if tc.version == "" {
				tc.version = "latest"
			}
			got := s.send(t, tc.token, "POST", "/v1/clusters", strings.ReplaceAll(tc.body, `"T"`, `"`+id+`"`), version(tc.version))
			if got.status != tc.status || !strings.HasPrefix(got.detail(), tc.detail) {
				t.Errorf("%s: got %d %q, want %d %q\n%.300s", tc.reason, got.status, got.detail(), tc.status, tc.detail, got.text)
			}
			for _, c := range s.clusters {
				if tc.status != 202 && c.Status != magnum.DeleteInProgress {
					t.Error("a refused request left a cluster behind")
				}
				if tc.status != 202 && s.takenBack[c.UUID] != c.UserID {
					t.Errorf("a refused request left a credential of %s behind: %v", c.UserID, s.takenBack)
				}
				if tc.status == 202 && s.clouds[c.UUID] != "clouds of "+c.UUID+" by member" {
					t.Errorf("the cluster's credential is %q", s.clouds[c.UUID])
				}
			}
		})
	}
}

// TestClusterShown: defaults come from the template, labels are Python's strings, and what is shown depends on where.
func TestClusterShown(t *testing.T) {
	s := newService(t)
	template := s.template(t)
	id := s.must(t, 202, "member", "POST", "/v1/clusters", fmt.Sprintf(`{"name":"k","cluster_template_id":%q,"node_count":"2",
		"labels":{"kube_tag":"v1.34.2","a":true,"b":1.50,"c":10000000000000000.0,"d":"'; DROP TABLE x --"}}`, template)).str("uuid")
	want := map[string]any{
		"uuid": id, "name": "k", "cluster_template_id": template, "keypair": "key", "node_count": 2.0, "master_count": 1.0,
		"docker_volume_size": nil, "master_flavor_id": "small", "flavor_id": "small", "create_timeout": 60.0, "cluster_id": "kube-abcde",
		"labels": map[string]any{"kube_tag": "v1.34.2", "a": "True", "b": "1.5", "c": "1e+16", "d": "'; DROP TABLE x --"},
		"status": "CREATE_IN_PROGRESS", "health_status": nil, "merge_labels": false,
		"links": []any{
			map[string]any{"href": "http://H/v1/clusters/" + id, "rel": "self"},
			map[string]any{"href": "http://H/clusters/" + id, "rel": "bookmark"},
		},
	}
	list := s.must(t, 200, "member", "GET", "/v1/clusters", "")
	items, _ := list.body["clusters"].([]any)
	if diff := cmp.Diff(want, items[0]); diff != "" {
		t.Error("the short list: " + diff)
	}
	for k, v := range map[string]any{
		"status_reason": nil, "health_status_reason": map[string]any{}, "discovery_url": nil, "api_address": nil, "coe_version": nil,
		"container_version": nil, "project_id": "demo", "user_id": "demo-user", "node_addresses": []any{}, "master_addresses": []any{},
		"fixed_network": nil, "fixed_subnet": nil, "floating_ip_enabled": true, "master_lb_enabled": true,
		"labels_overridden": map[string]any{"kube_tag": "v1.34.1"}, "labels_skipped": map[string]any{},
		"labels_added": map[string]any{"a": "True", "b": "1.5", "c": "1e+16", "d": "'; DROP TABLE x --"},
		"created_at":   "2026-11-23T07:09:44+00:00", "updated_at": nil,
	} {
		want[k] = v
	}
	if diff := cmp.Diff(want, s.must(t, 200, "member", "GET", "/v1/clusters/k", "").body); diff != "" {
		t.Error("one cluster: " + diff)
	}
	delete(want, "cluster_id")
	want["stack_id"] = "kube-abcde"
	if diff := cmp.Diff(want, s.must(t, 200, "member", "GET", "/v1/clusters/"+id, "", version("1.12")).body); diff != "" {
		t.Error("before 1.13 it is stack_id: " + diff)
	}
	s.become(id, func(c *magnum.Cluster) {
		c.Status, c.Faults = magnum.CreateFailed, map[string]string{"default-worker": "no host"}
	})
	want["status"], want["faults"] = "CREATE_FAILED", map[string]any{"default-worker": "no host"}
	if diff := cmp.Diff(want, s.must(t, 200, "member", "GET", "/v1/clusters/"+id, "", version("1.12")).body); diff != "" {
		t.Error("faults show when something failed: " + diff)
	}
	resolved := magnum.Resolved{
		ImageID: "image-1", ImageOSDistro: "ubuntu", HardwareDiskBus: "scsi", FlavorName: "small", MasterFlavorName: "small",
		FlavorMemoryMiB: 2048, FlavorVCPUs: 2, FlavorDiskGiB: 20, ExternalNetworkID: "id-of-public",
	}
	if diff := cmp.Diff(resolved, s.clusters[0].Resolved); diff != "" {
		t.Error("what names meant is kept: " + diff)
	}
	if s.requestIDs[0] == "" {
		t.Error("the record knows the request that made it")
	}
}

func TestAmbiguousNames(t *testing.T) {
	s := newService(t)
	s.cluster(t, "twin")
	s.cluster(t, "twin2")
	s.become(s.clusters[1].UUID, func(c *magnum.Cluster) { c.Name = "twin" })
	got := s.must(t, 409, "member", "GET", "/v1/clusters/twin", "")
	if got.detail() != "Multiple clusters exist with same name. Please use the cluster uuid instead." {
		t.Errorf("got %q", got.detail())
	}
}

// TestCreateTemplate is A7's second half, and A3's table.
func TestCreateTemplate(t *testing.T) {
	with := func(more string) string { return strings.Replace(goodTemplate, "{", "{"+more+",", 1) }
	cases := map[string]struct {
		reason string
		body   string
		token  string
		status int
		detail string
	}{
		"client":         {reason: "python-magnumclient sends nulls.", body: `{"coe":"kubernetes","image_id":"ubuntu","network_driver":null,"volume_driver":null,"labels":{},"name":null,"docker_storage_driver":"overlay2","dns_nameserver":"8.8.8.8"}`, status: 201},
		"no coe":         {reason: "Magnum's odd sentence.", body: `{"image_id":"ubuntu"}`, status: 400, detail: "Requested COE type Unset is not supported."},
		"swarm":          {reason: "Kubernetes only.", body: `{"image_id":"ubuntu","coe":"swarm"}`, status: 400, detail: "Requested COE type swarm is not supported."},
		"no image":       {reason: "mandatory", body: `{"coe":"kubernetes"}`, status: 400, detail: "Invalid input for field/attribute image_id."},
		"lost image":     {reason: "400, not 404", body: `{"coe":"kubernetes","image_id":"lost"}`, status: 400, detail: "Image lost could not be found."},
		"two images":     {reason: "409", body: `{"coe":"kubernetes","image_id":"ambiguous"}`, status: 409},
		"secret image":   {reason: "403", body: `{"coe":"kubernetes","image_id":"forbidden"}`, status: 403},
		"no distro":      {reason: "Nodes could not be made.", body: `{"coe":"kubernetes","image_id":"bare"}`, status: 400, detail: "Image bare doesn't contain os_distro field."},
		"odd distro":     {reason: "Nobody makes nodes of it.", body: `{"coe":"kubernetes","image_id":"cirros"}`, status: 400, detail: "Cluster type (vm, cirros, kubernetes) not supported."},
		"bare metal":     {reason: "Nobody makes nodes of it.", body: with(`"server_type":"bm"`), status: 400, detail: "Cluster type (bm, ubuntu, kubernetes) not supported."},
		"driver":         {reason: "Asked for.", body: with(`"driver":"magic"`), status: 400, detail: "Cluster driver (magic) not supported."},
		"flannel":        {reason: "A cluster could not be made with it.", body: `{"coe":"kubernetes","image_id":"ubuntu","network_driver":"flannel"}`, status: 400, detail: "Network driver type flannel is not supported"},
		"cilium":         {reason: "One more than Magnum.", body: `{"coe":"kubernetes","image_id":"ubuntu","network_driver":"cilium"}`, status: 201},
		"rexray":         {reason: "cinder or nothing", body: with(`"volume_driver":"rexray"`), status: 400, detail: "Volume driver type rexray is not supported"},
		"devicemapper":   {reason: "3 GB at least", body: with(`"docker_storage_driver":"devicemapper","docker_volume_size":2`), status: 400},
		"port":           {reason: "1024..65535", body: with(`"apiserver_port":80`), status: 400},
		"resolver":       {reason: "IPv4 only", body: with(`"dns_nameserver":"8.8.8.8,::1"`), status: 400},
		"bool":           {reason: "oslo's spellings", body: with(`"tls_disabled":"maybe"`), status: 400},
		"bools":          {reason: "oslo's spellings", body: with(`"hidden":"off","master_lb_enabled":"1","floating_ip_enabled":"F"`), status: 201},
		"bad label":      {reason: "Not only clusters are checked.", body: `{"coe":"kubernetes","image_id":"ubuntu","labels":{"kube_tag":"one"}}`, status: 400},
		"reader":         {reason: "policy after the image, before the rest", token: "reader", body: `{"coe":"kubernetes","image_id":"ubuntu","flavor_id":"lost"}`, status: 403},
		"reader's image": {reason: "the image before policy", token: "reader", body: `{"coe":"kubernetes","image_id":"lost"}`, status: 400},
		"flavor":         {reason: "400", body: `{"coe":"kubernetes","image_id":"ubuntu","flavor_id":"lost","public":true}`, status: 400},
		"diskless":       {reason: "Magnum 1.14: a machine of it has nowhere to boot from.", body: `{"coe":"kubernetes","image_id":"ubuntu","flavor_id":"diskless"}`, status: 400, detail: "Flavor with zero root volume size is not supported when boot_volume_size is zero."},
		"diskless boss":  {reason: "Neither has a master.", body: `{"coe":"kubernetes","image_id":"ubuntu","master_flavor_id":"diskless"}`, status: 400, detail: "Flavor with zero root volume size"},
		"boot volume":    {reason: "But from a volume.", body: `{"coe":"kubernetes","image_id":"ubuntu","flavor_id":"diskless","labels":{"boot_volume_size":"20"}}`, status: 201},
		"no key check":   {reason: "Key pairs are checked when a cluster uses them.", body: `{"coe":"kubernetes","image_id":"ubuntu","keypair_id":"lost"}`, status: 201},
		"uuid":           {reason: "Silently ignored.", body: with(`"uuid":"x"`), status: 201},
		"project":        {reason: "R", body: with(`"project_id":"other"`), status: 400},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			if tc.token == "" {
				tc.token = "member"
			}
			got := s.send(t, tc.token, "POST", "/v1/clustertemplates", tc.body)
			if got.status != tc.status || !strings.HasPrefix(got.detail(), tc.detail) {
				t.Errorf("%s: got %d %q, want %d %q\n%s", tc.reason, got.status, got.detail(), tc.status, tc.detail, got.text)
			}
			if tc.status == 201 && got.header.Get("Location") != "http://H/v1/clustertemplates/"+got.str("uuid") {
				t.Errorf("Location is %q", got.header.Get("Location"))
			}
		})
	}
	s := newService(t)
	got := s.must(t, 201, "member", "POST", "/v1/clustertemplates", `{"coe":"kubernetes","image_id":"driven"}`).body
	if got["driver"] != "k8s_cluster_api_debian" || got["cluster_distro"] != "ubuntu" || got["floating_ip_enabled"] != true ||
		got["server_type"] != "vm" || got["network_driver"] != "calico" || !strings.HasSuffix(got["name"].(string), "-template") {
		t.Errorf("defaults, the image's driver and distribution, a made-up name are expected, got %v", got)
	}
}
