package api_test

import (
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

// TestWhatTheCloudHas: what a request names and what it says together is held against the caller's cloud. Each of these
// was accepted and ended as CREATE_FAILED, or as a cluster other than the one that was asked for.
func TestWhatTheCloudHas(t *testing.T) {
	labels := func(more string) string { return `"labels":{` + more + `},"merge_labels":true` }
	cases := map[string]struct {
		reason   string
		body     string // of the cluster, without its template
		template func(*magnum.ClusterTemplate)
		world    func(*world)
		status   int
		detail   string
		resolved magnum.Resolved // compared where not empty
	}{
		"subnet alone": {
			reason: "Its network is found from it.", body: `"fixed_subnet":"blue"`, status: 202,
			resolved: magnum.Resolved{FixedNetworkID: "id-of-blue-net", FixedSubnetID: "id-of-blue"},
		},
		"both":            {reason: "They belong together.", body: `"fixed_network":"private","fixed_subnet":"subnet"`, status: 202, resolved: magnum.Resolved{FixedNetworkID: "id-of-private", FixedSubnetID: "id-of-subnet"}},
		"network alone":   {reason: "It has one subnet.", body: `"fixed_network":"private"`, status: 202, resolved: magnum.Resolved{FixedNetworkID: "id-of-private"}},
		"strangers":       {reason: "The subnet is another network's.", body: `"fixed_network":"private","fixed_subnet":"blue"`, status: 400, detail: "Fixed subnet blue is not on network private."},
		"outside":         {reason: "Machines are not put into an external network.", body: `"fixed_subnet":"outside"`, status: 400, detail: "The network of fixed subnet outside is external, or not yours to use."},
		"IPv6 subnet":     {reason: "Nodes need IPv4.", body: `"fixed_subnet":"six"`, status: 400, detail: "Fixed subnet six has IPv6 addresses only."},
		"IPv6 network":    {reason: "Nodes need IPv4.", body: `"fixed_network":"six-net"`, status: 400, detail: "Network six-net has IPv6 addresses only."},
		"empty network":   {reason: "No address could be had.", body: `"fixed_network":"empty-net"`, status: 400, detail: "Network empty-net has no subnet."},
		"many subnets":    {reason: "Cluster API's provider does not choose.", body: `"fixed_network":"many-net"`, status: 400, detail: "Network many-net has 3 subnets. Choose one with fixed_subnet."},
		"one of many":     {reason: "The user does.", body: `"fixed_network":"many-net","fixed_subnet":"m2"`, status: 202},
		"pods' addresses": {reason: "The default pool overlaps.", body: `"fixed_subnet":"pods"`, status: 400, detail: "Subnet pods has the addresses 10.100.7.0/24, which overlap those of pods, 10.100.0.0/16. Choose others with label calico_ipv4pool."},
		"pods' network":   {reason: "However it is named.", body: `"fixed_network":"pods-net"`, status: 400, detail: "Subnet pods has the addresses 10.100.7.0/24"},
		"pods elsewhere":  {reason: "Labels move the pool.", body: `"fixed_subnet":"pods",` + labels(`"calico_ipv4pool":"10.101.0.0/16"`), status: 202},
		"wrong pool": {reason: "The driver says which pool counts.", body: `"fixed_subnet":"pods"`, template: func(t *magnum.ClusterTemplate) {
			t.NetworkDriver, t.Labels["calico_ipv4pool"] = "cilium", "10.101.0.0/16"
		}, status: 400, detail: "Subnet pods has the addresses 10.100.7.0/24, which overlap those of pods, 10.100.0.0/16. Choose others with label cilium_ipv4pool."},
		"services' network": {reason: "Services have addresses too.", body: `"fixed_subnet":"services",` + labels(`"calico_ipv4pool":"172.16.0.0/16"`), status: 400, detail: "Subnet services has the addresses 10.0.0.0/8, which overlap those of services, 10.254.0.0/16."},
		"template's subnet": {reason: "An old template may name it.", template: func(t *magnum.ClusterTemplate) { t.FixedSubnet = "six" }, status: 400, detail: "Fixed subnet six has IPv6"},

		"default type":   {reason: "Cinder's own default type.", body: labels(`"boot_volume_size":"20","boot_volume_type":"__DEFAULT__"`), status: 202},
		"type":           {reason: "Operators name types as they like.", body: labels(`"boot_volume_size":"20","boot_volume_type":"SSD (gold)"`), status: 202},
		"type by id":     {reason: "Cinder takes either.", body: labels(`"etcd_volume_size":"5","etcd_volume_type":"6d7a2ef5-0a0c-4a7e-9a3e-0c7a4cf5f2a1"`), status: 202},
		"lost type":      {reason: "A machine of it never comes.", body: labels(`"boot_volume_size":"20","boot_volume_type":"SSD"`), status: 400, detail: `Label boot_volume_type is "SSD", which is no volume type. There are: SSD (gold), __DEFAULT__.`},
		"two lost types": {reason: "All at once.", body: `"docker_volume_size":5,` + labels(`"boot_volume_size":"20","boot_volume_type":"a","docker_volume_type":"b"`), status: 400, detail: `Label boot_volume_type is "a", which is no volume type. There are: SSD (gold), __DEFAULT__. Label docker_volume_type is "b"`},
		"zone":           {reason: "With a blank.", body: labels(`"availability_zone":"az one"`), status: 202},
		"lost zone":      {reason: "Nova would find no host.", body: labels(`"availability_zone":"mars"`), status: 400, detail: `Label availability_zone is "mars", which is no availability zone of Nova. There are: az one, nova.`},
		"masters' zones": {reason: "Each item counts.", body: labels(`"control_plane_availability_zones":"nova,mars"`), status: 400, detail: `Label control_plane_availability_zones is "mars"`},
		"volumes' zone":  {reason: "Cinder has zones of its own.", body: labels(`"boot_volume_size":"20","boot_volume_availability_zone":"az one"`), status: 400, detail: `Label boot_volume_availability_zone is "az one", which is no availability zone of Cinder.`},
		"both zones":     {reason: "A cluster's zone is also that of its volumes, if there are any.", body: labels(`"availability_zone":"az one","etcd_volume_size":"10"`), status: 400, detail: `Label availability_zone is "az one", which is no availability zone of Cinder.`},
		"no Cinder":      {reason: "Nothing to name.", body: labels(`"boot_volume_size":"20","boot_volume_type":"fast"`), world: func(w *world) { w.cinder = openstack.ErrNotFound }, status: 400, detail: "This cloud has no block storage, so label boot_volume_type has nothing to name."},
		"not allowed":    {reason: "Whoever may not list is not refused.", body: labels(`"availability_zone":"mars"`), world: func(w *world) { w.zones = openstack.ErrForbidden }, status: 202},
		"Nova down":      {reason: "Try later.", body: labels(`"availability_zone":"nova"`), world: func(w *world) { w.zones = openstack.ErrUnavailable }, status: 503},
		"more networks":  {reason: "They are there.", body: labels(`"extra_networks":"11111111-aaaa-4000-8000-000000000001,11111111-aaaa-4000-8000-000000000002","extra_security_groups":"22222222-aaaa-4000-8000-000000000001"`), status: 202},
		"lost network":   {reason: "Nova would not make a port in it.", body: labels(`"extra_networks":"11111111-aaaa-4000-8000-000000000001,33333333-aaaa-4000-8000-000000000001"`), status: 400, detail: `Label extra_networks is "33333333-aaaa-4000-8000-000000000001", which is no network with a subnet that you may use.`},
		"lost group":     {reason: "Nova would refuse the server.", body: labels(`"extra_security_groups":"33333333-aaaa-4000-8000-000000000001"`), status: 400, detail: `Label extra_security_groups is "33333333-aaaa-4000-8000-000000000001", which is no security group`},
		"group's name":   {reason: "Names are not unique in Neutron.", body: labels(`"extra_security_groups":"default"`), status: 400, detail: `Label extra_security_groups is "default", must be a comma-separated list, each item a UUID.`},
		"newline":        {reason: "No name has one.", body: labels(`"boot_volume_type":"a\nb"`), status: 400, detail: `Label boot_volume_type is "a\nb", must be a name as the cloud has it`},

		"provider":        {reason: "Octavia has it.", body: labels(`"octavia_provider":"ovn"`), status: 202},
		"lost provider":   {reason: "Cluster API takes the default and tells nobody.", body: labels(`"octavia_provider":"f5"`), status: 400, detail: `Label octavia_provider is "f5", which is no provider of Octavia. There are: amphora, ovn.`},
		"flavor":          {reason: "By name.", body: labels(`"api_server_lb_flavor":"single"`), status: 202},
		"lost flavor":     {reason: "Cluster API takes the default and tells nobody.", body: labels(`"api_server_lb_flavor":"huge"`), status: 400, detail: `Label api_server_lb_flavor is "huge", which is no flavor of Octavia, by name. There are: active-standby, single.`},
		"balancer's zone": {reason: "Octavia refuses the load balancer.", body: labels(`"api_server_lb_availability_zone":"mars"`), status: 400, detail: `Label api_server_lb_availability_zone is "mars", which is no availability zone of Octavia. There are: none.`},
		"no Octavia":      {reason: "Nothing would use it.", body: labels(`"octavia_provider":"f5","api_server_lb_flavor":"huge"`), world: func(w *world) { w.octavia = openstack.ErrNotFound }, status: 202},
		"no balancers":    {reason: "The API server would have no address.", world: func(w *world) { w.lacks = []string{openstack.LoadBalancer} }, status: 400, detail: "This cloud has no load balancers (Octavia), and master_lb_enabled is True. Set it to False, with one master."},
		"none asked for":  {reason: "The master has the address.", body: `"master_lb_enabled":false`, world: func(w *world) { w.lacks = []string{openstack.LoadBalancer} }, status: 202},
		"no volumes":      {reason: "Nova would make no server.", body: `"docker_volume_size":5`, world: func(w *world) { w.lacks = []string{openstack.Volumes} }, status: 400, detail: "This cloud has no volumes (Cinder), and nodes are to have some."},
		"no boot volumes": {reason: "Nova would make no server.", body: labels(`"boot_volume_size":"20"`), world: func(w *world) { w.lacks = []string{openstack.Volumes} }, status: 400, detail: "This cloud has no volumes (Cinder)"},
		"local disks":     {reason: "Nobody needs volumes.", world: func(w *world) { w.lacks = []string{openstack.Volumes} }, status: 202},
		"Octavia's roles": {reason: "Whoever may not list is not refused.", body: labels(`"octavia_provider":"f5","api_server_lb_availability_zone":"mars"`), world: func(w *world) { w.octavia = openstack.ErrForbidden }, status: 202},
		"Octavia down":    {reason: "Try later.", body: labels(`"octavia_provider":"ovn"`), world: func(w *world) { w.octavia = openstack.ErrUnavailable }, status: 503},
		"free address":    {reason: "It waits for a cluster.", body: labels(`"api_server_floating_ip":"203.0.113.5"`), status: 202},
		"lost address":    {reason: "Neutron gives addresses by wish to administrators only.", body: labels(`"api_server_floating_ip":"203.0.113.99"`), status: 400, detail: "Label api_server_floating_ip is 203.0.113.99, which is no floating IP of your project. Create one first (openstack floating ip create), or leave the label out."},
		"used address":    {reason: "It would be taken away from what has it.", body: labels(`"api_server_floating_ip":"203.0.113.7"`), status: 400, detail: "Label api_server_floating_ip is 203.0.113.7, which is in use."},
		"wrong network":   {reason: "No router leads there.", body: labels(`"api_server_floating_ip":"203.0.113.8"`), status: 400, detail: "Label api_server_floating_ip is 203.0.113.8, which is no address of external network public."},
		"secret address":  {reason: "Whoever may not list is not refused.", body: labels(`"api_server_floating_ip":"203.0.113.99"`), world: func(w *world) { w.floating = openstack.ErrForbidden }, status: 202},

		"small disk":    {reason: "Nova refuses each machine.", template: func(t *magnum.ClusterTemplate) { t.ImageID = "wide" }, status: 400, detail: "Flavor small has a disk of 20 GiB, and image wide needs 30."},
		"both disks":    {reason: "All at once.", template: func(t *magnum.ClusterTemplate) { t.ImageID = "wide" }, body: `"flavor_id":"large"`, status: 400, detail: "Flavor large has a disk of 20 GiB, and image wide needs 30. Choose another flavor, or boot from a volume with label boot_volume_size. Flavor small has"},
		"large volume":  {reason: "The flavor's disk does not count then.", template: func(t *magnum.ClusterTemplate) { t.ImageID = "wide" }, body: labels(`"boot_volume_size":"30"`), status: 202},
		"small volume":  {reason: "Cinder refuses it.", template: func(t *magnum.ClusterTemplate) { t.ImageID = "wide" }, body: labels(`"boot_volume_size":"29"`), status: 400, detail: "The boot volume of 29 GiB is too small for image wide, which needs 30."},
		"little memory": {reason: "Nova refuses each machine.", template: func(t *magnum.ClusterTemplate) { t.ImageID = "heavy" }, status: 400, detail: "Flavor small has 2048 MiB of memory, and image heavy needs 4096."},
		"tiny masters":  {reason: "kubeadm refuses each.", body: `"master_flavor_id":"tiny"`, status: 400, detail: "Flavor tiny has 2 VCPUs and 512 MiB of memory, and kubeadm makes no master with less than 2 VCPUs and 1700 MiB. Choose another one with master_flavor_id."},
		"thin masters":  {reason: "kubeadm refuses each.", body: `"master_flavor_id":"thin",` + labels(`"boot_volume_size":"20"`), status: 400, detail: "Flavor thin has 1 VCPU and 2048 MiB of memory, and kubeadm makes no master"},
		"tiny workers":  {reason: "They are no masters.", body: `"flavor_id":"tiny"`, status: 202},
		"all tiny":      {reason: "Masters too.", body: `"flavor_id":"tiny","master_flavor_id":"tiny"`, status: 400, detail: "Flavor tiny has 2 VCPUs"},
		"two policies":  {reason: "Nova's server groups have one.", body: labels(`"server_group_policies":"affinity,anti-affinity"`), status: 400, detail: `Label server_group_policies is "affinity,anti-affinity", must be one of them, for a server group has one policy.`},
		"one, twice":    {reason: "That is one.", body: labels(`"server_group_policies":"affinity, affinity"`), status: 202},
		"loopback pool": {reason: "No pod can have such an address.", body: labels(`"calico_ipv4pool":"127.0.0.0/16"`), status: 400, detail: `Label calico_ipv4pool is "127.0.0.0/16", must be apart from 127.0.0.0/8, whose addresses nothing on a network can have.`},
		"multicast":     {reason: "No service can.", body: labels(`"service_cluster_ip_range":"224.0.0.0/16"`), status: 400, detail: `Label service_cluster_ip_range is "224.0.0.0/16", must be apart from 224.0.0.0/3`},

		"pods on nodes":     {reason: "The nodes' default range counts.", body: labels(`"calico_ipv4pool":"10.0.0.0/16"`), status: 400, detail: `Label calico_ipv4pool is "10.0.0.0/16", must be apart from fixed_subnet_cidr, which is 10.0.0.0/24.`},
		"services on nodes": {reason: "So it does for services.", body: labels(`"service_cluster_ip_range":"10.0.0.0/16"`), status: 400, detail: `Label service_cluster_ip_range is "10.0.0.0/16", must be apart from fixed_subnet_cidr, which is 10.0.0.0/24.`},
		"nodes elsewhere":   {reason: "Nodes are in an existing network.", body: `"fixed_network":"private",` + labels(`"calico_ipv4pool":"10.0.0.0/16"`), status: 202},

		"no address":         {reason: "Nothing would hold it.", body: `"master_lb_enabled":false,` + labels(`"master_lb_floating_ip_enabled":"false"`), status: 400, detail: "Nothing would hold the API server's address"},
		"balancer's address": {reason: "A private load balancer holds it.", body: labels(`"master_lb_floating_ip_enabled":"false"`), status: 202},
		"unwanted address":   {reason: "Given and not wanted.", body: labels(`"master_lb_floating_ip_enabled":"false","api_server_floating_ip":"203.0.113.5"`), status: 400, detail: `Label api_server_floating_ip is "203.0.113.5", must be left out, because master_lb_floating_ip_enabled is false.`},
		"old version":        {reason: "Nobody makes it any more.", body: labels(`"kube_tag":"v1.19.0"`), status: 400, detail: "Label kube_tag is v1.19.0. Cluster API makes clusters of Kubernetes v1.22.0 and later."},
		"other version":      {reason: "Its nodes would never join.", template: func(t *magnum.ClusterTemplate) { t.ImageID = "kube-34" }, status: 400, detail: "Image kube-34 holds Kubernetes v1.34.2 (its property kube_version), but label kube_tag is v1.34.1."},
		"same version":       {reason: "With or without the v.", template: func(t *magnum.ClusterTemplate) { t.ImageID = "kube-34" }, body: labels(`"kube_tag":"v1.34.2"`), status: 202},
		"odd property":       {reason: "What is no version says nothing.", template: func(t *magnum.ClusterTemplate) { t.ImageID = "kube-odd" }, status: 202},
		"image's version":    {reason: "Labels without kube_tag take it.", template: func(t *magnum.ClusterTemplate) { t.ImageID = "kube-34" }, body: `"labels":{"a":"b"}`, status: 202},
		"no version":         {reason: "An image that says nothing gives none.", body: `"labels":{"a":"b"}`, status: 400, detail: "Label kube_tag must be a version vX.Y.Z"},
		"no TLS":             {reason: "An old template may say so.", template: func(t *magnum.ClusterTemplate) { t.TLSDisabled = true }, status: 400, detail: "A cluster without TLS (tls_disabled True) is not supported."},
		"quoted proxy":       {reason: "It would end a line on the machine.", template: func(t *magnum.ClusterTemplate) { t.HTTPProxy = `http://u:secret"@p:3128` }, status: 400, detail: "The value of http_proxy is not the URL of a proxy"},
		"proxies":            {reason: "All at once, and no value.", template: func(t *magnum.ClusterTemplate) { t.HTTPSProxy, t.NoProxy = "ftp://p", "a b" }, status: 400, detail: "The value of https_proxy is not the URL of a proxy, for example http://proxy.example.org:3128. Write special characters of a password as %XX. The value of no_proxy is not a list"},
		"bare proxies": {reason: "Terraform's tests and Go's programs have them.", template: func(t *magnum.ClusterTemplate) {
			t.HTTPProxy, t.NoProxy = "127.0.0.1:8801", "localhost, 127.0.0.1 ,.svc"
		}, status: 202},
		"good proxy": {reason: "With a password and a list.", template: func(t *magnum.ClusterTemplate) {
			t.HTTPProxy, t.NoProxy = "http://u:p%22@[fd00::1]:3128", ".example.org,10.0.0.0/8,*.x"
		}, status: 202},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			id := s.template(t)
			if tc.template != nil {
				tc.template(s.templates[0])
			}
			if tc.world != nil {
				tc.world(s.world)
			}
			body := `{"cluster_template_id":"` + id + `"}`
			if tc.body != "" {
				body = `{"cluster_template_id":"` + id + `",` + tc.body + `}`
			}
			got := s.send(t, "member", "POST", "/v1/clusters", body)
			if got.status != tc.status || !strings.HasPrefix(got.detail(), tc.detail) {
				t.Errorf("%s: got %d %q, want %d %q\n%.300s", tc.reason, got.status, got.detail(), tc.status, tc.detail, got.text)
			}
			if strings.Contains(got.text+s.log.String(), "secret") {
				t.Error("a refusal shows a password")
			}
			if tc.status != 202 {
				return
			}
			r := s.clusters[0].Resolved
			if tc.resolved != (magnum.Resolved{}) && (r.FixedNetworkID != tc.resolved.FixedNetworkID || r.FixedSubnetID != tc.resolved.FixedSubnetID) {
				t.Errorf("%s: got %+v", tc.reason, r)
			}
			if name == "image's version" && s.clusters[0].Labels["kube_tag"] != "v1.34.2" {
				t.Errorf("the cluster's labels are %v", s.clusters[0].Labels)
			}
		})
	}
}

