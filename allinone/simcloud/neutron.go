package simcloud

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

func (c *Cloud) neutronVersions(q *call) (reply, error) {
	if strings.HasSuffix(q.URL.Path, "/v2.0") {
		return ok(obj{"resources": []obj{}})
	}
	return ok(obj{"versions": []obj{{
		"id": "v2.0", "status": "CURRENT", "links": []obj{{"rel": "self", "href": q.base + "/network/v2.0/"}},
	}}})
}

func extensions() []obj {
	var list []obj
	for _, e := range [][2]string{
		{"external-net", "Neutron external network"},
		{"router", "Neutron L3 Router"},
		{"security-group", "security-group"},
		{"standard-attr-description", "standard-attr-description"},
		{"project-id", "project_id field enabled"},
	} {
		list = append(list, obj{"alias": e[0], "name": e[1], "description": e[1], "links": []obj{}, "updated": "2016-01-01T00:00:00-00:00"})
	}
	return list
}

func (c *Cloud) listExtensions(*call) (reply, error) { return ok(obj{"extensions": extensions()}) }

func (c *Cloud) showExtension(q *call) (reply, error) {
	for _, e := range extensions() {
		if e["alias"] == q.PathValue("alias") {
			return ok(obj{"extension": e})
		}
	}
	return reply{}, fail(http.StatusNotFound, "Extension with alias %s does not exist", q.PathValue("alias"))
}

func (n network) document() obj {
	subnets := []string{}
	for _, s := range n.Subnets {
		subnets = append(subnets, s.ID)
	}
	return obj{
		"id": n.ID, "name": n.Name, "description": "", "status": "ACTIVE", "admin_state_up": true, "shared": n.Shared,
		"router:external": n.External, "is_default": n.External, "project_id": n.Owner, "tenant_id": n.Owner, "subnets": subnets,
		"mtu": 1500, "port_security_enabled": true, "tags": []string{}, "availability_zones": []string{}, "availability_zone_hints": []string{},
	}
}

func (n network) visibleTo(who *caller) bool { return n.Shared || n.External || who.sees(n.Owner) }

func (c *Cloud) networkDocuments(q *call) (list []obj) {
	for _, n := range c.networks {
		if n.visibleTo(q.who) {
			list = append(list, n.document())
		}
	}
	return list
}

func (c *Cloud) subnetDocuments(q *call) (list []obj) {
	for _, n := range c.networks {
		// Neutron shows the subnets of an external network to its owner only.
		if !n.Shared && !q.who.sees(n.Owner) {
			continue
		}
		for _, s := range n.Subnets {
			list = append(list, subnetDocument(n, s))
		}
	}
	return list
}

func subnetDocument(n network, s SeedSubnet) obj {
	prefix, _ := netip.ParsePrefix(s.CIDR)
	version := 4
	if prefix.Addr().Is6() {
		version = 6
	}
	return obj{
		"id": s.ID, "name": s.Name, "description": "", "network_id": n.ID, "cidr": s.CIDR, "ip_version": version,
		"gateway_ip": prefix.Masked().Addr().Next().String(), "enable_dhcp": !n.External, "project_id": n.Owner, "tenant_id": n.Owner,
		"dns_nameservers": []string{}, "host_routes": []obj{}, "allocation_pools": []obj{}, "subnetpool_id": nil, "tags": []string{},
	}
}

// neutronList answers a list with Neutron's filters.
func neutronList(q *call, name string, items []obj) (reply, error) {
	return listed(q, name, filtered(items, q.URL.Query()), "id")
}

func neutronOne(q *call, name string, items []obj) (reply, error) {
	for _, item := range items {
		if item["id"] == q.PathValue("id") {
			return ok(obj{name: item})
		}
	}
	return reply{}, fail(http.StatusNotFound, "%s %s could not be found.", name, q.PathValue("id"))
}

func (c *Cloud) listNetworks(q *call) (reply, error) {
	return neutronList(q, "networks", c.networkDocuments(q))
}

func (c *Cloud) showNetwork(q *call) (reply, error) {
	return neutronOne(q, "network", c.networkDocuments(q))
}

