package osa

import (
	"fmt"
	"slices"
	"strings"
)

// overrides returns global_overrides, nil without.
func (r *run) overrides() *Map {
	m, _ := r.config.Get("global_overrides").(*Map)
	return m
}

// provider is one entry of provider_networks.
type provider struct {
	*Map
	pos Pos
}

func (r *run) providers() []provider {
	v, ok := r.overrides().Lookup("provider_networks")
	if !ok {
		return nil
	}
	pos := r.overrides().PosOf("provider_networks")
	list, isList := v.(*List)
	if m, isMap := v.(*Map); v == "" || isMap && m.Len() == 0 {
		return nil // Python walks through an empty string and an empty mapping as through an empty list
	}
	if !isList {
		r.found.refuse("provider-networks", pos, "write a list of network entries", "provider_networks is %s, not a list", kind(v))
		return nil
	}
	var out []provider
	for i, item := range list.Items() {
		m, ok := r.mapOf(item, list.PosOf(i), "an entry of provider_networks", "write - network: and its settings below")
		if !ok || !Truth(m.Get("network")) {
			continue
		}
		if net, ok := r.mapOf(m.Get("network"), m.PosOf("network"), "network", "write its settings below, indented"); ok {
			out = append(out, provider{Map: net, pos: m.PosOf("network")})
		}
	}
	return out
}

// management says whether the network carries management addresses; the old name still counts.
func (p provider) management() Value {
	if v, ok := p.Lookup("is_management_address"); ok {
		return v
	}
	return p.Get("is_container_address")
}

func (r *run) top() Pos {
	for _, e := range r.config.Entries() {
		return Pos{File: e.Pos.File}
	}
	return Pos{}
}

// containerCIDR finds the network containers live in: it becomes a global variable.
func (r *run) containerCIDR() {
	v := r.config.Get("cidr_networks")
	if !Truth(v) {
		r.found.refuse("no-cidr", r.top(), "add cidr_networks with at least management: <CIDR>", "No container CIDR specified in user config")
		return
	}
	cidrs, ok := r.mapOf(v, r.config.PosOf("cidr_networks"), "cidr_networks", "write name: CIDR below it")
	if !ok {
		return
	}
	for _, name := range []string{"container", "management"} {
		if cidrs.Has(name) {
			r.cidr = cidrs.Get(name)
			return
		}
	}
	list := &List{}
	for _, p := range r.providers() {
		queue, _ := p.Get("ip_from_q").(string)
		prefix, _ := p.Get("address_prefix").(string)
		if queue != "" && cidrs.Has(queue) && (prefix == "container" || prefix == "management" || Truth(p.management())) {
			list.add(cidrs.Get(queue), cidrs.PosOf(queue))
		}
	}
	if r.cidr = list; list.Len() == 0 {
		r.found.refuse("no-management", r.config.PosOf("cidr_networks"), "name one of the networks management, or mark a provider network with is_management_address: true",
			"No container or management network specified in user config")
	}
}

// checkSettings checks what containers need: networks to be in.
func (r *run) checkSettings() {
	if v, ok := r.config.Lookup("global_overrides"); ok {
		if _, ok := r.mapOf(v, r.config.PosOf("global_overrides"), "global_overrides", "write settings below it, indented"); !ok {
			return
		}
	}
	if Truth(r.overrides().Get("no_containers")) || !r.anyContainer() {
		return
	}
	if !r.config.Has("global_overrides") {
		r.found.refuse("no-overrides", r.top(), "add global_overrides with provider_networks", "global_overrides can't be found in user config")
		return
	}
	if !r.overrides().Has("provider_networks") {
		r.found.refuse("no-provider-networks", r.config.PosOf("global_overrides"), "add provider_networks below global_overrides",
			"provider networks can't be found under global_overrides in user config")
		return
	}
	cidrs, _ := r.config.Get("cidr_networks").(*Map)
	for _, p := range r.providers() {
		queue := p.Get("ip_from_q")
		switch queue.(type) {
		case *List, *Map:
			r.found.refuse("no-queue", p.PosOf("ip_from_q"), "write a name of cidr_networks", "ip_from_q is %s, not a name", kind(queue))
			continue
		}
		if group := p.Get("reference_group"); Truth(group) {
			if _, isText := group.(string); !isText {
				r.found.refuse("reference-group", p.PosOf("reference_group"), "name a group that exists", "reference_group is %s, not a name", kind(group))
			}
		}
		if Truth(queue) && !cidrs.Has(queue) {
			r.found.refuse("no-queue", p.PosOf("ip_from_q"), "add it to cidr_networks, or correct ip_from_q", "can't find %v in cidr_networks", queue)
		}
		if Equal(p.Get("container_bridge"), r.overrides().Get("management_bridge")) && !Truth(p.management()) {
			r.found.refuse("management-address", p.pos, "set is_management_address: true on it",
				"Provider network with queue '%v' is on the management bridge %v and requires 'is_management_address' to be set to True", queue, p.Get("container_bridge"))
		} else if v := p.management(); Truth(v) && v != true {
			r.found.warn("management-truth", p.pos, "write true", "is_management_address is %v, not true: hosts get no management_address from it", v)
		}
	}
}

// anyContainer says whether the environment has a kind of container that is not metal.
func (r *run) anyContainer() bool {
	skel, _ := r.env.Get("container_skel").(*Map)
	for _, v := range skel.All() {
		m, _ := v.(*Map)
		if !truthIn(m.Get("properties"), "is_metal") {
			return true
		}
	}
	return false
}

// hostGroup says whether a key of the user configuration is a group of hosts.
func hostGroup(key Value) (string, bool) {
	s, ok := key.(string)
	return s, ok && strings.HasSuffix(s, "hosts")
}

