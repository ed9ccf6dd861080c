package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/api"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

// TestAnUpgradesImageFits: an image that is too large for the machines it comes to would stop the upgrade at the first
// of them.
func TestAnUpgradesImageFits(t *testing.T) {
	const wide = "Flavor small has a disk of 20 GiB, and image wide needs 30."
	for name, tc := range map[string]struct {
		reason, image string
		group         func(*magnum.NodeGroup)
		status        int
		detail        string
	}{
		"disk":     {"Nova refuses each new machine.", "wide", nil, 400, wide},
		"memory":   {"The same.", "heavy", nil, 400, "Flavor small has 2048 MiB of memory, and image heavy needs 4096."},
		"volume":   {"It is large enough, and the flavor's disk does not count.", "wide", func(ng *magnum.NodeGroup) { ng.Labels = map[string]string{"boot_volume_size": "30"} }, 202, ""},
		"small":    {"It is not.", "wide", func(ng *magnum.NodeGroup) { ng.Labels = map[string]string{"boot_volume_size": "29"} }, 400, "The boot volume of 29 GiB is too small for image wide, which needs 30."},
		"diskless": {"Nova compares no disk that is not there.", "wide", func(ng *magnum.NodeGroup) { ng.FlavorID = "diskless" }, 202, ""},
		"gone":     {"A flavor that nobody sees any more is not judged.", "wide", func(ng *magnum.NodeGroup) { ng.FlavorID = "gone" }, 202, ""},
		"fits":     {"As most do.", "ubuntu-2", nil, 202, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			id := s.cluster(t, "k")
			for i, ng := range s.groups[id] {
				now := *ng
				now.FlavorID = "small"
				if tc.group != nil {
					tc.group(&now)
				}
				s.groups[id][i] = &now
			}
			template := s.must(t, 201, "member", "POST", "/v1/clustertemplates", goodTemplate).str("uuid")
			s.templates[len(s.templates)-1].ImageID = tc.image
			got := s.must(t, tc.status, "member", "POST", "/v1/clusters/k/actions/upgrade", `{"cluster_template":"`+template+`"}`)
			if tc.detail != "" && !strings.HasPrefix(got.detail(), tc.detail) {
				t.Errorf("%s: got %s, want %s", tc.reason, got.detail(), tc.detail)
			}
		})
	}
}

// TestAnUpgradesImageFitsThoseThatFollow: of further groups those that have the cluster's image, under whatever name,
// and no others.
func TestAnUpgradesImageFitsThoseThatFollow(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, image, id string
		status            int
	}{
		"the template's":        {"It follows.", "ubuntu", "image-1", 400},
		"the same, by its id":   {"So does it.", "image-1", "image-1", 400},
		"an image of their own": {"It stays as it is.", "ubuntu-2", "image-2", 202},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			id := s.cluster(t, "k")
			for i, ng := range s.groups[id] {
				now := *ng
				now.FlavorID = "diskless"
				s.groups[id][i] = &now
			}
			s.groups[id] = append(s.groups[id], &magnum.NodeGroup{
				UUID: "018f3c1e-0000-7000-8000-000000000001", Name: "more", Role: magnum.RoleWorker, ClusterID: id, FlavorID: "small", ImageID: tc.image,
				Resolved: magnum.Resolved{ImageID: tc.id},
			})
			template := s.must(t, 201, "member", "POST", "/v1/clustertemplates", goodTemplate).str("uuid")
			s.templates[len(s.templates)-1].ImageID = "wide"
			got := s.must(t, tc.status, "member", "POST", "/v1/clusters/k/actions/upgrade", `{"cluster_template":"`+template+`"}`)
			if want := "Flavor small has a disk of 20 GiB, and image wide needs 30."; tc.status == 400 && !strings.HasPrefix(got.detail(), want) {
				t.Errorf("%s: got %s, want %s", tc.reason, got.detail(), want)
			}
		})
	}
}

// TestAnUpgradesImageFitsVolumes: those that groups have, whatever size magnum.conf gives to clusters that name none.
func TestAnUpgradesImageFitsVolumes(t *testing.T) {
	for _, tc := range []struct {
		reason string
		labels map[string]string
		status int
	}{
		{"its own size counts", map[string]string{"boot_volume_size": "30"}, 202},
		{"it has the size of magnum.conf", nil, 400},
	} {
		s := newService(t, func(o *api.Options) { o.Config.DefaultBootVolumeSize = 20 })
		id := s.cluster(t, "k")
		for i, ng := range s.groups[id] {
			now := *ng
			now.FlavorID, now.Labels = "small", tc.labels
			s.groups[id][i] = &now
		}
		template := s.must(t, 201, "member", "POST", "/v1/clustertemplates", goodTemplate).str("uuid")
		s.templates[len(s.templates)-1].ImageID = "wide"
		got := s.must(t, tc.status, "member", "POST", "/v1/clusters/k/actions/upgrade", `{"cluster_template":"`+template+`"}`)
		if want := "The boot volume of 20 GiB is too small for image wide, which needs 30."; tc.status == 400 && !strings.HasPrefix(got.detail(), want) {
			t.Errorf("%s: got %s, want %s", tc.reason, got.detail(), want)
		}
	}
}

