package intent

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// checkNodes looks at how many nodes there are, and where.
func (r *reader) checkNodes() {
	n := len(r.in.Nodes)
	if n%2 == 0 {
		r.warn("even-nodes", r.at("nodes"), "add a node or remove one", "%d nodes tolerate no more failures than %d: etcd needs a majority", n, n-1)
	}
	on := map[string][]string{}
	for i, node := range r.in.Nodes {
		path := fmt.Sprintf("nodes[%d].", i)
		on[node.PhysicalHost] = append(on[node.PhysicalHost], node.Name)
		if node.IsMetal {
			r.warn("metal", r.at(path+"isMetal"), "take no_containers and is_metal away, and let it be a container", "%s is a node without a container: swap, host name and container runtime of the host itself are changed; the playbooks were never tested so", node.Name)
		} else if node.Tech != "lxc" {
			r.fail("container-tech", r.at(path+"tech"), "leave container_tech at lxc for this host", "%s is made with %s: nodes are prepared for lxc only", node.Name, node.Tech)
		}
		m, err := osa.ParseNetwork(r.in.Network.ManagementCIDR)
		a, errIP := netip.ParseAddr(node.NodeIP)
		switch {
		case r.lost(path + "nodeIP"):
		case errIP != nil:
			r.fail("node-ip", r.at(path+"nodeIP"), `set kubelet_node_ip to "{{ management_address }}"`, "kubelet_node_ip of %s is %q, which is not an address", node.Name, r.show(path+"nodeIP", node.NodeIP))
		case err == nil && !m.Contains(a):
			r.warn("node-ip", r.at(path+"nodeIP"), `set kubelet_node_ip to "{{ management_address }}"`, "%s advertises %s, which is not in the management network %s", node.Name, a, m)
		}
	}
	for host, names := range on {
		if len(names) > 1 {
			r.warn("same-host", r.at("nodes"), "spread them: affinity k8s_container 1 on more hosts", "%d nodes are on %s: if it fails, all of them fail", len(names), host)
		}
	}
}

var nodeName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// checkNodeNames looks at names Kubernetes takes and the playbook expects.
func (r *reader) checkNodeNames() {
	seen := map[string]string{}
	for i, n := range r.in.Nodes {
		path := fmt.Sprintf("nodes[%d].nodeName", i)
		if !nodeName.MatchString(n.NodeName) {
			r.fail("node-name", r.at(path), "use lower case letters, digits and -", "kubelet_hostname of %s is %q, which is not a valid name in Kubernetes", n.Name, r.show(path, n.NodeName))
		} else if n.NodeName != strings.ToLower(n.Name) {
			r.warn("node-name", r.at(path), "let kubelet_hostname be the inventory's name; here the Node itself is labelled", "the node %s is called %s in Kubernetes: the playbook would make a second, empty Node %s to label",
				n.Name, r.show(path, n.NodeName), strings.ToLower(n.Name))
		}
		if other, ok := seen[n.NodeName]; ok {
			r.fail("node-name-twice", r.at(path), `give each its own, such as "{{ inventory_hostname }}"`, "%s and %s have the same kubelet_hostname, %s", other, n.Name, r.show(path, n.NodeName))
		}
		seen[n.NodeName] = n.Name
	}
}

// checkControlPlane looks at the endpoint and the group.
func (r *reader) checkControlPlane() {
	k, path := r.in.Kubernetes, "kubernetes.controlPlaneHost"
	switch {
	case r.lost(path):
	case k.ControlPlaneHost == "":
		r.fail("control-plane-host", r.at(path), `set it to "{{ internal_lb_vip_address }}"`, "kubernetes_hostname is not set: the address of the API is unknown")
	case k.ControlPlaneHost == r.in.VIPs.External.Address && k.ControlPlaneHost != r.in.VIPs.Internal.Address:
		r.warn("control-plane-host", r.at(path), `set it to "{{ internal_lb_vip_address }}"`, "kubernetes_hostname is the external VIP: nodes, Magnum and proxies reach the API from outside")
	}
	group := r.inv.Members(k.ControlPlaneGroup)
	for _, n := range r.in.Nodes {
		if !slices.Contains(group, n.Name) {
			r.fail("control-plane-group", r.at("kubernetes.controlPlaneGroup"), "name a group that every node is in: k8s_container, or k8s_capi if there are nodes on metal", "%s is not in the group %s, whose members the control plane is made of", n.Name, r.show("kubernetes.controlPlaneGroup", k.ControlPlaneGroup))
			break
		}
	}
	container := slices.ContainsFunc(r.in.Nodes, func(n Node) bool { return !n.IsMetal })
	if container && !k.NonInitNamespace {
		r.fail("conntrack-namespace", r.at("kubernetes.nonInitNamespace"), "set kubernetes_non_init_namespace: true", "nodes are containers and kubernetes_non_init_namespace is not true: kube-proxy would set conntrack, fail and stop")
	}
	if o := k.OIDC; o.IssuerURL != "" && (o.ClientID == "" || o.UsernameClaim == "") {
		r.fail("oidc", r.at("kubernetes.oidc.issuerURL"), "set kubernetes_oidc_client_id and kubernetes_oidc_username_claim as well", "kubernetes_oidc_issuer_url is set without its client and claim")
	}
}

