package simcloud

import (
	"net/http"
	"slices"
)

func balancerProviders() []obj {
	return []obj{
		{"name": "amphora", "description": "The Octavia Amphora driver."},
		{"name": "octavia", "description": "Deprecated alias of amphora."},
		{"name": "ovn", "description": "Octavia OVN driver."},
	}
}

func (c *Cloud) listProviders(*call) (reply, error) { return ok(obj{"providers": balancerProviders()}) }

// balancerFlavors are those of the seed, with one that nobody can use: Octavia lists it to everybody all the same.
func (c *Cloud) balancerFlavors() []obj {
	list := []obj{{"id": idOf("load-balancer-flavor", "disabled"), "name": "disabled", "enabled": false}}
	for _, name := range c.seed.LoadBalancerFlavors {
		list = append(list, obj{"id": idOf("load-balancer-flavor", name), "name": name, "enabled": true})
	}
	for _, f := range list {
		f["description"], f["flavor_profile_id"] = "", idOf("load-balancer-flavor-profile", "")
	}
	return list
}

func (c *Cloud) listLoadBalancerFlavors(q *call) (reply, error) {
	return listed(q, "flavors", c.balancerFlavors(), "id")
}

func (c *Cloud) balancerZones() []obj {
	list := []obj{{"name": "disabled", "enabled": false}}
	for _, name := range c.seed.LoadBalancerZones {
		list = append(list, obj{"name": name, "enabled": true})
	}
	for _, z := range list {
		z["description"], z["availability_zone_profile_id"] = "", idOf("load-balancer-zone-profile", "")
	}
	return list
}

func (c *Cloud) listLoadBalancerZones(q *call) (reply, error) {
	return listed(q, "availability_zones", c.balancerZones(), "name")
}

// balancing refuses what a load balancer cannot be made of, as Octavia does.
func (c *Cloud) balancing(lb loadBalancer) error {
	usable := func(list []obj, key, value string) bool {
		return slices.ContainsFunc(list, func(o obj) bool { return o[key] == value && o["enabled"] != false })
	}
	switch {
	case !usable(balancerProviders(), "name", lb.Provider):
		return fail(http.StatusBadRequest, "Provider '%s' is not enabled.", lb.Provider)
	case lb.FlavorID != "" && !usable(c.balancerFlavors(), "id", lb.FlavorID):
		return fail(http.StatusBadRequest, "Validation failure: Invalid flavor_id.")
	case lb.Zone != "" && !usable(c.balancerZones(), "name", lb.Zone):
		return fail(http.StatusBadRequest, "Validation failure: Invalid availability zone.")
	}
	return nil
}
