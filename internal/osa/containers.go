package osa

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// kindOf is one component of one kind of container in one group of containers, the unit in which containers are made.
type kindOf struct {
	group      string // the container group, such as k8s_container
	component  named  // what it contains, such as k8s_capi
	belongsTo  named  // the group of containers, such as cluster-api_containers
	properties *Map   // shared with the environment, as in the original: what one host changes all later ones see
	pos        Pos
}

// sibling replaces what follows the last underscore: cluster-api_containers has the siblings cluster-api_hosts and
// cluster-api_all.
func sibling(group, suffix string) string {
	if i := strings.LastIndexByte(group, '_'); i >= 0 {
		return group[:i] + "_" + suffix
	}
	return group
}

// era spells a group as the release does.
func (r *run) era(group string) string {
	if r.release.DashesMatter {
		return group
	}
	return strings.ReplaceAll(group, "-", "_")
}

func (r *run) containersOf(host string) string {
	if r.release.DashesMatter {
		return host + "-host_containers"
	}
	return host + "_host_containers"
}

// containers makes the containers that are missing, kind by kind in the environment's order.
func (r *run) containers() {
	for _, e := range r.section("container_skel").Entries() {
		group, _ := e.Key.(string)
		m, _ := e.Value.(*Map)
		properties, _ := m.Get("properties").(*Map)
		if properties == nil {
			properties = &Map{}
		}
		var parents, components []named
		if m.Has("belongs_to") {
			parents = r.names(m.Get("belongs_to"), m.PosOf("belongs_to"), group+".belongs_to")
			r.belongsTo(group, m)
		}
		if m.Has("contains") {
			components = r.names(m.Get("contains"), m.PosOf("contains"), group+".contains")
		}
		if Truth(properties.Get("is_nest")) {
			r.nest(group, e.Pos)
		}
		for _, component := range components {
			for _, parent := range parents {
				r.addContainers(kindOf{group, component, parent, properties, e.Pos})
			}
		}
	}
}

// nest makes the containers of hosts children of a group of groups.
func (r *run) nest(group string, pos Pos) {
	hosts, children := r.group(sibling(group, "hosts"), "hosts", pos), r.group(group, "children", pos)
	if hosts == nil || children == nil {
		return
	}
	for _, h := range hosts.Strings() {
		if name := r.containersOf(h); r.inv.Has(name) {
			children.appendIf(name)
		}
	}
}

func (r *run) addContainers(k kindOf) {
	physical := r.era(sibling(k.belongsTo.name, "hosts"))
	if !r.config.Has(physical) {
		return
	}
	configured, ok := r.mapOf(r.config.Get(physical), r.config.PosOf(physical), physical, "write hosts below it")
	if !ok {
		return
	}
	members, hosts := r.group(k.group, "hosts", k.pos), r.group(physical, "hosts", k.belongsTo.pos)
	if members == nil || hosts == nil {
		return
	}
	for i := 0; i < hosts.Len(); i++ { // the list may grow on the way
		name, _ := hosts.items[i].(string)
		if !configured.Has(name) {
			continue
		}
		settings, _ := configured.Get(name).(*Map)
		if settings == nil { // a group that is no group of hosts
			r.found.refuse("host", configured.PosOf(name), "name groups of hosts *_hosts", "%s in %s has no settings", name, physical)
			continue
		}
		r.addContainersOf(k, physical, name, settings, members)
	}
}

const (
	maxContainerPrefix = 52 // sshd and hostname stop at 63, and a container's name ends with a dash and eight digits
	maxHostName        = 63
)

func (r *run) addContainersOf(k kindOf, physical, name string, settings *Map, members *List) {
	affinity, ok := r.affinity(k, name, settings)
	if !ok || !r.noContainers(k, name, settings) {
		return
	}
	prefix := name + "-" + strings.ReplaceAll(k.group, "_", "-")
	metal := Truth(k.properties.Get("is_metal"))
	switch {
	case !metal && len([]rune(prefix)) > maxContainerPrefix:
		r.found.refuse("name-too-long", r.config.PosOf(physical), "give the host a name of less than 20 characters",
			"The resulting combination of [ %q + %q ] is longer than %d characters", name, prefix[len(name)+1:], maxContainerPrefix)
		return
	case metal && len([]rune(name)) > maxHostName:
		r.found.refuse("name-too-long", settings.Pos, "give the host a shorter name", "The resulting hostname %q is longer than %d characters", name, maxHostName)
		return
	}
	h := r.byName[name]
	if h == nil {
		r.found.refuse("stale-host", settings.Pos, "restore the inventory from its backup", "the inventory has %s in a group, but no variables of it", name)
		return
	}
	r.set(h, "container_types", r.containersOf(name), settings.Pos)
	if !r.make(k, physical, name, prefix, affinity, settings, members) {
		return
	}
	mine := r.startingWith(name)
	for _, c := range mine {
		if c.named && !c.vars.Has("physical_host") {
			r.set(c, "physical_host", name, settings.Pos)
		}
	}
	r.join(k, name, prefix, settings, mine)
}

