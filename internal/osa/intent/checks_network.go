package intent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// checkVIPs finds virtual addresses that are missing or that something else has, or may get.
func (r *reader) checkVIPs() {
	v := r.in.VIPs
	if v.Internal.Address == "" {
		r.fail("vip-missing", osa.Pos{File: r.userConfig()}, "set internal_lb_vip_address in global_overrides", "there is no internal_lb_vip_address")
	}
	if v.External.Address == "" {
		r.warn("vip-missing", osa.Pos{File: r.userConfig()}, "set external_lb_vip_address in global_overrides", "there is no external_lb_vip_address")
	}
	for _, vip := range []struct{ path, address string }{{"vips.internal.address", v.Internal.Address}, {"vips.external.address", v.External.Address}} {
		a, err := netip.ParseAddr(vip.address)
		if err != nil {
			if notAddress(vip.address) {
				r.fail("address-invalid", r.at(vip.path), "write one address without a prefix length, or a name that resolves", "the virtual address %q is no address", vip.address)
			}
			continue // a name
		}
		for _, h := range r.inv.Hosts() {
			if h.ManagementAddress() == vip.address && !r.onlyBalancer(h.Name) {
				r.fail("vip-taken", r.at(vip.path), "give the VIP an address of its own and add it to used_ips", "%s is the address of %s", vip.address, h.Name)
			}
		}
		m, err := osa.ParseNetwork(r.in.Network.ManagementCIDR)
		switch {
		case err != nil || !m.Contains(a):
		case a == m.Masked().Addr() && m.Bits() < a.BitLen()-1:
			r.fail("address-invalid", r.at(vip.path), "give the VIP an address of a host", "%s is the network %s itself", vip.address, m.Masked())
		case !r.reserved(a):
			r.warn("vip-not-reserved", r.at(vip.path), "add it to used_ips", "%s is in the management network and not in used_ips: a container may be given it", vip.address)
		}
	}
}

// onlyBalancer says whether a host is the one load balancer there is: its own address may be the virtual one then.
func (r *reader) onlyBalancer(name string) bool {
	if len(r.in.HAProxy.Hosts) != 1 {
		return false
	}
	h := r.in.HAProxy.Hosts[0]
	return name == h.Name || name == h.PhysicalHost
}

// notAddress says whether a text has the shape of an address and is none, nor a name: no top-level domain is a number
// (RFC 3696, section 2), and names have no commas, colons, slashes or spaces.
func notAddress(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil || text == "" {
		return false
	}
	last := text[strings.LastIndexByte(text, '.')+1:]
	return strings.ContainsAny(text, ",:/ \t") || strings.Trim(last, "0123456789") == ""
}

// checkHostAddresses finds addresses of physical hosts that nobody can log in to.
func (r *reader) checkHostAddresses() {
	for i, h := range r.in.Hosts {
		for _, of := range []struct{ path, address string }{{"managementAddress", h.ManagementAddress}, {"sshAddress", h.SSHAddress}} {
			if notAddress(of.address) {
				r.fail("address-invalid", r.at(fmt.Sprintf("hosts[%d].%s", i, of.path)), "correct its ip or ansible_host", "%q of %s is no address", of.address, h.Name)
				break // most often it is the same
			}
		}
	}
}

func (r *reader) userConfig() string {
	for _, e := range r.src.Config.Entries() {
		return e.Pos.File
	}
	return r.opts.Config
}

// reserved says whether an address is in used_ips, or a host's.
func (r *reader) reserved(a netip.Addr) bool {
	list, _ := r.src.Config.Get("used_ips").(*osa.List)
	for _, entry := range list.Strings() {
		from, to, isRange := strings.Cut(entry, ",")
		if !isRange {
			to = from
		}
		low, err1 := netip.ParseAddr(strings.TrimSpace(from))
		high, err2 := netip.ParseAddr(strings.TrimSpace(to))
		if err1 == nil && err2 == nil && low.Compare(a) <= 0 && a.Compare(high) <= 0 {
			return true
		}
	}
	return slices.ContainsFunc(r.inv.Hosts(), func(h osa.Host) bool { return h.ManagementAddress() == a.String() })
}

// named is a range that meets others.
type named struct {
	name, path string
	prefix     netip.Prefix
}