// TestTemplatesAreHeldAgainstTheCloud: the same for templates, when they are made and when they are patched.
func TestTemplatesAreHeldAgainstTheCloud(t *testing.T) {
	for name, tc := range map[string]struct{ reason, attribute, patch, detail string }{
		"subnet":  {"Not what a cluster could be put into.", `"fixed_network":"private","fixed_subnet":"blue"`, `{"op":"add","path":"/fixed_subnet","value":"six"}`, "Fixed subnet "},
		"type":    {"Not there.", `"labels":{"boot_volume_type":"lost"}`, `{"op":"add","path":"/labels/etcd_volume_type","value":"lost"}`, "Label "},
		"version": {"Too old.", `"labels":{"kube_tag":"v1.19.0"}`, `{"op":"replace","path":"/labels/kube_tag","value":"v1.19.0"}`, "Label kube_tag is v1.19.0."},
		"TLS":     {"There is no cluster without.", `"tls_disabled":true`, `{"op":"replace","path":"/tls_disabled","value":"true"}`, "A cluster without TLS"},
		"masters": {"Too little for kubeadm.", `"master_flavor_id":"tiny"`, `{"op":"replace","path":"/master_flavor_id","value":"thin"}`, "Flavor t"},
		"proxy":   {"No URL.", `"http_proxy":"http://a b"`, `{"op":"add","path":"/http_proxy","value":"ftp://x"}`, "The value of http_proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			got := s.must(t, 400, "member", "POST", "/v1/clustertemplates", `{"coe":"kubernetes","image_id":"ubuntu",`+tc.attribute+`}`)
			if !strings.HasPrefix(got.detail(), tc.detail) {
				t.Errorf("%s: got %s", tc.reason, got.detail())
			}
			id := s.template(t)
			got = s.must(t, 400, "member", "PATCH", "/v1/clustertemplates/"+id, "["+tc.patch+"]")
			if !strings.HasPrefix(got.detail(), tc.detail) {
				t.Errorf("%s: patched: got %s", tc.reason, got.detail())
			}
		})
	}
	s := newService(t)
	mismatch := "Image kube-34 holds Kubernetes v1.34.2"
	if got := s.must(t, 400, "member", "POST", "/v1/clustertemplates", `{"coe":"kubernetes","image_id":"kube-34","labels":{"kube_tag":"v1.34.1"}}`); !strings.HasPrefix(got.detail(), mismatch) {
		t.Error(got.detail())
	}
	id := s.must(t, 201, "member", "POST", "/v1/clustertemplates", `{"coe":"kubernetes","image_id":"kube-34"}`).str("uuid")
	got := s.must(t, 400, "member", "PATCH", "/v1/clustertemplates/"+id, `[{"op":"add","path":"/labels/kube_tag","value":"v1.33.0"}]`)
	if !strings.HasPrefix(got.detail(), mismatch) {
		t.Errorf("a patched label is compared with the image too: %s", got.detail())
	}
}