func (r *run) affinity(k kindOf, name string, settings *Map) (int64, bool) {
	v, ok := settings.Lookup("affinity")
	if !ok {
		return 1, true
	}
	m, ok := r.mapOf(v, settings.PosOf("affinity"), "affinity of "+name, "write <container group>: <count> below it, or remove it")
	if !ok || !m.Has(k.group) {
		return 1, ok
	}
	switch n := m.Get(k.group).(type) {
	case bool:
		return sameKey(n).(int64), true //nolint:forcetypeassert // what sameKey makes of a bool
	case int64:
		if n > 10000 {
			r.found.refuse("affinity", m.PosOf(k.group), "write a smaller number", "affinity of %s on %s asks for %d containers", k.group, name, n)
			return 0, false
		}
		return n, true
	}
	r.found.refuse("affinity", m.PosOf(k.group), "write a whole number", "affinity of %s on %s is %s, not a whole number", k.group, name, kind(m.Get(k.group)))
	return 0, false
}

// noContainers makes a kind metal when the host, or the whole cloud, has no containers. The original writes that into
// the properties that all hosts share, so that hosts that come later have none either.
func (r *run) noContainers(k kindOf, name string, settings *Map) bool {
	if !r.config.Has("global_overrides") {
		r.found.refuse("no-overrides", r.top(), "add global_overrides, even if it has only one setting", "global_overrides can't be found in user config")
		return false
	}
	v, own := settings.Lookup("no_containers")
	if !own {
		v = r.overrides().Get("no_containers")
	}
	if Truth(v) {
		if own && !Truth(k.properties.Get("is_metal")) {
			r.metalized[k.group] = name
		}
		k.properties.Set("is_metal", true, settings.PosOf("no_containers"))
		return true
	}
	if by := r.metalized[k.group]; by != "" {
		r.found.warn("no-containers", settings.Pos, "set no_containers for all hosts of the group or for none, or order them last",
			"%s gets no %s either: no_containers of %s applies to every host after it", name, k.group, by)
	}
	return true
}

// make makes the containers that are missing on a host, or gives the host itself the component.
func (r *run) make(k kindOf, physical, name, prefix string, affinity int64, settings *Map, members *List) bool {
	match, err := likeName(prefix + "-")
	if err != nil {
		r.found.refuse("host-name", settings.Pos, "use letters, digits, dots and dashes", "the host name %q: %v", name, err)
		return false
	}
	have := int64(0)
	for _, m := range members.Strings() {
		if match(m) {
			have++
		}
	}
	is, set := k.properties.Lookup("is_metal")
	metal := set && is != false // "is_metal:" without a value makes metal here, though nowhere else
	for ; have < affinity; have++ {
		if metal {
			ip := settings.Get("ip")
			r.describe(r.byName[name], k, physical, name, ip, settings.PosOf("ip"))
			return true // every further round would do the same
		}
		container, ok := r.newName(prefix, settings.Pos)
		if !ok {
			return false
		}
		group := r.containersOf(name)
		if !r.inv.Has(group) {
			r.inv.Set(group, newGroup("hosts"), settings.Pos)
		}
		if l := r.group(group, "hosts", settings.Pos); l != nil {
			l.appendIf(container)
		}
		members.appendIf(container)
		r.describe(r.host(container, settings.Pos), k, physical, name, nil, settings.Pos)
	}
	return true
}

func (r *run) newName(prefix string, pos Pos) (string, bool) {
	for range 100 {
		if name := prefix + "-" + r.draw.Suffix(); !r.hosts.Has(name) {
			return name, true
		}
	}
	r.found.refuse("names", pos, "run again", "no free name %s-* was drawn in a hundred tries", prefix)
	return "", false
}

// describe sets what a new container has from the start, and a metal host at every run.
func (r *run) describe(h *host, k kindOf, physical, on string, address Value, pos Pos) {
	r.set(h, "ansible_host", address, pos)
	r.set(h, "management_address", address, pos)
	r.set(h, "container_name", h.name, pos)
	r.set(h, "physical_host", on, pos)
	if r.release.HostAddress {
		r.set(h, "physical_host_addr", r.byName[on].vars.Get("ansible_host"), pos)
	}
	r.set(h, "physical_host_group", physical, pos)
	r.set(h, "component", k.component.name, pos)
	if !h.vars.Has("properties") {
		r.set(h, "properties", k.properties, k.pos)
	}
}

