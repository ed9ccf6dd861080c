package osa

import (
	"fmt"
	"slices"
	"strings"
)

// network is one provider network on its way through the groups it is bound to.
type network struct {
	provider
	key       string // under which hosts have it, such as management_address
	queue     string
	pool      *pool
	netmask   Value
	reference string
	isMetal   Value // is_management_address
	entry     []Entry
	routes    *List
	bad       Findings // what is wrong with the routes: it matters once a host gets them
}

// networks gives containers and hosts their networks; addresses that are there stay.
func (r *run) networks() {
	pools, masks := map[string]*pool{}, map[string]string{}
	cidrs, _ := r.config.Get("cidr_networks").(*Map) // containerCIDR has refused others
	for _, e := range cidrs.Entries() {
		if e.Value == nil {
			continue
		}
		s, _ := e.Value.(string)
		prefix, err := ParseNetwork(s)
		if err != nil {
			r.found.refuse("cidr", e.Pos, "write it like 172.29.236.0/22", "cidr_networks.%v: %v", e.Key, err)
			continue
		}
		if address, _, _ := strings.Cut(s, "/"); strings.TrimSpace(s) != s || !strict(address) {
			r.found.warn("cidr-form", e.Pos, fmt.Sprintf("write %q", prefix), "cidr_networks.%v is %q: some tools reject spaces, short addresses and leading zeros", e.Key, s)
		}
		name := fmt.Sprint(e.Key)
		pools[name], masks[name] = r.newPool(prefix), netmask(prefix)
	}
	if r.found.Err() != nil {
		return
	}
	for _, p := range r.providers() {
		n := network{provider: p, isMetal: p.management()}
		n.queue, _ = p.Get("ip_from_q").(string)
		if n.pool = pools[n.queue]; n.pool != nil {
			n.netmask = masks[n.queue]
		}
		n.key = r.networkKey(n)
		n.entry = n.looks()
		n.readRoutes()
		binds, ok := p.Lookup("group_binds")
		if !ok {
			continue
		}
		n.reference, _ = p.Get("reference_group").(string)
		for _, group := range r.boundGroups(binds, p.PosOf("group_binds")) {
			r.bind(&n, r.era(group.name), nil)
		}
	}
}

// boundGroups are the groups a network is bound to. What is no name matches no group up to release 32, and stops 33.
func (r *run) boundGroups(v Value, pos Pos) []named {
	list, ok := v.(*List)
	if !ok || !r.release.DashesMatter {
		return r.names(v, pos, "group_binds")
	}
	var out []named
	for i, item := range list.Items() {
		switch item := item.(type) {
		case string:
			out = append(out, named{item, list.PosOf(i)})
		case *List, *Map:
			r.found.refuse("name", list.PosOf(i), "write the name of a group", "an entry of group_binds is %s, not a name", kind(item))
		default:
			r.found.warn("name", list.PosOf(i), "write the name of a group", "group_binds has %v, which is not a name and matches no group", item)
		}
	}
	return out
}

func (r *run) networkKey(n network) string {
	for _, key := range []string{"address_prefix", "ip_from_q"} {
		if v := n.Get(key); Truth(v) {
			return fmt.Sprint(v) + "_address"
		}
	}
	if v := n.Get("container_interface"); v != nil {
		return fmt.Sprint(v) + "_address"
	}
	return "None_address" // what the original makes of a network without a name
}

// looks are the settings that are copied, and refreshed at every run.
func (n *network) looks() []Entry {
	out := []Entry{{Key: "interface", Value: n.Get("container_interface"), Pos: n.PosOf("container_interface")}}
	for _, e := range [][2]string{{"bridge", "container_bridge"}, {"bridge_type", "container_bridge_type"}, {"type", "container_type"}, {"mtu", "container_mtu"}} {
		if v := n.Get(e[1]); Truth(v) {
			out = append(out, Entry{Key: e[0], Value: v, Pos: n.PosOf(e[1])})
		}
	}
	return out
}

func (n *network) readRoutes() {
	v := n.Get("static_routes")
	if !Truth(v) {
		return
	}
	n.routes = &List{}
	pos := n.PosOf("static_routes")
	list, ok := v.(*List)
	if !ok {
		n.bad.refuse("static-routes", pos, "write a list", "static_routes is %s, not a list", kind(v))
	}
	for i, item := range list.Items() {
		if !truthIn(item, "cidr") || !truthIn(item, "gateway") {
			n.bad.refuse("static-routes", list.PosOf(i), "give the route both, or remove it",
				"Static route provider network with queue '%s' needs both 'cidr' and 'gateway' values", n.queue)
		}
		n.routes.items = append(n.routes.items, item)
	}
}

// bind walks a group: first its children, then its own hosts.
func (r *run) bind(n *network, group string, trail []string) {
	m, ok := r.inv.Get(group).(*Map)
	if !ok {
		return
	}
	if slices.Contains(trail, group) {
		r.found.refuse("group-loop", m.Pos, "correct belongs_to", "the group %s is below itself: %s", group, strings.Join(append(trail, group), " > "))
		return
	}
	children, _ := m.Get("children").(*List)
	for _, child := range children.Strings() {
		r.bind(n, child, append(trail, group))
	}
	hosts, _ := m.Get("hosts").(*List)
	for _, name := range hosts.Items() {
		s, _ := name.(string)
		h := r.byName[s]
		if h == nil {
			r.found.refuse("stale-host", r.inv.PosOf(group), fmt.Sprintf("run scripts/inventory-manage.py -r %s", fmt.Sprint(name)),
				"the group %s has the host %v, of which the inventory has no variables", group, name)
			continue
		}
		if n.reference != "" {
			in, ok := r.inGroup(n.reference, h.vars.Get("physical_host"), n, nil)
			if !ok {
				return
			}
			if !in {
				continue
			}
		}
		r.connect(n, h)
	}
}

