package simcloud

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

// TestWhatLoadBalancersAreMadeOf: the lists that labels are held against, and that a load balancer of anything else is
// refused.
func TestWhatLoadBalancersAreMadeOf(t *testing.T) {
	r := start(t)
	cloud := cloudOf(t, r)
	demo, identity := userOf(t, r, cloud, "demo")
	lists := map[string]struct {
		list func(context.Context) ([]string, error)
		want []string
	}{
		"providers": {demo.LoadBalancerProviders, []string{"amphora", "octavia", "ovn"}},
		"flavors":   {demo.LoadBalancerFlavors, []string{"active-standby"}}, // and not the disabled one
		"zones":     {demo.LoadBalancerZones, []string{"nova"}},
	}
	for what, l := range lists {
		got, err := l.list(t.Context())
		if diff := cmp.Diff(l.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", what, err, diff)
		}
	}
	bare, err := openstack.New(openstack.Settings{
		AuthURL: r.url, Username: "magnum", Password: "magnum", ProjectName: "service", Now: r.clock.Now,
		Endpoints: map[string]openstack.Endpoint{openstack.LoadBalancer: {Region: "Nowhere"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bare.Close)
	token := r.login("demo")
	without := bare.ForUser(token, identity)
	if names, err := without.LoadBalancerProviders(t.Context()); !errors.Is(err, openstack.ErrNotFound) {
		t.Errorf("a cloud without Octavia: %v, %v", names, err)
	}
	for field, want := range map[string]string{
		`"provider": "f5"`:               "Provider 'f5' is not enabled.",
		`"flavor_id": "huge"`:            "Validation failure: Invalid flavor_id.",
		`"availability_zone": "mars"`:    "Validation failure: Invalid availability zone.",
		`"availability_zone":"disabled"`: "Validation failure: Invalid availability zone.",
	} {
		g := r.want(400, token, "POST", balancersAt, `{"loadbalancer": {"vip_network_id": "`+r.networks[1].ID+`", `+field+`}}`)
		if said := fmt.Sprint(g.at("faultstring")); said != want {
			t.Errorf("%s: %q, want %q", field, said, want)
		}
	}
}

// TestAFloatingIPIsItsProjects: an administrator sees everybody's, and still has only those of the own project.
func TestAFloatingIPIsItsProjects(t *testing.T) {
	r := start(t)
	cloud := cloudOf(t, r)
	token := r.login("demo")
	external := r.networks[0].ID
	at := "/network/v2.0/floatingips"
	free := fmt.Sprint(r.want(201, token, "POST", at, `{"floatingip": {"floating_network_id": "`+external+`"}}`).at("floatingip", "floating_ip_address"))
	lb := r.want(201, token, "POST", balancersAt, `{"loadbalancer": {"vip_network_id": "`+r.networks[1].ID+`"}}`)
	used := fmt.Sprint(r.want(201, token, "POST", at, `{"floatingip": {"floating_network_id": "`+external+`", "port_id": "`+
		fmt.Sprint(lb.at("loadbalancer", "vip_port_id"))+`"}}`).at("floatingip", "floating_ip_address"))
	demo, _ := userOf(t, r, cloud, "demo")
	for address, want := range map[string]openstack.FloatingIP{
		free: {Address: free, NetworkID: external}, used: {Address: used, NetworkID: external, InUse: true},
	} {
		got, err := demo.FloatingIP(t.Context(), address)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", address, err, diff)
		}
	}
	for _, name := range []string{"other", "admin"} {
		stranger, _ := userOf(t, r, cloud, name)
		if f, err := stranger.FloatingIP(t.Context(), free); !errors.Is(err, openstack.ErrNotFound) {
			t.Errorf("%s has demo's address: %+v, %v", name, f, err)
		}
	}
}
