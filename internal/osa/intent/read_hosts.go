package intent

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// Names of groups that the playbooks use.
const (
	groupNodes   = "k8s_all"
	groupHAProxy = "haproxy"
	groupMagnum  = "magnum_all"
	groupRepo    = "repo_all"
	groupUtility = "utility_all"
)

// first is the scope of the first node: what is meant for the cluster as a whole is read from it.
func (r *reader) first() *scope { return r.scopes[r.in.Nodes[0].Name] }

// vips reads the virtual addresses as the load balancers have them, or the nodes if there is none.
func (r *reader) vips() error {
	hosts := r.inv.Members(groupHAProxy)
	if len(hosts) == 0 {
		hosts = r.inv.Members(groupNodes)
	}
	if len(hosts) == 0 {
		return nil
	}
	s, err := r.scope(hosts[0])
	if err != nil {
		return err
	}
	for _, v := range []struct {
		vip  *VIP
		name string
	}{{&r.in.VIPs.Internal, "internal"}, {&r.in.VIPs.External, "external"}} {
		at := "vips." + v.name + "."
		v.vip.Address = s.text(at+"address", v.name+"_lb_vip_address")
		v.vip.Bind = s.text(at+"bind", "haproxy_bind_"+v.name+"_lb_vip_address")
		v.vip.Interface = s.text(at+"interface", "haproxy_bind_"+v.name+"_lb_vip_interface")
	}
	return nil
}

// nodes reads the members of the management cluster.
func (r *reader) nodes() error {
	r.in.Nodes = []Node{}
	r.from("nodes", Origin{Variable: groupNodes, Level: "inventory", Why: "members of the group " + groupNodes})
	var failed []error
	for _, name := range r.inv.Members(groupNodes) {
		s, err := r.scope(name)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		at := fmt.Sprintf("nodes[%d]", len(r.in.Nodes))
		n := Node{Container: r.container(at, s)}
		n.NodeName = strings.ToLower(s.textOr(at+".nodeName", "kubelet_hostname", strings.ReplaceAll(n.Name, "_", "-"), "the host name OpenStack-Ansible gives a container: its name, _ as -"))
		n.NodeIP = s.textOr(at+".nodeIP", "kubelet_node_ip", n.ManagementAddress, "the address on the management network")
		n.Labels = s.textMap(at+".labels", "k8s_node_labels")
		if n.IsMetal {
			n.Networks, n.LXC = []ContainerNetwork{}, LXC{}
		} else {
			n.Networks = r.networks(at+".networks", s)
			n.LXC = r.nodeLXC(at+".lxc", s)
		}
		r.in.Nodes = append(r.in.Nodes, n)
	}
	if len(r.in.Nodes) == 0 && len(failed) == 0 {
		r.fail("no-nodes", osa.Pos{File: path.Join(r.opts.Config, "conf.d", "k8s.yml")},
			"name physical hosts under cluster-api_hosts (cluster_api_hosts from OpenStack-Ansible 33 on) and see that env.d defines k8s_container",
			"no host or container is in the group %s: there is nothing to deploy a management cluster on", groupNodes)
	}
	return errors.Join(failed...)
}

// container reads where a component runs.
func (r *reader) container(at string, s *scope) Container {
	h, _ := r.inv.Host(s.host)
	c := Container{
		Name: h.Name, PhysicalHost: cmp.Or(h.PhysicalHost(), h.Name), ManagementAddress: cmp.Or(h.ManagementAddress(), h.Text("ansible_host")),
		IsMetal: h.IsMetal(), Tech: cmp.Or(h.Text("container_tech"), "lxc"),
	}
	for field, key := range map[string]string{"": "", ".physicalHost": "physical_host", ".managementAddress": "management_address", ".isMetal": "properties", ".tech": "container_tech"} {
		r.from(at+field, Origin{Pos: h.Vars.PosOf(key), Variable: key, Level: "inventory", Why: "of " + h.Name})
	}
	return c
}

