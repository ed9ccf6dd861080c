package intent

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// userRC is what the command openstack-ansible reads before each playbook (scripts/openstack-ansible.sh of
// OpenStack-Ansible).
const userRC = "user.rc"

// playTags are the tags of the playbook openstack.osa.k8s by which all is left out that changes nodes.
func playTags() []string { return []string{"k8s", "cluster-api", "k8s-backups"} }

var skippedTags = regexp.MustCompile(`(?m)^[ \t]*export[ \t]+ANSIBLE_SKIP_TAGS=["']?([^"'\s#]*)`)

// checkOwnPlay: OpenStack-Ansible 33 (2026.1) and later run a Kubernetes playbook of their own on k8s_all in
// setup_infrastructure. It has no switch (playbooks/setup_infrastructure.yml and k8s.yml of openstack.osa), and would
// write its own settings over those that are here, and its own versions: only tags keep it away for good.
func (r *reader) checkOwnPlay() {
	if r.src.Release.DashesMatter || len(r.in.Nodes) == 0 {
		return
	}
	path := filepath.Join(r.opts.Config, userRC)
	text, _ := osa.ReadFile(path) // no file: nothing is kept away
	skipped := []string{}
	pos := osa.Pos{File: path}
	if at := skippedTags.FindAllSubmatchIndex(text, -1); len(at) > 0 {
		last := at[len(at)-1] // the shell's last word
		skipped = strings.Split(string(text[last[2]:last[3]]), ",")
		pos.Line = strings.Count(string(text[:last[2]]), "\n") + 1
	}
	missing := slices.DeleteFunc(playTags(), func(tag string) bool { return slices.Contains(skipped, tag) })
	if len(missing) == 0 {
		return
	}
	r.warn("own-kubernetes", pos, "add a line \"export ANSIBLE_SKIP_TAGS="+strings.Join(playTags(), ",")+"\" to it (docs/beside-openstack-ansible.md)",
		"openstack.osa.setup_infrastructure runs the playbook openstack.osa.k8s on these nodes, and would install its own Kubernetes over this one: its tags %s are not skipped",
		strings.Join(missing, ", "))
}

// checkFamily refuses IPv6 where nodes, load balancers and Magnum meet: kubeadm's configuration, etcd's peers, routes
// and what a certificate is for are made for one family. Users may come to an external IPv6 address.
func (r *reader) checkFamily() {
	const fix = "give the management network IPv4 addresses; users may have an external_lb_vip_address of IPv6"
	refuse := func(path, what, address string) {
		a, err := netip.ParseAddr(strings.Trim(address, "[]"))
		if p, e := osa.ParseNetwork(address); err != nil && e == nil {
			a, err = p.Addr(), nil
		}
		if err == nil && !a.Unmap().Is4() {
			r.fail("ipv6", r.at(path), fix, "%s is %s: management networks of IPv6 are not supported", what, a)
		}
	}
	refuse("network.managementCIDR", "the management network", r.in.Network.ManagementCIDR)
	refuse("vips.internal.address", "internal_lb_vip_address", r.in.VIPs.Internal.Address)
	if r.in.VIPs.Internal.Bind != r.in.VIPs.Internal.Address {
		refuse("vips.internal.bind", "haproxy_bind_internal_lb_vip_address", r.in.VIPs.Internal.Bind)
	}
	if r.in.Kubernetes.ControlPlaneHost != r.in.VIPs.Internal.Address {
		refuse("kubernetes.controlPlaneHost", "kubernetes_hostname", r.in.Kubernetes.ControlPlaneHost)
	}
	for i, h := range r.in.Hosts {
		refuse(fmt.Sprintf("hosts[%d].managementAddress", i), "the address of "+h.Name, h.ManagementAddress)
	}
	for i, n := range r.in.Nodes {
		refuse(fmt.Sprintf("nodes[%d].nodeIP", i), "kubelet_node_ip of "+n.Name, n.NodeIP)
	}
	for i, h := range r.in.Magnum.Hosts {
		if h.IsMetal {
			continue // its host's, which is told
		}
		refuse(fmt.Sprintf("magnum.hosts[%d].managementAddress", i), "the management address of "+h.Name, h.ManagementAddress)
	}
	for i, h := range r.in.Proxy.Hosts {
		if h.IsMetal {
			continue
		}
		refuse(fmt.Sprintf("proxy.hosts[%d].managementAddress", i), "the management address of "+h.Name, h.ManagementAddress)
	}
}
