// Package serviceip hands out the cluster addresses and node ports of Services in the API servers of this program.
// Kubernetes keeps ranges with what is taken in etcd, and loops that repair them; where no kube-proxy acts on an
// address, none of that has a use.
package serviceip

import (
	"fmt"
	"math/rand/v2"
	"net"

	api "k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/registry/core/service/ipallocator"
	"k8s.io/kubernetes/pkg/registry/core/service/portallocator"
)

// Addresses hands out addresses of services without a memory, which would have to be kept for each cluster: a random
// one of a million, and any that is asked for. Nothing is behind them, so that two services with the same one do no
// harm.
type Addresses struct{}

var _ ipallocator.Interface = Addresses{}

// CIDR implements ipallocator.Interface. It is kubeadm's default.
func (Addresses) CIDR() net.IPNet {
	return net.IPNet{IP: net.IPv4(10, 96, 0, 0).To4(), Mask: net.CIDRMask(12, 32)}
}

// Allocate implements ipallocator.Interface.
func (a Addresses) Allocate(ip net.IP) error {
	cidr := a.CIDR()
	if !cidr.Contains(ip) {
		return &ipallocator.ErrNotInRange{IP: ip, ValidRange: cidr.String()}
	}
	return nil
}

// AllocateNext implements ipallocator.Interface.
func (Addresses) AllocateNext() (net.IP, error) {
	n := rand.N(uint32(1)<<20 - 0x200) // the first addresses are those that are asked for: the API's, DNS
	n += 0x100
	return net.IPv4(10, 96|byte(n>>16), byte(n>>8), byte(n)).To4(), nil
}

// Release implements ipallocator.Interface.
func (Addresses) Release(net.IP) error { return nil }

// ForEach implements ipallocator.Interface.
func (Addresses) ForEach(func(net.IP)) {}

// IPFamily implements ipallocator.Interface.
func (Addresses) IPFamily() api.IPFamily { return api.IPv4Protocol }

// Has implements ipallocator.Interface.
func (Addresses) Has(net.IP) bool { return false }

// Destroy implements ipallocator.Interface.
func (Addresses) Destroy() {}

// EnableMetrics implements ipallocator.Interface.
func (Addresses) EnableMetrics() {}

// DryRun implements ipallocator.Interface.
func (a Addresses) DryRun() ipallocator.Interface { return a }

// Ports is the same for node ports.
type Ports struct{}

var _ portallocator.Interface = Ports{}

// The range is kube-apiserver's default.
const firstNodePort, lastNodePort = 30000, 32767

// Allocate implements portallocator.Interface.
func (Ports) Allocate(port int) error {
	if port < firstNodePort || port > lastNodePort {
		return &portallocator.ErrNotInRange{ValidPorts: fmt.Sprintf("%d-%d", firstNodePort, lastNodePort)}
	}
	return nil
}

// AllocateNext implements portallocator.Interface.
func (Ports) AllocateNext() (int, error) {
	return firstNodePort + rand.N(lastNodePort-firstNodePort+1), nil
}

// Release implements portallocator.Interface.
func (Ports) Release(int) error { return nil }

// ForEach implements portallocator.Interface.
func (Ports) ForEach(func(int)) {}

// Has implements portallocator.Interface.
func (Ports) Has(int) bool { return false }

// Destroy implements portallocator.Interface.
func (Ports) Destroy() {}

// EnableMetrics implements portallocator.Interface.
func (Ports) EnableMetrics() {}
