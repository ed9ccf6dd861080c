package openstack

import (
	"encoding/json"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
)

func TestServersNetwork(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, network string
		usable          bool
	}{
		"own":      {"of the project", `{"id":"n","subnets":["s"],"router:external":false,"shared":false}`, true},
		"shared":   {"of somebody who lets others in", `{"id":"n","subnets":["s"],"router:external":false,"shared":true}`, true},
		"bare":     {"no address could be had", `{"id":"n","subnets":[],"router:external":false}`, false},
		"external": {"Nova lets administrators in only", `{"id":"n","subnets":["s"],"router:external":true,"shared":false}`, false},
		"provider": {"external and shared: servers may be there", `{"id":"n","subnets":["s"],"router:external":true,"shared":true}`, true},
	} {
		var body any
		if err := json.Unmarshal([]byte(`{"networks":[`+tc.network+`]}`), &body); err != nil {
			t.Fatal(err)
		}
		page := networks.NetworkPage{}
		page.Body = body
		var list []externalNetwork
		if err := networks.ExtractNetworksInto(page, &list); err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		if got := serversNetwork(list[0]) != ""; got != tc.usable {
			t.Errorf("%s: %s: usable is %v", name, tc.reason, got)
		}
	}
}

func TestHas(t *testing.T) {
	there := catalog{{Type: "volumev3", Endpoints: []tokens.Endpoint{{Interface: "internal", Region: "elsewhere"}}}, {Type: "load-balancer"}}
	for service, want := range map[string]bool{Volumes: true, LoadBalancer: false, Networks: false} {
		if there.has(service, "") != want {
			t.Errorf("the catalog has %s: %v, want %v", service, !want, want)
		}
	}
	if there.has(Volumes, "here") || !there.has(Volumes, "elsewhere") {
		t.Error("volumes of another region are none of this one's")
	}
}