// inGroup says whether a host is in a group: from release 30 on also below it.
func (r *run) inGroup(group string, host Value, n *network, trail []string) (in, ok bool) {
	m, isGroup := r.inv.Get(group).(*Map)
	if !isGroup || slices.Contains(trail, group) {
		r.found.refuse("reference-group", n.PosOf("reference_group"), "name a group that exists", "reference_group leads to the group %s, which does not exist or is below itself", group)
		return false, false
	}
	hosts, _ := m.Get("hosts").(*List)
	if hosts != nil && hosts.Has(host) {
		return true, true
	}
	if !r.release.DeepReference {
		return false, true
	}
	children, _ := m.Get("children").(*List)
	for _, child := range children.Strings() {
		if in, ok := r.inGroup(child, host, n, append(trail, group)); in || !ok {
			return in, ok
		}
	}
	return false, true
}

// connect gives one host the network.
func (r *run) connect(n *network, h *host) {
	h.vars.Delete("container_network") // the one network of old inventories
	networks, ok := h.vars.Get("container_networks").(*Map)
	if !ok {
		if v, set := h.vars.Lookup("container_networks"); set {
			r.mapOf(v, h.vars.PosOf("container_networks"), "container_networks of "+h.name, "restore the inventory from its backup")
			return
		}
		networks = &Map{}
		r.set(h, "container_networks", networks, n.pos)
	}
	properties, _ := h.vars.Get("properties").(*Map)
	metal := Truth(properties.Get("is_metal"))
	looks := n.entry
	if metal {
		looks = looks[1:] // the interface is the container's
	}
	entry, known := networks.Get(n.key).(*Map)
	if !known || metal {
		entry = &Map{Pos: n.pos}
		networks.Set(n.key, entry, n.pos)
	}
	for _, e := range looks {
		entry.Set(e.Key, e.Value, e.Pos)
	}
	var ssh Value
	switch {
	case metal:
		entry.Set("netmask", n.netmask, n.pos)
		if ssh, ok = r.metalAddress(n, h, entry); !ok {
			return
		}
	case !known:
		if ok = r.address(n, h, entry); !ok {
			networks.Delete(n.key) // or the next group would find the host without an address
			return
		}
		ssh = entry.Get("address")
		entry.Set("netmask", n.netmask, n.pos)
	default:
		if ssh, ok = entry.Lookup("address"); !ok {
			r.found.refuse("no-address", h.vars.PosOf("container_networks"), "remove the host from the inventory with scripts/inventory-manage.py -r "+h.name+", it gets a new address",
				"the inventory has %s of %s without an address: it was no container once", n.key, h.name)
			return
		}
	}
	if n.isMetal == true {
		r.set(h, "ansible_host", ssh, n.pos)
		r.set(h, "management_address", entry.Get("address"), entry.PosOf("address"))
	}
	r.route(n, h, entry)
}

func (r *run) route(n *network, h *host, entry *Map) {
	if gateway := n.Get("gateway"); Truth(gateway) {
		r.set(h, "gateway", gateway, n.PosOf("gateway"))
		entry.Set("gateway", gateway, n.PosOf("gateway"))
	}
	if n.routes != nil {
		for _, f := range n.bad {
			r.found.add(f.Severity, f.Code, f.Pos, f.Fix, "%s", f.Text)
		}
		entry.Set("static_routes", NewList(n.routes.items...), n.pos)
	}
}

// address is the address a container keeps from an inventory of the oldest form, or a new one.
func (r *run) address(n *network, h *host, entry *Map) bool {
	if old := h.vars.Get(n.key); Truth(old) {
		h.vars.Delete(n.key)
		entry.Set("address", old, n.pos)
		return true
	}
	if n.pool == nil {
		r.found.refuse("no-queue", n.pos, "set ip_from_q to a network of cidr_networks, or bind the network to groups of physical hosts",
			"%s is a container and bound to the network %s, which has no addresses to give", h.name, strings.TrimSuffix(n.key, "_address"))
		return false
	}
	a, ok := n.pool.draw(&r.used, r.draw.Pick)
	if !ok {
		cidrs, _ := r.config.Get("cidr_networks").(*Map)
		r.found.refuse("no-free-address", cidrs.PosOf(n.queue), fmt.Sprintf("enlarge %s, or shorten used_ips", n.queue),
			"Cannot retrieve requested amount of IP addresses: no address of %s %s is free", n.queue, n.pool.prefix)
		return false
	}
	entry.Set("address", a, n.pos)
	return true
}

// metalAddress gives a physical host its configured address on the management network. What it returns is for ssh.
func (r *run) metalAddress(n *network, h *host, entry *Map) (Value, bool) {
	if !Truth(n.isMetal) {
		return nil, true
	}
	group, _ := h.vars.Get("physical_host_group").(string)
	configured, ok := r.config.Get(group).(*Map)
	settings, has := configured.Get(h.name).(*Map)
	if !has {
		settings, has = configured.Get(h.vars.Get("physical_host")).(*Map)
	}
	if !ok || !has || !settings.Has("ip") {
		r.found.refuse("removed-host", r.hosts.PosOf(h.name), fmt.Sprintf("run scripts/inventory-manage.py -r %s if it is gone, or put it back into %s", h.name, group),
			"the inventory has the physical host %s, which is not in the configuration's group %q any more", h.name, group)
		return nil, false
	}
	ip := settings.Get("ip")
	address, own := settings.Lookup("management_ip")
	if !own {
		address = ip
	}
	entry.Set("address", address, settings.PosOf("ip"))
	return ip, true
}