// networks are a container's interfaces, as the role lxc_container_create combines them.
func (r *reader) networks(at string, s *scope) []ContainerNetwork {
	all := &osa.Map{}
	all.Set("lxcbr0_address", r.lxcBridge(s), osa.Pos{})
	for _, name := range []string{"container_networks", "lxc_container_networks"} {
		v, ok := s.take(at, name)
		m, isMap := v.(*osa.Map)
		if ok && !isMap {
			s.wrong(name, v, "a mapping of networks")
		}
		for _, e := range m.Entries() {
			all.Set(e.Key, e.Value, e.Pos)
		}
	}
	r.from(at, Origin{Variable: "container_networks", Level: "inventory", Why: "of " + s.host})
	out := []ContainerNetwork{}
	for _, e := range all.Entries() {
		m, _ := e.Value.(*osa.Map)
		if text(m, "interface") == "" {
			continue // an address of the physical host, not an interface to make
		}
		out = append(out, r.network(fmt.Sprint(e.Key), s, m))
	}
	slices.SortStableFunc(out, func(a, b ContainerNetwork) int { return strings.Compare(a.Interface, b.Interface) })
	return out
}

// lxcBridge is lxc_container_networks of the role, which an operator's own replaces entry by entry.
func (r *reader) lxcBridge(s *scope) *osa.Map {
	m := &osa.Map{}
	m.Set("interface", "eth0", osa.Pos{})
	m.Set("type", "veth", osa.Pos{})
	for _, key := range []string{"bridge", "bridge_type", "mtu"} {
		if v, ok := s.variable("lxc_net_" + key); ok {
			m.Set(key, osa.Reveal(v.Value), osa.Pos{})
		}
	}
	return m
}

func text(m *osa.Map, key string) string {
	s, _ := asText(m.Get(key))
	return strings.TrimSpace(s)
}

func (r *reader) network(key string, s *scope, m *osa.Map) ContainerNetwork {
	n := ContainerNetwork{
		Key: key, Interface: text(m, "interface"), Bridge: text(m, "bridge"), Type: cmp.Or(text(m, "type"), "veth"),
		BridgeType: cmp.Or(text(m, "bridge_type"), "linuxbridge"), Gateway: text(m, "gateway"), StaticRoutes: []StaticRoute{},
	}
	if n.MTU, _ = asInt(m.Get("mtu")); n.MTU == 0 {
		if v, ok := s.variable("lxc_container_default_mtu"); ok {
			n.MTU, _ = asInt(osa.Reveal(v.Value))
		}
	}
	n.Address = withPrefix(text(m, "address"), text(m, "netmask"))
	if n.Type == "veth" {
		n.VethPair = vethPair(s.host, n.Interface)
	}
	if n.Type != "phys" {
		n.HardwareAddressFile = "/var/lib/lxc/" + s.host + "/" + n.Interface + ".hwaddr"
	}
	routes, _ := m.Get("static_routes").(*osa.List)
	for _, item := range routes.Items() {
		route, _ := item.(*osa.Map)
		n.StaticRoutes = append(n.StaticRoutes, StaticRoute{CIDR: text(route, "cidr"), Gateway: text(route, "gateway")})
	}
	return n
}

// withPrefix joins an address and a netmask, which the inventory writes as 255.255.252.0 or as a number.
func withPrefix(address, netmask string) string {
	if address == "" || netmask == "" {
		return address
	}
	bits := netmask
	if mask, err := netip.ParseAddr(netmask); err == nil {
		n := 0
		for _, b := range mask.AsSlice() {
			for ; b&0x80 != 0; b <<= 1 {
				n++
			}
		}
		bits = fmt.Sprint(n)
	}
	return address + "/" + bits
}

// vethPair is the role's name for the outer end of an interface; Linux allows 15 characters.
func vethPair(container, iface string) string {
	last := container[max(0, len(container)-8):]
	name := strings.NewReplacer("-", "", "_", "").Replace(last) + "_" + iface
	return name[max(0, len(name)-15):]
}

