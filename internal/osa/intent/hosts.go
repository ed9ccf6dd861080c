package intent

import (
	"cmp"
	"slices"
	"strings"
)

// VIPs are the two virtual addresses of OpenStack-Ansible's load balancers.
type VIPs struct {
	// Internal is for OpenStack's services and the management cluster: internal_lb_vip_address.
	Internal VIP `json:"internal"`
	// External is for users and workload clusters: external_lb_vip_address.
	External VIP `json:"external"`
}

// VIP is one of them.
type VIP struct {
	// Address is an address or a domain name.
	Address string `json:"address"`
	// Bind is the address haproxy binds, which may differ: haproxy_bind_internal_lb_vip_address.
	Bind string `json:"bind"`
	// Interface is the interface haproxy binds, "" for any.
	Interface string `json:"interface"`
}

// Role is what is done on a physical host, or in a container of it.
type Role string

// Roles.
const (
	RoleNode    Role = "k8s"     // holds a node of the management cluster
	RoleHAProxy Role = "haproxy" // balances
	RoleMagnum  Role = "magnum"  // holds Magnum
	RoleProxy   Role = "proxy"   // runs the proxy beside Neutron's namespaces
	RoleRepo    Role = "repo"    // builds Python wheels
	RoleUtility Role = "utility" // runs clients and functional tests
)

// Host is a physical host.
type Host struct {
	// Name is the inventory's name.
	Name string `json:"name"`
	// ManagementAddress is its address on the management network.
	ManagementAddress string `json:"managementAddress"`
	// SSHAddress, SSHPort and SSHUser are how to log in: ansible_host, ansible_port (22), ansible_user ("root").
	SSHAddress string `json:"sshAddress"`
	SSHPort    int    `json:"sshPort"`
	SSHUser    string `json:"sshUser"`
	Roles      []Role `json:"roles"`
	// OSFamily, Architecture and Hostname are cached facts ("Debian", "x86_64", "infra1"), "" if nobody gathered them.
	OSFamily     string `json:"osFamily"`
	Architecture string `json:"architecture"`
	Hostname     string `json:"hostname"`
	// ConntrackMax is net.netfilter.nf_conntrack_max to set, 0 to leave it: the host's, because a container has none.
	ConntrackMax int `json:"conntrackMax"`
}

// Has says whether the host has a role.
func (h Host) Has(r Role) bool { return slices.Contains(h.Roles, r) }

// Container is a place where a component runs: an LXC container, or the physical host itself.
type Container struct {
	// Name is the inventory's name, such as "infra1-k8s-container-a151bde7". It is LXC's name as well.
	Name string `json:"name"`
	// PhysicalHost is the name of the host it is on.
	PhysicalHost string `json:"physicalHost"`
	// ManagementAddress is its address on the management network.
	ManagementAddress string `json:"managementAddress"`
	// IsMetal says that the component runs on the physical host itself: there is no container, and Name is the host's.
	IsMetal bool `json:"isMetal"`
	// Tech is "lxc" or "nspawn": container_tech.
	Tech string `json:"tech"`
}

// Where is the physical host and the container on it; no container on metal.
func (c Container) Where() (host, container string) {
	if c.IsMetal {
		return c.PhysicalHost, ""
	}
	return c.PhysicalHost, c.Name
}

// Node is a member of the management cluster's control plane.
type Node struct {
	Container
	// NodeName is the name of the Kubernetes Node: kubelet_hostname, lower case.
	NodeName string `json:"nodeName"`
	// NodeIP is the address kubelet and API server advertise: kubelet_node_ip.
	NodeIP string `json:"nodeIP"`
	// Networks are the interfaces, eth0 (the bridge of LXC, with DHCP) first, then by interface. Empty on metal.
	Networks []ContainerNetwork `json:"networks"`
	// LXC is how the container is made. Empty on metal.
	LXC LXC `json:"lxc"`
	// Labels are put on the Kubernetes Node: k8s_node_labels.
	Labels map[string]string `json:"labels"`
}