// TestWhatWasPromisedIsNotGivenTwice: a floating IP belongs to the cluster that named it, also before that has taken
// it. What the cloud has lost since keeps nobody from working with the clusters that were made of it.
func TestWhatWasPromisedIsNotGivenTwice(t *testing.T) {
	s := newService(t)
	id := s.template(t)
	body := func(name, address string) string {
		return `{"name":"` + name + `","cluster_template_id":"` + id + `","merge_labels":true,"labels":{"api_server_floating_ip":"` + address +
			`","api_server_lb_flavor":"single"}}`
	}
	s.must(t, 202, "member", "POST", "/v1/clusters", body("first", "203.0.113.5"))
	got := s.must(t, 400, "member", "POST", "/v1/clusters", body("second", "203.0.113.5"))
	if want := "Label api_server_floating_ip is 203.0.113.5, which cluster first has."; !strings.HasPrefix(got.detail(), want) {
		t.Errorf("promised twice: got %s, want %s", got.detail(), want)
	}
	s.must(t, 202, "member", "POST", "/v1/clusters", body("second", "203.0.113.6"))
	first := s.become(s.clusters[0].UUID, func(c *magnum.Cluster) {
		c.Status, c.APIAddress = magnum.CreateComplete, "https://203.0.113.5:6443"
		c.Labels["api_server_lb_flavor"], c.Labels["octavia_provider"] = "gone", "gone"
	})
	s.must(t, 202, "member", "POST", "/v1/clusters/"+first.UUID+"/nodegroups", `{"name":"more","flavor_id":"tiny"}`)
}