// nodeLXC is lxc, with what the playbook adds because the container holds containers.
func (r *reader) nodeLXC(at string, s *scope) LXC {
	out := r.lxc(at, s)
	out.Dropped = append([]string{"security.privileged = true", "security.nested = true", "raw.lxc = \"lxc.apparmor.profile=unconfined\""}, out.Dropped...)
	for _, line := range []string{"lxc.cap.drop =", "lxc.cgroup.devices.allow = a", "lxc.cgroup2.devices.allow = a"} {
		if !slices.Contains(out.Config, line) {
			out.Config = append(out.Config, line)
		}
	}
	for _, m := range []BindMount{
		{Host: "/usr/lib/modules", Container: "usr/lib/modules", Create: "dir"},
		{Host: "/usr/src", Container: "usr/src", Create: "dir"},
		{Host: "/dev/kmsg", Container: "dev/kmsg", Create: "file"},
	} {
		if !slices.Contains(out.BindMounts, m) {
			out.BindMounts = append(out.BindMounts, m)
		}
	}
	return out
}

// lxc reads how a container is made: the role's defaults and the operator's settings.
func (r *reader) lxc(at string, s *scope) LXC {
	out := LXC{
		Directory:     "/var/lib/lxc/" + s.host,
		ConfigBase:    s.text(at+".configBase", "lxc_container_config"),
		MountAuto:     s.texts(at+".mountAuto", "lxc_container_mount_auto"),
		BackingStore:  s.text(at+".backingStore", "lxc_container_backing_store"),
		FSSize:        s.text(at+".fsSize", "lxc_container_fs_size"),
		Domain:        s.text(at+".domain", "lxc_container_domain"),
		ImageServer:   s.text(at+".imageServer", "lxc_image_cache_server"),
		Template:      s.text(at+".template", "lxc_container_template"),
		AllowRestarts: s.boolean(at+".allowRestarts", "lxc_container_allow_restarts"),
		JournalLink:   s.boolean(at+".journalLink", "lxc_container_journal_link"),
		Resolved:      s.boolean(at+".resolved", "lxc_container_enable_resolved"),
	}
	out.TemplateOptions = s.text(at+".templateOptions", "lxc_container_download_template_extra_options")
	if h, _ := r.inv.Host(s.host); h.Vars != nil { // properties come before the variable
		if p, _ := h.Vars.Get("properties").(*osa.Map); p.Has("container_fs_size") {
			out.FSSize = text(p, "container_fs_size")
			r.from(at+".fsSize", Origin{Pos: p.PosOf("container_fs_size"), Variable: "properties.container_fs_size", Level: "inventory"})
		}
	}
	r.from(at+".directory", Origin{Level: "derived", Why: "LXC's directory of the container"})
	out.Config, out.Dropped = []string{}, []string{}
	for _, line := range s.texts(at+".config", "lxc_container_config_list") {
		if line = configLine(line); strings.HasPrefix(line, "lxc.") {
			out.Config = append(out.Config, line)
		} else if !slices.Contains(out.Dropped, line) {
			out.Dropped = append(out.Dropped, line)
		}
	}
	r.from(at+".dropped", Origin{Level: "derived", Why: "keys of LXD that the playbook adds and LXC does not know"})
	out.BindMounts = r.bindMounts(at+".bindMounts", s)
	return out
}

// configLine is "key = value" as the role writes it.
func configLine(line string) string {
	key, value, _ := strings.Cut(line, "=")
	return strings.TrimSpace(strings.TrimSpace(key) + " = " + strings.TrimSpace(value))
}

// bindMounts are the default ones, the operator's, and logs.
func (r *reader) bindMounts(at string, s *scope) []BindMount {
	out := []BindMount{}
	add := func(m BindMount) {
		m.Container = strings.TrimPrefix(m.Container, "/")
		if !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	r.from(at, Origin{Variable: "lxc_container_bind_mounts", Level: "default", Why: "lxc_container_create, and the playbook for nested containers"})
	for _, name := range []string{"lxc_container_default_bind_mounts", "lxc_container_bind_mounts"} {
		v, ok := s.take(at, name)
		if !ok && name == "lxc_container_default_bind_mounts" {
			add(BindMount{Host: "/openstack/backup/" + s.host, Container: "/var/backup", Create: "dir"})
		}
		list, isList := v.(*osa.List)
		if ok && !isList {
			s.wrong(name, v, "a list of mounts")
		}
		for _, item := range list.Items() {
			m, _ := item.(*osa.Map)
			add(BindMount{Host: text(m, "host_directory"), Container: text(m, "container_directory"), Create: "dir"})
		}
	}
	add(BindMount{Host: "/openstack/log/" + s.host, Container: "/var/log", Create: "dir"})
	return out
}