// checkHosts checks groups of hosts, one address a host and one host an address.
func (r *run) checkHosts() {
	type seen struct {
		what Value
		pos  Pos
	}
	hostOf, addressOf := map[any]seen{}, map[string]seen{}
	for _, e := range r.config.Entries() {
		group, ends := hostGroup(e.Key)
		if !ends && !strings.Contains(group, "_hosts") {
			continue
		}
		hosts, ok := r.mapOf(e.Value, e.Pos, group, "write hosts below it, or remove the line")
		if !ok {
			continue
		}
		for _, h := range hosts.Entries() {
			name, settings, ok := r.checkHost(group, h)
			if !ok {
				continue
			}
			address, at := settings.Get("ip"), settings.PosOf("ip")
			if first, known := hostOf[sameKey(address)]; ends && known && !Equal(first.what, h.Key) {
				r.found.refuse("shared-address", at, "give each host its own address",
					"Both host:%v (%s) and host:%s have address:%q assigned", first.what, first.pos, name, fmt.Sprint(shown(address)))
			} else if ends && !known {
				hostOf[sameKey(address)] = seen{h.Key, at}
			}
			if first, known := addressOf[name]; strings.Contains(group, "_hosts") && known && !Equal(first.what, address) {
				r.found.refuse("two-addresses", at, "give it one address", "Host %s has both %v (%s) and %v assigned", name, first.what, first.pos, address)
			} else if !known {
				addressOf[name] = seen{address, at}
			}
		}
	}
	if r.config.Has("lxc_hosts") {
		r.found.refuse("lxc-hosts", r.config.PosOf("lxc_hosts"), "remove it", "The group 'lxc_hosts' must not be defined in config; it will be dynamically generated")
	}
}

// checkHost checks one host of a group.
func (r *run) checkHost(group string, h Entry) (name string, settings *Map, ok bool) {
	name, ok = h.Key.(string)
	if !ok {
		r.found.refuse("host-name", h.Pos, "put it in quotes", "the host name %v in %s is %s", h.Key, group, kind(h.Key))
		return name, nil, false
	}
	if name == "" {
		r.found.refuse("host-name", h.Pos, "give it its name", "a host in %s has an empty name: Ansible would reject the whole inventory", group)
		return name, nil, false
	}
	if settings, ok = r.mapOf(h.Value, h.Pos, fmt.Sprintf("the host %s in %s", name, group), "write ip: <address> below it, indented"); !ok {
		return name, nil, false
	}
	switch settings.Get("ip").(type) {
	case *List, *Map:
		ok = false
	}
	if !ok || !settings.Has("ip") {
		r.found.refuse("no-ip", h.Pos, "add ip: <address>", "the host %s in %s has no ip", name, group)
		return name, nil, false
	}
	text, isText := settings.Get("ip").(string)
	if !isText && settings.Get("ip") != nil {
		r.found.warn("ip-type", settings.PosOf("ip"), "put it in quotes", "the ip of %s is %s, %v", name, kind(settings.Get("ip")), settings.Get("ip"))
	}
	if settings.Get("ip") == nil || isText && strings.TrimSpace(text) == "" {
		r.found.warn("ip-empty", settings.PosOf("ip"), "write its address", "the ip of %s in %s is empty: Ansible cannot log in to it", name, group)
	}
	if v, set := settings.Lookup("host_vars"); set {
		_, ok = r.mapOf(v, settings.PosOf("host_vars"), "host_vars of "+name, "write variables below it, or remove it")
	}
	return name, settings, ok
}

// checkEnvironment checks the shape of env.d.
func (r *run) checkEnvironment() {
	var missing []string
	for _, section := range []string{"physical_skel", "component_skel", "container_skel"} {
		v, ok := r.env.Lookup(section)
		if !ok {
			missing = append(missing, section)
			continue
		}
		groups, ok := r.mapOf(v, r.env.PosOf(section), section, "write groups below it")
		if !ok {
			continue
		}
		for _, e := range groups.Entries() {
			name, isString := e.Key.(string)
			m, ok := r.mapOf(e.Value, e.Pos, fmt.Sprintf("%s.%v", section, e.Key), "write belongs_to below it, or remove the line")
			if !ok || !isString {
				if !isString {
					r.found.refuse("key", e.Pos, "put it in quotes", "the group %v is %s, not a name", e.Key, kind(e.Key))
				}
				continue
			}
			r.checkGroup(section, name, m, e.Pos)
		}
	}
	if len(missing) > 0 {
		r.found = slices.DeleteFunc(r.found, func(f Finding) bool { return f.Code == "no-base-environment" }) // says the same
		r.found.refuse("no-environment", Pos{File: r.src.Environment}, "name the directory that holds env.d with --environment",
			"no file of env.d has %s", strings.Join(missing, ", "))
	}
	for _, e := range r.env.Entries() {
		if _, ok := e.Value.(*Map); !ok && e.Key != "version" {
			r.found.refuse("environment", e.Pos, "remove it", "%v in env.d is %s, not a mapping of groups", e.Key, kind(e.Value))
		}
	}
}

func (r *run) checkGroup(section, name string, m *Map, pos Pos) {
	if section != "container_skel" && !m.Has("belongs_to") {
		r.found.refuse("no-belongs-to", pos, "add belongs_to with a list of groups", "%s.%s has no belongs_to", section, name)
	}
	for _, key := range []string{"belongs_to", "contains"} {
		if v, ok := m.Lookup(key); ok {
			r.names(v, m.PosOf(key), section+"."+name+"."+key)
		}
	}
	if v, ok := m.Lookup("properties"); ok && section == "container_skel" {
		r.mapOf(v, m.PosOf("properties"), section+"."+name+".properties", "write properties below it, or remove it")
	}
}
