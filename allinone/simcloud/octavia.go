package simcloud

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

func (c *Cloud) octaviaVersions(q *call) (reply, error) {
	links := []obj{{"rel": "self", "href": q.base + "/load-balancer/v2"}}
	return ok(obj{"versions": []obj{
		{"id": "v2.0", "status": "SUPPORTED", "updated": "2016-12-11T00:00:00Z", "links": links},
		{"id": "v2.26", "status": "CURRENT", "updated": "2022-08-29T00:00:00Z", "links": links},
	}})
}

// loadBalancers are those that are not gone: time alone finishes a deletion, nobody has to wait for it.
func (c *Cloud) loadBalancers(s *state) []loadBalancer {
	now := c.now()
	list := sorted(s.LoadBalancers, func(a, b loadBalancer) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return slices.DeleteFunc(list, func(lb loadBalancer) bool { return !lb.GoneAt.IsZero() && !now.Before(lb.GoneAt) })
}

func (lb loadBalancer) status(now time.Time) string {
	switch {
	case !lb.GoneAt.IsZero():
		return "PENDING_DELETE"
	case now.Before(lb.ReadyAt):
		return "PENDING_CREATE"
	default:
		return "ACTIVE"
	}
}

func (lb loadBalancer) document(now time.Time) obj {
	status := lb.status(now)
	operating := "ONLINE"
	if status != "ACTIVE" {
		operating = "OFFLINE"
	}
	at := lb.CreatedAt.UTC().Format("2006-01-02T15:04:05")
	return obj{
		"id": lb.ID, "name": lb.Name, "description": lb.Description, "provisioning_status": status, "operating_status": operating,
		"admin_state_up": true, "project_id": lb.ProjectID, "tenant_id": lb.ProjectID, "provider": lb.Provider, "flavor_id": orNull(lb.FlavorID),
		"vip_address": lb.Address, "vip_port_id": lb.PortID, "vip_subnet_id": lb.SubnetID, "vip_network_id": lb.NetworkID,
		"vip_qos_policy_id": nil, "additional_vips": []obj{}, "availability_zone": orNull(lb.Zone), "listeners": []obj{}, "pools": []obj{},
		"tags": []string{}, "created_at": at, "updated_at": at,
	}
}

func (c *Cloud) listLoadBalancers(q *call) (reply, error) {
	var list []obj
	for _, lb := range c.loadBalancers(c.store.view()) {
		if q.who.sees(lb.ProjectID) {
			list = append(list, lb.document(c.now()))
		}
	}
	return neutronList(q, "loadbalancers", list)
}

func (c *Cloud) loadBalancerOf(q *call, s *state) (loadBalancer, error) {
	for _, lb := range c.loadBalancers(s) {
		if lb.ID == q.PathValue("id") && q.who.sees(lb.ProjectID) {
			return lb, nil
		}
	}
	return loadBalancer{}, fail(http.StatusNotFound, "Load Balancer %s not found.", q.PathValue("id"))
}

func (c *Cloud) showLoadBalancer(q *call) (reply, error) {
	lb, err := c.loadBalancerOf(q, c.store.view())
	if err != nil {
		return reply{}, err
	}
	return ok(obj{"loadbalancer": lb.document(c.now())})
}

type loadBalancerRequest struct {
	LoadBalancer struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Provider    string `json:"provider"`
		FlavorID    string `json:"flavor_id"`
		SubnetID    string `json:"vip_subnet_id"`
		NetworkID   string `json:"vip_network_id"`
		Address     string `json:"vip_address"`
		Zone        string `json:"availability_zone"`
	} `json:"loadbalancer"`
}