// likeName matches names that start with a prefix, in which dashes and underscores are the same. The original makes it
// a regular expression without quoting, so a dot in a host name stands for any character.
func likeName(prefix string) (func(string) bool, error) {
	if strings.ContainsAny(prefix, `\+*?()[]{}^$|`) {
		re, err := regexp.Compile("^" + strings.NewReplacer("-", "[_-]", "_", "[_-]").Replace(prefix))
		if err != nil {
			return nil, fmt.Errorf("the original reads it as a regular expression, and it is not a valid one: %w", err)
		}
		return re.MatchString, nil
	}
	return func(name string) bool {
		rest := name
		for _, want := range prefix {
			if rest == "" {
				return false
			}
			got, size := rune(rest[0]), 1
			if got >= utf8.RuneSelf {
				got, size = decodeWide(rest)
			}
			same := want == got || isDash(want) && isDash(got) || want == '.' && got != '\n'
			if !same {
				return false
			}
			rest = rest[size:]
		}
		return true
	}, nil
}

func isDash(c rune) bool { return c == '-' || c == '_' }

// startingWith returns the hosts whose name starts with another's: its containers, and those of infra10 for infra1.
func (r *run) startingWith(name string) []*host {
	var out []*host
	for _, h := range r.table {
		if h.named && strings.HasPrefix(h.called, name) || !h.named && h.vars.Has("container_types") && strings.HasPrefix(h.name, name) {
			out = append(out, h)
		}
	}
	return out
}

// join puts containers into their component's group and into the _all group of their physical group.
func (r *run) join(k kindOf, name, prefix string, settings *Map, mine []*host) {
	all := r.era(sibling(k.belongsTo.name, "all"))
	if !r.inv.Has(all) {
		r.inv.Set(all, newGroup("hosts"), k.pos)
	}
	inAll, inComponent := r.group(all, "hosts", k.belongsTo.pos), r.group(k.component.name, "hosts", k.component.pos)
	if inAll == nil || inComponent == nil {
		return
	}
	extra, _ := settings.Get("container_vars").(*Map)
	for _, h := range slices.Clone(mine) {
		if !h.named {
			r.set(h, "container_name", h.name, settings.Pos)
		}
		if !h.vars.Has("physical_host") {
			r.set(h, "physical_host", name, settings.Pos)
		}
		counted := h.called
		if r.release.AnyUnderscores {
			counted = h.dashed
		}
		properties, _ := h.vars.Get("properties").(*Map)
		switch component := h.vars.Get("component"); {
		case strings.HasPrefix(counted, prefix+"-"):
			inComponent.appendIf(h.called)
			inAll.appendIf(h.called)
		case Truth(properties.Get("is_metal")):
			if component == k.component.name {
				inComponent.appendIf(h.called)
			}
			inAll.appendIf(h.called)
		}
		r.containerVars(h, extra)
	}
}

// containerVars gives a container the variables of its host's container_vars, those with limit_container_types only to
// components that contain that text.
func (r *run) containerVars(h *host, extra *Map) {
	for _, e := range extra.Entries() {
		value, limit := e.Value, Value(nil)
		switch x := e.Value.(type) {
		case *Map:
			if x.Has("limit_container_types") {
				limit = x.Get("limit_container_types")
				x = x.Copy()
				x.Delete("limit_container_types")
				value = x
			}
		case *List:
			if x.Has("limit_container_types") {
				r.found.refuse("container-vars", e.Pos, "make it a mapping", "limit_container_types is in a list")
			}
		case string:
			if strings.Contains(x, "limit_container_types") {
				r.found.refuse("container-vars", e.Pos, "make it a mapping", "limit_container_types is in a string")
			}
		}
		if limit == nil || r.limitMeets(h, limit, e.Pos) {
			r.set(h, e.Key, value, e.Pos)
		}
	}
}

// limitMeets says whether a container's component contains the text of limit_container_types.
func (r *run) limitMeets(h *host, limit Value, pos Pos) bool {
	component := h.vars.Get("component")
	if !Truth(component) {
		return false
	}
	switch x := component.(type) { // a component that host_vars made a list or a mapping can be looked into as well
	case *Map:
		return x.Has(limit)
	case *List:
		return x.Has(limit)
	}
	text, ok := limit.(string)
	name, isName := component.(string)
	if !ok || !isName {
		r.found.refuse("container-vars", pos, "write a part of a component's name", "limit_container_types is %s, and the component of %s %s: both must be strings",
			kind(limit), h.name, kind(component))
	}
	return ok && isName && strings.Contains(name, text)
}