// TestVersionsOfImages: an upgrade and a node group are held to the image's version as a new cluster is.
func TestVersionsOfImages(t *testing.T) {
	s := newService(t)
	id := s.cluster(t, "k") // of v1.34.1
	got := s.must(t, 400, "member", "POST", "/v1/clusters/k/nodegroups", `{"name":"other","image_id":"kube-34"}`)
	if !strings.HasPrefix(got.detail(), "Image kube-34 holds Kubernetes v1.34.2") {
		t.Error(got.detail())
	}
	s.groups[id] = append(s.groups[id], &magnum.NodeGroup{
		UUID: "018f3c1e-0000-7000-8000-000000000001", Name: "own", Role: magnum.RoleWorker, ClusterID: id, FlavorID: "small", ImageID: "kube-34",
	})
	got = s.must(t, 400, "member", "POST", "/v1/clusters/k/actions/upgrade", `{"cluster_template":"`+s.clusters[0].ClusterTemplateID+`","nodegroup":"own"}`)
	if !strings.HasPrefix(got.detail(), "Image kube-34 holds Kubernetes v1.34.2") {
		t.Error(got.detail())
	}
	s.groups[id] = s.groups[id][:2]
	bad := s.must(t, 201, "member", "POST", "/v1/clustertemplates", goodTemplate).str("uuid")
	s.templates[len(s.templates)-1].ImageID = "kube-34" // the image was rebuilt since
	got = s.must(t, 400, "member", "POST", "/v1/clusters/k/actions/upgrade", `{"cluster_template":"`+bad+`"}`)
	if !strings.HasPrefix(got.detail(), "Image kube-34 holds Kubernetes v1.34.2") {
		t.Error(got.detail())
	}
	good := s.must(t, 201, "member", "POST", "/v1/clustertemplates", `{"coe":"kubernetes","image_id":"kube-34","external_network_id":"public"}`).str("uuid")
	s.must(t, 202, "member", "POST", "/v1/clusters/"+id+"/actions/upgrade", `{"cluster_template":"`+good+`"}`)
	if tag := s.clusters[0].Labels["kube_tag"]; tag != "v1.34.2" {
		t.Errorf("a template without kube_tag gives its image's: got %s", tag)
	}
}