func (c *Cloud) createLoadBalancer(q *call) (reply, error) {
	var in loadBalancerRequest
	if err := q.decode(&in); err != nil {
		return reply{}, err
	}
	given := in.LoadBalancer
	made := loadBalancer{
		ID: newID(), PortID: newID(), Name: given.Name, Description: given.Description, Provider: cmp.Or(given.Provider, "amphora"),
		FlavorID: given.FlavorID, ProjectID: q.who.ProjectID, Address: given.Address, Zone: given.Zone,
	}
	if err := c.balancing(made); err != nil {
		return reply{}, err
	}
	err := c.store.update(func(s *state) error {
		used := 0
		for _, lb := range c.loadBalancers(s) {
			if lb.ProjectID == made.ProjectID {
				used++
			}
		}
		if beyond(used, c.seed.Quotas.LoadBalancers) {
			return fail(http.StatusForbidden, "Quota has been met for resources: Load Balancer")
		}
		if err := c.place(s, &made, given.NetworkID, given.SubnetID); err != nil {
			return err
		}
		s.LoadBalancers[made.ID] = made
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: obj{"loadbalancer": made.document(c.now())}}, nil
}

// place gives a load balancer an address in the subnet, or in the first subnet of the network.
func (c *Cloud) place(s *state, lb *loadBalancer, networkID, subnetID string) error {
	taken := map[string]bool{}
	for _, other := range c.loadBalancers(s) {
		taken[other.Address] = true
	}
	for _, n := range c.networks {
		for _, subnet := range n.Subnets {
			if subnet.ID != subnetID && (n.ID != networkID || subnetID != "") {
				continue
			}
			if lb.Address == "" {
				address, err := freeAddress(subnet.CIDR, taken)
				if err != nil {
					return fail(http.StatusConflict, "No more IP addresses available on network %s.", n.ID)
				}
				lb.Address = address
			}
			lb.NetworkID, lb.SubnetID = n.ID, subnet.ID
			lb.CreatedAt = c.now().UTC()
			lb.ReadyAt = lb.CreatedAt.Add(time.Duration(c.seed.LoadBalancerDelay))
			return nil
		}
	}
	return fail(http.StatusBadRequest,
		"Validation failure: VIP must contain one of: vip_port_id, vip_network_id, vip_subnet_id, that exist.")
}

func (c *Cloud) deleteLoadBalancer(q *call) (reply, error) {
	err := c.store.update(func(s *state) error {
		lb, err := c.loadBalancerOf(q, s)
		if err != nil {
			return err
		}
		if status := lb.status(c.now()); status != "ACTIVE" {
			return fail(http.StatusConflict, "Load Balancer %s is immutable and cannot be updated.", lb.ID)
		}
		for id, other := range s.LoadBalancers { // Also a good moment to forget those that are gone.
			if !other.GoneAt.IsZero() && !c.now().Before(other.GoneAt) {
				delete(s.LoadBalancers, id)
			}
		}
		lb.GoneAt = c.now().UTC().Add(time.Duration(c.seed.LoadBalancerDelay))
		s.LoadBalancers[lb.ID] = lb
		return nil
	})
	return reply{status: http.StatusNoContent}, err
}

// plantLoadBalancer adds one of the seed's, with a floating IP if it is to have one.
func (c *Cloud) plantLoadBalancer(s *state, seed SeedLoadBalancer) error {
	lb := loadBalancer{
		ID: newID(), PortID: newID(), Name: seed.Name, Description: seed.Description, ProjectID: c.projectNamed(seed.Project),
		Provider: "amphora",
	}
	inside := slices.IndexFunc(c.networks, func(n network) bool { return !n.External })
	if inside < 0 {
		return errors.New("there is no network that is not external")
	}
	if err := c.place(s, &lb, c.networks[inside].ID, ""); err != nil {
		return err
	}
	lb.ReadyAt = lb.CreatedAt
	s.LoadBalancers[lb.ID] = lb
	if !seed.FloatingIP {
		return nil
	}
	outside := slices.IndexFunc(c.networks, func(n network) bool { return n.External })
	if outside < 0 {
		return errors.New("there is no external network")
	}
	f := floatingIP{ID: newID(), ProjectID: lb.ProjectID, PortID: lb.PortID, FixedAddress: lb.Address, CreatedAt: lb.CreatedAt}
	f.Description = "Floating IP for " + seed.Description
	if err := c.allocate(s, &f, c.networks[outside]); err != nil {
		return err
	}
	s.FloatingIPs[f.ID] = f
	return nil
}