// checkConntrack tells that a setting of the nodes is one of their hosts'.
func (r *reader) checkConntrack() {
	const name = "openstack_host_nf_conntrack_max"
	for i, h := range r.in.Hosts {
		if !h.Has(RoleNode) || h.ConntrackMax == 0 {
			continue
		}
		if _, ok := r.scopes[h.Name].written(name); !ok {
			r.note("conntrack-host", r.at(fmt.Sprintf("hosts[%d].conntrackMax", i)), "move it to user_variables.yml if hosts without nodes should have it too",
				"%s is set for containers, which cannot have it: the playbooks ignore it, and here it is set on their physical hosts", name)
			return
		}
	}
}

// checkLXC looks at what a container needs to hold containers.
func (r *reader) checkLXC() {
	for i, n := range r.in.Nodes {
		if n.IsMetal {
			continue
		}
		path := fmt.Sprintf("nodes[%d].lxc.", i)
		for _, need := range []string{"proc:rw", "sys:rw"} {
			if !slices.Contains(n.LXC.MountAuto, need) {
				r.fail("mount-auto", r.at(path+"mountAuto"), "set lxc_container_mount_auto to [proc:rw, sys:rw]", "lxc_container_mount_auto of the nodes has no %s: kubelet cannot change the settings that it needs", need)
			}
		}
		r.checkAppArmor(path, n)
		r.checkBridges(i, n)
		switch n.LXC.BackingStore {
		case "overlayfs", "zfs":
			if r.in.StacksOverlay(n) {
				r.warn("backing-store", r.at(path+"backingStore"), "use dir on ext4 or xfs, or lvm; or let containerd work elsewhere: containerd_snapshotter: native, or a bind mount at its storage_dir",
					"containerd's overlayfs does not work on a container whose store is %s (on ZFS it does from OpenZFS 2.2 on)", n.LXC.BackingStore)
			}
		case "lvm":
			if gigabytes(n.LXC.FSSize) < 20 {
				r.warn("fs-size", r.at(path+"fsSize"), "set lxc_container_fs_size for k8s_all to 20G or more", "%s for a node: images and etcd do not fit", n.LXC.FSSize)
			}
		}
		if !n.LXC.AllowRestarts {
			r.note("no-restarts", r.at(path+"allowRestarts"), "restart the container by hand when a plan says that one waits for it", "lxc_container_allow_restarts is false: a changed configuration of %s is written, and has no effect until then", n.Name)
		}
		for _, line := range r.scopes[n.Name].texts(path+"config", "lxc_container_config_list") {
			if !strings.HasPrefix(strings.TrimSpace(line), "lxc.") {
				r.note("lxd-key", r.at(path+"config"), "remove it", "LXC does not know %q: it is a key of LXD, and is not written", configLine(line))
			}
		}
	}
}

// checkBridges finds networks that a container made here would not be on: it is put on bridges of the kernel.
func (r *reader) checkBridges(i int, n Node) {
	for _, network := range n.Networks {
		if network.BridgeType != "linuxbridge" {
			r.warn("bridge-type", r.at(fmt.Sprintf("nodes[%d].networks", i)), "let OpenStack-Ansible make the container, or give the network container_bridge_type linuxbridge",
				"%s of %s is on a bridge of type %s: a container that is made here is put on Linux bridges", network.Interface, n.Name, network.BridgeType)
		}
	}
}

// checkAppArmor looks for the profile, where the distribution has AppArmor, or may have it.
func (r *reader) checkAppArmor(path string, n Node) {
	host, _ := r.in.Host(n.PhysicalHost)
	if host.OSFamily == "RedHat" || slices.Contains(n.LXC.Config, "lxc.apparmor.profile = unconfined") || slices.Contains(r.in.NeedFacts, n.PhysicalHost) {
		return
	}
	r.fail("apparmor", r.at(path+"config"), "add lxc.apparmor.profile=unconfined to lxc_container_config_list", "AppArmor confines %s: containers inside it do not start", n.Name)
}

// gigabytes is a size such as 5G; what it does not understand is taken for large enough.
func gigabytes(size string) int {
	n, err := strconv.Atoi(strings.TrimRight(size, "GgBbIi"))
	if err != nil {
		return 1 << 20
	}
	return n
}