func (c *Cloud) listSubnets(q *call) (reply, error) {
	return neutronList(q, "subnets", c.subnetDocuments(q))
}

func (c *Cloud) showSubnet(q *call) (reply, error) {
	return neutronOne(q, "subnet", c.subnetDocuments(q))
}

// portDocuments: the only ports are those of load balancers.
func (c *Cloud) portDocuments(q *call) (list []obj) {
	for _, lb := range c.loadBalancers(c.store.view()) {
		if !q.who.sees(lb.ProjectID) {
			continue
		}
		list = append(list, obj{
			"id": lb.PortID, "name": "octavia-lb-" + lb.ID, "status": "ACTIVE", "admin_state_up": true, "network_id": lb.NetworkID,
			"project_id": lb.ProjectID, "tenant_id": lb.ProjectID, "device_id": "lb-" + lb.ID, "device_owner": "Octavia",
			"fixed_ips": []obj{{"subnet_id": lb.SubnetID, "ip_address": lb.Address}}, "security_groups": []string{}, "tags": []string{},
			"mac_address": "fa:16:3e:00:00:01", "description": "",
		})
	}
	return list
}

func (c *Cloud) listPorts(q *call) (reply, error) {
	return neutronList(q, "ports", c.portDocuments(q))
}

func (c *Cloud) showPort(q *call) (reply, error) { return neutronOne(q, "port", c.portDocuments(q)) }

func (c *Cloud) listSecurityGroups(q *call) (reply, error) {
	var list []obj
	for _, p := range c.projects {
		if q.who.sees(p.ID) {
			list = append(list, obj{
				"id": idOf("security-group", p.ID), "name": "default", "description": "Default security group", "project_id": p.ID,
				"tenant_id": p.ID, "security_group_rules": []obj{}, "stateful": true, "tags": []string{},
			})
		}
	}
	return neutronList(q, "security_groups", list)
}

