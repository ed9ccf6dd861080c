package osa

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// review looks at a finished inventory for what works as in the original and still hurts.
func (r *run) review() {
	for _, look := range []func(){
		r.reviewRelease, r.reviewGroups, r.reviewContainers, r.reviewPrefixes, r.reviewAddresses, r.reviewAffinity, r.reviewSpellings,
	} {
		look()
	}
}

func (r *run) reviewRelease() {
	if strings.HasPrefix(r.release.From, "nothing") || strings.HasPrefix(r.release.From, "the names") {
		r.found.note("release", Pos{File: r.src.Environment}, "name it with --release", "the release is assumed to be %s, judging by %s", r.release.Name, r.release.From)
	}
}

// reviewGroups says which groups of the configuration the environment does not know, as the original's --check does.
func (r *run) reviewGroups() {
	known := r.section("physical_skel")
	for _, e := range r.config.Entries() {
		switch e.Key {
		case "global_overrides", "cidr_networks", "used_ips":
			continue
		}
		if !known.Has(e.Key) {
			r.found.warn("unknown-group", e.Pos, "add it to physical_skel in env.d, or correct its name",
				"Group %v was found in configuration but not the environment", e.Key)
		}
	}
}

// reviewContainers finds containers that Ansible would run into: of hosts that are gone, and outside their component's
// group.
func (r *run) reviewContainers() {
	for _, e := range r.section("container_skel").Entries() {
		group, _ := e.Key.(string)
		m, _ := e.Value.(*Map)
		contains, _ := m.Get("contains").(*List)
		members, _ := at(r.inv, group, "hosts").(*List)
		for _, name := range members.Strings() {
			h := r.byName[name]
			on, _ := h.vars.Get("physical_host").(string)
			in, _ := h.vars.Get("physical_host_group").(string)
			pos := r.hosts.PosOf(name)
			configured, _ := r.config.Get(r.era(in)).(*Map)
			if !configured.Has(on) {
				r.found.warn("removed-host", pos, fmt.Sprintf("run lxc-containers-destroy.yml and scripts/inventory-manage.py -r %s if it is gone", name),
					"the container %s is on %s, which is not in %s any more: it stays in all its groups", name, on, in)
				continue
			}
			inComponent := false
			for _, c := range contains.Strings() {
				l, _ := at(r.inv, c, "hosts").(*List)
				inComponent = inComponent || l != nil && l.Has(name)
			}
			if !inComponent && contains.Len() > 0 {
				r.found.warn("underscore", pos, "rename the host without underscores, or use the group "+group+" in playbooks",
					"the container %s is in %s but not in %s: its host's name has an underscore", name, group, strings.Join(contains.Strings(), ", "))
			}
		}
	}
}

// configured lists the hosts of the configuration, sorted, each with its first settings.
func (r *run) configured() (names []string, settings map[string][]Entry) {
	settings = map[string][]Entry{}
	for _, e := range r.config.Entries() {
		if _, ok := hostGroup(e.Key); !ok {
			continue
		}
		hosts, _ := e.Value.(*Map)
		for _, h := range hosts.Entries() {
			name, _ := h.Key.(string)
			settings[name] = append(settings[name], h)
		}
	}
	for name := range settings {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, settings
}

// reviewPrefixes finds hosts that the original mixes up because one's name starts with the other's.
func (r *run) reviewPrefixes() {
	names, settings := r.configured()
	for i, short := range names {
		for _, long := range names[i+1:] {
			if !strings.HasPrefix(long, short) {
				break
			}
			text := "physical host groups named *_all that contain %s also contain %s"
			severity := Note
			for _, e := range settings[short] {
				if m, _ := e.Value.(*Map); m.Has("container_vars") {
					text, severity = "container_vars of %s also apply to the containers of %s", Warning
				}
			}
			r.found.add(severity, "name-prefix", settings[short][0].Pos, "name hosts so that none starts with another's name, for example infra01 and infra10",
				"the name %s starts with %s: "+text, long, short, short, long)
		}
	}
}

// reviewAddresses finds addresses that two hosts have, that lie outside their network, or that may be drawn by
// accident.
func (r *run) reviewAddresses() {
	owner := map[string]string{}
	for _, h := range r.table {
		a, ok := h.vars.Get("management_address").(string)
		if !ok {
			continue
		}
		if other, taken := owner[a]; taken {
			r.found.warn("address-twice", r.hosts.PosOf(h.name), "give one of them another: scripts/inventory-manage.py --clear-ips, or edit the configuration",
				"%s and %s have the same management address %s", other, h.name, a)
		}
		owner[a] = h.name
	}
	cidrs, _ := r.config.Get("cidr_networks").(*Map)
	management, ok := cidrs.Get("management").(string)
	if !ok {
		management, _ = cidrs.Get("container").(string)
	}
	prefix, err := ParseNetwork(management)
	if err != nil {
		return
	}
	for _, h := range r.table {
		s, _ := h.vars.Get("management_address").(string)
		if a, err := netip.ParseAddr(s); err == nil && !prefix.Contains(a) {
			r.found.note("address-outside", r.hosts.PosOf(h.name), "check routing between them", "%s has %s, which is not in the management network %s", h.name, s, prefix)
		}
	}
	names, settings := r.configured()
	for _, name := range names {
		for _, e := range settings[name] {
			m, _ := e.Value.(*Map)
			s, _ := m.Get("management_ip").(string)
			if a, err := netip.ParseAddr(s); err == nil && prefix.Contains(a) && !r.reserved(a, s) {
				r.found.warn("not-reserved", m.PosOf("management_ip"), "add it to used_ips", "management_ip %s of %s is not reserved: a container may be given it", s, name)
			}
		}
	}
}

func (r *run) reserved(a netip.Addr, s string) bool {
	for _, known := range r.used.ranges {
		if known.from.Compare(a) <= 0 && a.Compare(known.to) <= 0 {
			return true
		}
	}
	list, _ := r.config.Get("used_ips").(*List)
	return list != nil && list.Has(s)
}

// reviewAffinity finds affinities that name no kind of container.
func (r *run) reviewAffinity() {
	kinds := r.section("container_skel")
	names, settings := r.configured()
	for _, name := range names {
		for _, e := range settings[name] {
			m, _ := e.Value.(*Map)
			affinity, _ := m.Get("affinity").(*Map)
			for _, a := range affinity.Entries() {
				if !kinds.Has(a.Key) {
					r.found.warn("affinity", a.Pos, "name a group of container_skel, such as k8s_container", "affinity of %s names %v, which is not a kind of container: it has no effect", name, a.Key)
				}
			}
		}
	}
}

// reviewSpellings finds groups that an upgrade to release 33 left behind.
func (r *run) reviewSpellings() {
	if r.release.DashesMatter {
		return
	}
	for _, e := range r.inv.Entries() {
		name, _ := e.Key.(string)
		if now := strings.ReplaceAll(name, "-", "_"); now != name && r.inv.Has(now) {
			r.found.note("two-spellings", e.Pos, "use "+now, "the inventory has the groups %s and %s: this release uses the second", name, now)
		}
	}
}
