package node

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"path"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// podRange is a node's part of the pods' range: the first node has the first one.
func podRange(in intent.Intent, at int) (netip.Prefix, error) {
	all, err := netip.ParsePrefix(in.Network.PodCIDR)
	if err != nil || !all.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("the range of pods %q is no IPv4 range", in.Network.PodCIDR)
	}
	bits := in.Network.PodMaskSize
	if bits < all.Bits() || at >= 1<<(bits-all.Bits()) {
		return netip.Prefix{}, fmt.Errorf("the range of pods %s has no /%d for node %d (cilium_ipv4_cidr)", all, bits, at+1)
	}
	start := all.Masked().Addr().As4()
	binary.BigEndian.PutUint32(start[:], binary.BigEndian.Uint32(start[:])+uint32(at)<<(32-bits))
	return netip.PrefixFrom(netip.AddrFrom4(start), bits), nil
}

// The configurations by which containerd knows the network of pods: Cilium's agents write their own when they are
// ready.
const (
	bridgeConf = "/etc/cni/net.d/10-jeroboam.conflist"
	ciliumConf = "/etc/cni/net.d/05-cilium.conflist"
)

// The light network's bridge is systemd-networkd's, which every base container of OpenStack-Ansible has. It masquerades
// what pods send, and does that by netlink alone (IPMasquerade= of systemd 248 and later), so a node needs neither
// iptables nor nft, which the plugin would call. The plugin takes the bridge as it finds it.
const (
	bridgeDevice  = "/etc/systemd/network/50-cni0.netdev"
	bridgeNetwork = "/etc/systemd/network/50-cni0.network"
)

// networkItems are a node's part of the network of pods. A bundle without Cilium has the light one: the reference
// plugins' bridge on each node, and routes between nodes; it has no network policy. Of the two networks only one may be
// there: the plan shows that the other one is removed, and removing has to be allowed.
func networkItems(in intent.Intent, b site.Bundle, n intent.Node) ([]host.Item, error) {
	if !b.Has(site.Cilium) {
		return bridgeItems(in, n)
	}
	return append([]host.Item{
		{File: &host.File{Path: bridgeConf, Gone: true}},
		{File: &host.File{Path: bridgeDevice, Gone: true}},
		{File: &host.File{Path: bridgeNetwork, Gone: true}},
	}, routeItems(serviceRoute(in, n))...), nil
}

// bridgeItems are a node's configuration of the light network.
func bridgeItems(in intent.Intent, n intent.Node) ([]host.Item, error) {
	routes, own := "", netip.Prefix{}
	for i, other := range in.Nodes {
		r, err := podRange(in, i)
		if err != nil {
			return nil, err
		}
		if other.Name == n.Name {
			own = r
			continue
		}
		routes += fmt.Sprintf("ExecStart=/sbin/ip route replace %s via %s\n", r, other.NodeIP)
	}
	conf := fmt.Sprintf(`{
  "cniVersion": "1.0.0",
  "name": "jeroboam",
  "plugins": [
    {
      "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
      "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`, own)
	network := fmt.Sprintf(`[Match]
Name=cni0

[Network]
Address=%s/%d
IPMasquerade=ipv4
ConfigureWithoutCarrier=yes
LinkLocalAddressing=no

[Link]
RequiredForOnline=no
`, own.Addr().Next(), own.Bits())
	return append([]host.Item{
		{File: &host.File{Path: ciliumConf, Gone: true}},
		{File: &host.File{Path: bridgeDevice, Content: "[NetDev]\nName=cni0\nKind=bridge\n"}},
		{File: &host.File{Path: bridgeNetwork, Content: network}},
		{File: &host.File{Path: bridgeConf, Content: conf}},
	}, routeItems("ExecStart=/usr/bin/networkctl reload\n"+routes+serviceRoute(in, n), bridgeDevice, bridgeNetwork)...), nil
}

// serviceRoute leads to services. Their addresses are translated before a packet leaves, but only one that has a route
// gets that far: without a default route, on a management network that is closed, the API server could not call a
// webhook, nor an agent of Cilium the API server.
func serviceRoute(in intent.Intent, n intent.Node) string {
	out := ""
	for _, net := range n.Networks {
		if strings.HasPrefix(net.Address, n.NodeIP+"/") {
			out += fmt.Sprintf("ExecStart=/sbin/ip route replace %s dev %s src %s metric 4096\n", in.Network.ServiceCIDR, net.Interface, n.NodeIP)
		}
	}
	return out
}

// routeItems are the unit that sets a node's routes; it uses further files.
func routeItems(routes string, uses ...string) []host.Item {
	const unit = "/etc/systemd/system/jeroboam-pod-routes.service"
	text := `[Unit]
Description=routes to services and to the pods of other nodes
After=network-online.target
Wants=network-online.target
# Where nothing waits for the network, it is tried until the node has its address.
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
Restart=on-failure
RestartSec=1
` +
		routes + "\n[Install]\nWantedBy=multi-user.target\n"
	return []host.Item{
		{File: &host.File{Path: unit, Content: text}},
		{Unit: &host.Unit{Name: path.Base(unit), Enabled: true, Active: true, Uses: append(uses, unit)}},
	}
}