func (f floatingIP) document() obj {
	status := "DOWN"
	if f.PortID != "" {
		status = "ACTIVE"
	}
	return obj{
		"id": f.ID, "floating_ip_address": f.Address, "floating_network_id": f.NetworkID, "port_id": orNull(f.PortID),
		"fixed_ip_address": orNull(f.FixedAddress), "router_id": nil, "status": status, "project_id": f.ProjectID, "tenant_id": f.ProjectID,
		"description": f.Description, "tags": []string{}, "dns_domain": "", "dns_name": "",
		"created_at": f.CreatedAt.UTC().Format(time.RFC3339), "updated_at": f.CreatedAt.UTC().Format(time.RFC3339),
	}
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// floatingIPs are those of the state, without a port that went with its load balancer.
func (c *Cloud) floatingIPs(s *state) []floatingIP {
	ports := map[string]bool{}
	for _, lb := range c.loadBalancers(s) {
		ports[lb.PortID] = true
	}
	list := sorted(s.FloatingIPs, func(a, b floatingIP) int { return strings.Compare(a.Address, b.Address) })
	for i := range list {
		if !ports[list[i].PortID] {
			list[i].PortID, list[i].FixedAddress = "", ""
		}
	}
	return list
}

func (c *Cloud) floatingIPDocuments(q *call) (list []obj) {
	for _, f := range c.floatingIPs(c.store.view()) {
		if q.who.sees(f.ProjectID) {
			list = append(list, f.document())
		}
	}
	return list
}

func (c *Cloud) listFloatingIPs(q *call) (reply, error) {
	return neutronList(q, "floatingips", c.floatingIPDocuments(q))
}

func (c *Cloud) showFloatingIP(q *call) (reply, error) {
	return neutronOne(q, "floatingip", c.floatingIPDocuments(q))
}

type floatingIPRequest struct {
	FloatingIP struct {
		NetworkID   string  `json:"floating_network_id"`
		PortID      *string `json:"port_id"`
		Description *string `json:"description"`
	} `json:"floatingip"`
}

func (c *Cloud) createFloatingIP(q *call) (reply, error) {
	var in floatingIPRequest
	if err := q.decode(&in); err != nil {
		return reply{}, err
	}
	made := floatingIP{ID: newID(), ProjectID: q.who.ProjectID, CreatedAt: c.now().UTC()}
	err := c.store.update(func(s *state) error {
		i := slices.IndexFunc(c.networks, func(n network) bool { return n.ID == in.FloatingIP.NetworkID })
		if i < 0 {
			return fail(http.StatusNotFound, "Network %s could not be found.", in.FloatingIP.NetworkID)
		}
		if !c.networks[i].External {
			return fail(http.StatusBadRequest, "Bad floatingip request: Network %s is not a valid external network.", in.FloatingIP.NetworkID)
		}
		if err := c.allocate(s, &made, c.networks[i]); err != nil {
			return err
		}
		if err := c.change(q, s, &made, in); err != nil {
			return err
		}
		s.FloatingIPs[made.ID] = made
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: obj{"floatingip": made.document()}}, nil
}

// allocate takes a free address of the external network, within the project's quota.
func (c *Cloud) allocate(s *state, f *floatingIP, n network) error {
	taken, used := map[string]bool{}, 0
	for _, other := range s.FloatingIPs {
		taken[other.Address] = true
		if other.ProjectID == f.ProjectID {
			used++
		}
	}
	if beyond(used, c.seed.Quotas.FloatingIPs) {
		return fail(http.StatusConflict, "Quota exceeded for resources: ['floatingip'].")
	}
	for _, subnet := range n.Subnets {
		if address, err := freeAddress(subnet.CIDR, taken); err == nil {
			f.NetworkID, f.Address = n.ID, address
			return nil
		}
	}
	return fail(http.StatusConflict, "No more IP addresses available on network %s.", n.ID)
}

// firstHost leaves the lowest addresses of a subnet to gateways and services.
const firstHost = 10

func freeAddress(cidr string, taken map[string]bool) (string, error) {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return "", err
	}
	address := prefix.Masked().Addr()
	for range firstHost {
		address = address.Next()
	}
	for ; prefix.Contains(address.Next()); address = address.Next() { // The last one is the broadcast address.
		if !taken[address.String()] {
			return address.String(), nil
		}
	}
	return "", errors.New("no address is free")
}

// change applies what a create or an update says about port and description.
func (c *Cloud) change(q *call, s *state, f *floatingIP, in floatingIPRequest) error {
	if in.FloatingIP.Description != nil {
		f.Description = *in.FloatingIP.Description
	}
	f.PortID, f.FixedAddress = "", ""
	if in.FloatingIP.PortID == nil || *in.FloatingIP.PortID == "" {
		return nil
	}
	for _, lb := range c.loadBalancers(s) {
		if lb.PortID == *in.FloatingIP.PortID && q.who.sees(lb.ProjectID) {
			f.PortID, f.FixedAddress = lb.PortID, lb.Address
			return nil
		}
	}
	return fail(http.StatusNotFound, "Port %s could not be found.", *in.FloatingIP.PortID)
}

func (c *Cloud) floatingIPOf(q *call, s *state) (floatingIP, error) {
	f, known := s.FloatingIPs[q.PathValue("id")]
	if !known || !q.who.sees(f.ProjectID) {
		return f, fail(http.StatusNotFound, "Floating IP %s could not be found", q.PathValue("id"))
	}
	return f, nil
}

func (c *Cloud) updateFloatingIP(q *call) (reply, error) {
	var in floatingIPRequest
	if err := q.decode(&in); err != nil {
		return reply{}, err
	}
	var f floatingIP
	err := c.store.update(func(s *state) (err error) {
		if f, err = c.floatingIPOf(q, s); err != nil {
			return err
		}
		if err := c.change(q, s, &f, in); err != nil {
			return err
		}
		s.FloatingIPs[f.ID] = f
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return ok(obj{"floatingip": f.document()})
}

func (c *Cloud) deleteFloatingIP(q *call) (reply, error) {
	err := c.store.update(func(s *state) error {
		f, err := c.floatingIPOf(q, s)
		if err != nil {
			return err
		}
		delete(s.FloatingIPs, f.ID)
		return nil
	})
	return reply{status: http.StatusNoContent}, err
}