// TestNodesHaveAddresses: more nodes than the network has addresses for would wait for ever.
func TestNodesHaveAddresses(t *testing.T) {
	s := newService(t)
	id := s.template(t)
	s.templates[0].MasterLBEnabled = true
	create := func(name string, nodes int, more string) string {
		return fmt.Sprintf(`{"name":"%s","cluster_template_id":"%s","node_count":%d,"merge_labels":true,"labels":{"fixed_subnet_cidr":"10.9.0.0/29"}%s}`, name, id, nodes, more)
	}
	const refused = "The network 10.9.0.0/29 has room for 4 nodes, and 5 are asked for."
	wants := func(got reply) {
		t.Helper()
		if !strings.HasPrefix(got.detail(), refused) {
			t.Errorf("got %s, want %s", got.detail(), refused)
		}
	}
	wants(s.must(t, 400, "member", "POST", "/v1/clusters", create("small", 4, "")))
	s.templates[0].Labels["fixed_subnet_cidr"] = "10.9.0.0/29" // of the template: a request that brings it is refused
	s.must(t, 202, "member", "POST", "/v1/clusters", create("existing", 4, `,"fixed_network":"private"`))
	small := s.must(t, 202, "member", "POST", "/v1/clusters", create("small", 3, "")).str("uuid")
	s.become(small, func(c *magnum.Cluster) { c.Status, c.APIAddress = magnum.CreateComplete, "https://203.0.113.9:6443" })
	at := "/v1/clusters/" + small
	wants(s.must(t, 400, "member", "POST", at+"/actions/resize", `{"node_count":4}`))
	wants(s.must(t, 400, "member", "PATCH", at, `[{"op":"replace","path":"/node_count","value":4}]`))
	wants(s.must(t, 400, "member", "POST", at+"/nodegroups", `{"name":"more","node_count":1}`))
	s.must(t, 202, "member", "POST", at+"/actions/resize", `{"node_count":2}`)
	s.must(t, 202, "member", "POST", at+"/nodegroups", `{"name":"more","node_count":1}`)
}

// TestExistingNetworksHaveAddresses: an existing network is judged by its only subnet, when a cluster is made and when
// it grows. Where nobody can look it up, nobody is refused.
func TestExistingNetworksHaveAddresses(t *testing.T) {
	s := newService(t)
	id := s.template(t)
	create := func(nodes int, more string) string {
		return fmt.Sprintf(`{"name":"k","cluster_template_id":"%s","node_count":%d,%s}`, id, nodes, more)
	}
	for _, where := range []string{`"fixed_network":"private"`, `"fixed_subnet":"subnet"`} {
		got := s.must(t, 400, "member", "POST", "/v1/clusters", create(252, where))
		if want := "The network 10.20.0.0/24 has room for 252 nodes, and 253 are asked for. Choose a larger one with fixed_network or fixed_subnet."; got.detail() != want {
			t.Errorf("got %s, want %s", got.detail(), want)
		}
	}
	uuid := s.must(t, 202, "member", "POST", "/v1/clusters", create(251, `"fixed_network":"private"`)).str("uuid")
	s.become(uuid, func(c *magnum.Cluster) { c.Status, c.APIAddress = magnum.CreateComplete, "https://203.0.113.9:6443" })
	at := "/v1/clusters/" + uuid
	const refused = "The network 10.20.0.0/24 has room for 252 nodes, and 253 are asked for. Remove other nodes first"
	for _, got := range []reply{
		s.must(t, 400, "member", "POST", at+"/actions/resize", `{"node_count":252}`),
		s.must(t, 400, "member", "PATCH", at, `[{"op":"replace","path":"/node_count","value":252}]`),
		s.must(t, 400, "member", "POST", at+"/nodegroups", `{"name":"more","node_count":1}`),
	} {
		if !strings.HasPrefix(got.detail(), refused) {
			t.Errorf("got %s, want %s", got.detail(), refused)
		}
	}
	s.must(t, 202, "member", "POST", at+"/actions/resize", `{"node_count":250}`)
	s.cloud = openstack.ErrUnavailable
	s.must(t, 202, "member", "POST", at+"/actions/resize", `{"node_count":300}`)
}