// ranges of the configuration that parse.
func (r *reader) known() []named {
	n := r.in.Network
	all := []named{{"the pods' cilium_ipv4_cidr", "network.podCIDR", netip.Prefix{}}, {"the services' range", "network.serviceCIDR", netip.Prefix{}}, {"the network of lxcbr0", "network.lxcCIDR", netip.Prefix{}}}
	texts := []string{n.PodCIDR, n.ServiceCIDR, n.LXCCIDR}
	for i, o := range n.Others {
		all = append(all, named{"the network " + o.Name, fmt.Sprintf("network.others[%d].cidr", i), netip.Prefix{}})
		texts = append(texts, o.CIDR)
	}
	var out []named
	for i, text := range texts {
		if p, err := osa.ParseNetwork(text); err == nil && text != "" {
			all[i].prefix = p
			out = append(out, all[i])
		}
	}
	return out
}

// checkRanges finds ranges that are none, and addresses of hosts within the cluster's own. What overlaps is a warning:
// a cluster that lives has its ranges for good, and only the deployer sees whether there is one. It makes none with
// such a range.
func (r *reader) checkRanges() {
	n := r.in.Network
	pods, err := netip.ParsePrefix(n.PodCIDR)
	switch {
	case r.lost("network.podCIDR"):
	case err != nil:
		r.fail("cidr-invalid", r.at("network.podCIDR"), "write a range such as 172.29.200.0/22", "cilium_ipv4_cidr is not a range of addresses: %s", r.show("network.podCIDR", n.PodCIDR))
	case !pods.Addr().Is4():
		r.fail("cidr-invalid", r.at("network.podCIDR"), "write an IPv4 range", "cilium_ipv4_cidr is not IPv4: %s", pods)
	}
	for _, own := range r.known() {
		if own.path != "network.podCIDR" && own.path != "network.serviceCIDR" {
			continue
		}
		for _, h := range r.inv.Hosts() {
			if a, err := netip.ParseAddr(h.ManagementAddress()); err == nil && own.prefix.Contains(a) {
				r.warn("cidr-address", r.at(own.path), "choose a range that no host is in", "%s (%s) holds the address of %s, %s", own.name, own.prefix, h.Name, a)
				break
			}
		}
		for _, vip := range []string{r.in.VIPs.Internal.Address, r.in.VIPs.External.Address} {
			if a, err := netip.ParseAddr(vip); err == nil && own.prefix.Contains(a) {
				r.warn("cidr-address", r.at(own.path), "choose a range that no address of the cloud is in", "%s (%s) holds the virtual address %s", own.name, own.prefix, a)
			}
		}
	}
}

// checkOverlaps compares the cluster's ranges with all others, and that of lxcbr0, which can be moved.
func (r *reader) checkOverlaps() {
	all := r.known()
	for i, a := range all {
		for _, b := range all[i+1:] {
			own := a.path == "network.podCIDR" || a.path == "network.serviceCIDR"
			if !own && a.path != "network.lxcCIDR" || !a.prefix.Overlaps(b.prefix) {
				continue // operator's networks among themselves are his business
			}
			say, pos, fix := r.warn, r.at(a.path), "choose a cilium_ipv4_cidr that nothing else uses, unless the cluster is there already: it keeps its range"
			if a.path != "network.podCIDR" {
				pos, fix = r.at(b.path), "give one of them another range (lxc_net_address and lxc_net_netmask move lxcbr0)"
			}
			if a.path == "network.lxcCIDR" {
				say = r.fail
			}
			say("cidr-overlap", pos, fix, "%s (%s) overlaps %s (%s)", a.name, a.prefix, b.name, b.prefix)
		}
	}
}

// checkPodRoom counts the blocks that Cilium can hand out.
func (r *reader) checkPodRoom() {
	p, err := netip.ParsePrefix(r.in.Network.PodCIDR)
	if err != nil || !p.Addr().Is4() {
		return
	}
	room := 0
	if bits := r.in.Network.PodMaskSize - p.Bits(); bits >= 0 {
		room = 1 << bits
	}
	nodes := len(r.in.Nodes)
	const fix = "choose a larger cilium_ipv4_cidr; an existing cluster keeps its range, so do it before the first deployment"
	switch {
	case nodes > room:
		r.fail("pod-cidr-small", r.at("network.podCIDR"), fix, "cilium_ipv4_cidr %s has room for %d nodes (a /%d each), and there are %d", p, room, r.in.Network.PodMaskSize, nodes)
	case nodes == room:
		r.warn("pod-cidr-small", r.at("network.podCIDR"), fix, "cilium_ipv4_cidr %s has room for %d nodes (a /%d each), and all are taken: none can be added or replaced side by side",
			p, room, r.in.Network.PodMaskSize)
	}
}