// StacksOverlay says whether containerd on a node mounts overlays on what the container has for a root file system. The
// kernel refuses that where the root is an overlay itself (Documentation/filesystems/overlayfs.rst: upperdir).
func (in Intent) StacksOverlay(n Node) bool {
	dir := strings.Trim(cmp.Or(in.Containerd.StorageDir, "/var/lib/containerd"), "/") + "/"
	elsewhere := slices.ContainsFunc(n.LXC.BindMounts, func(m BindMount) bool { return strings.HasPrefix(dir, strings.Trim(m.Container, "/")+"/") })
	return cmp.Or(in.Containerd.Snapshotter, "overlayfs") == "overlayfs" && !elsewhere
}

// ContainerNetwork is an interface of a container.
type ContainerNetwork struct {
	// Key is the inventory's name for it, such as "management_address"; "lxcbr0_address" for LXC's own bridge.
	Key string `json:"key"`
	// Interface is the name inside the container, Bridge the bridge outside.
	Interface string `json:"interface"`
	Bridge    string `json:"bridge"`
	// BridgeType is "linuxbridge" or "openvswitch", Type the kind of interface: "veth", "phys", "macvlan".
	BridgeType string `json:"bridgeType"`
	Type       string `json:"type"`
	// Address is the static address with its prefix length, such as "172.29.236.149/22"; "" for DHCP.
	Address string `json:"address"`
	Gateway string `json:"gateway"`
	MTU     int    `json:"mtu"`
	// VethPair is the outer end's name: the last 8 characters of the container's name without - and _, "_", the interface;
	// the last 15 of that. HardwareAddressFile is where the MAC is kept: OpenStack-Ansible draws 00:16:3e:xx:xx:xx on the
	// host when there is no file, and takes the one of a running container before that.
	VethPair            string        `json:"vethPair"`
	HardwareAddressFile string        `json:"hardwareAddressFile"`
	StaticRoutes        []StaticRoute `json:"staticRoutes"`
}

// StaticRoute is a route inside a container.
type StaticRoute struct {
	CIDR    string `json:"cidr"`
	Gateway string `json:"gateway"`
}

// LXC is how a container is made and configured.
type LXC struct {
	// Directory is /var/lib/lxc/<name>: config, rootfs, <interface>.ini.
	Directory string `json:"directory"`
	// ConfigBase is included first: lxc_container_config.
	ConfigBase string `json:"configBase"`
	// Config are lines "key = value" that config must have, in order: lxc_container_config_list and what the playbook adds
	// for nested containers. A key without a value ("lxc.cap.drop =") clears what was set before it.
	Config []string `json:"config"`
	// Dropped are lines OpenStack-Ansible adds that LXC does not know: LXD's. They are left where they are, and not
	// written.
	Dropped []string `json:"dropped"`
	// MountAuto is the one line lxc.mount.auto: lxc_container_mount_auto.
	MountAuto []string `json:"mountAuto"`
	// BindMounts are mounts from the physical host.
	BindMounts []BindMount `json:"bindMounts"`
	// BackingStore is "dir", "lvm", "btrfs", "overlayfs", "zfs" or "machinectl"; FSSize is its size where it has one
	// ("5G").
	BackingStore string `json:"backingStore"`
	FSSize       string `json:"fsSize"`
	// Domain follows the name in /etc/hosts: lxc_container_domain.
	Domain string `json:"domain"`
	// ImageServer is where a rootfs comes from: lxc_image_cache_server.
	ImageServer string `json:"imageServer"`
	// Template and TemplateOptions make a container that is not there.
	Template        string `json:"template"`
	TemplateOptions string `json:"templateOptions"`
	// AllowRestarts permits stopping and starting a container whose config changed: lxc_container_allow_restarts.
	AllowRestarts bool `json:"allowRestarts"`
	// JournalLink shares the journal with the host, Resolved links resolv.conf to systemd-resolved's.
	JournalLink bool `json:"journalLink"`
	Resolved    bool `json:"resolved"`
}

// BindMount is a directory or file of the physical host inside a container.
type BindMount struct {
	Host      string `json:"host"`
	Container string `json:"container"`
	// Create is "dir" or "file": what to make inside if it is not there.
	Create string `json:"create"`
}
