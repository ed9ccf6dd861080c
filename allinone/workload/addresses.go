package workload

import (
	"fmt"
	"math/rand/v2"
	"net"

	api "k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/registry/core/service/ipallocator"
	"k8s.io/kubernetes/pkg/registry/core/service/portallocator"
)

// addresses hands out addresses of services without a memory, which would have to be kept for each cluster: a random one of a
// million, and any that is asked for. Nothing is behind them, so that two services with the same one do no harm.
type addresses struct{}

var _ ipallocator.Interface = addresses{}

// CIDR implements ipallocator.Interface. It is kubeadm's default.
func (addresses) CIDR() net.IPNet {
	return net.IPNet{IP: net.IPv4(10, 96, 0, 0).To4(), Mask: net.CIDRMask(12, 32)}
}

// Allocate implements ipallocator.Interface.
func (a addresses) Allocate(ip net.IP) error {
	cidr := a.CIDR()
	if !cidr.Contains(ip) {
		return &ipallocator.ErrNotInRange{IP: ip, ValidRange: cidr.String()}
	}
	return nil
}

// AllocateNext implements ipallocator.Interface.
func (addresses) AllocateNext() (net.IP, error) {
	n := rand.N(uint32(1)<<20 - 0x200) // the first addresses are those that are asked for: the API's, DNS
	n += 0x100
	return net.IPv4(10, 96|byte(n>>16), byte(n>>8), byte(n)).To4(), nil
}

// Release implements ipallocator.Interface.
func (addresses) Release(net.IP) error { return nil }

// ForEach implements ipallocator.Interface.
func (addresses) ForEach(func(net.IP)) {}

// IPFamily implements ipallocator.Interface.
func (addresses) IPFamily() api.IPFamily { return api.IPv4Protocol }

// Has implements ipallocator.Interface.
func (addresses) Has(net.IP) bool { return false }

// Destroy implements ipallocator.Interface.
func (addresses) Destroy() {}

// EnableMetrics implements ipallocator.Interface.
func (addresses) EnableMetrics() {}

// DryRun implements ipallocator.Interface.
func (a addresses) DryRun() ipallocator.Interface { return a }

// ports is the same for node ports.
type ports struct{}

var _ portallocator.Interface = ports{}

// The range is kube-apiserver's default.
const firstNodePort, lastNodePort = 30000, 32767

// Allocate implements portallocator.Interface.
func (ports) Allocate(port int) error {
	if port < firstNodePort || port > lastNodePort {
		return &portallocator.ErrNotInRange{ValidPorts: fmt.Sprintf("%d-%d", firstNodePort, lastNodePort)}
	}
	return nil
}

// AllocateNext implements portallocator.Interface.
func (ports) AllocateNext() (int, error) {
	return firstNodePort + rand.N(lastNodePort-firstNodePort+1), nil
}

// Release implements portallocator.Interface.
func (ports) Release(int) error { return nil }

// ForEach implements portallocator.Interface.
func (ports) ForEach(func(int)) {}

// Has implements portallocator.Interface.
func (ports) Has(int) bool { return false }

// Destroy implements portallocator.Interface.
func (ports) Destroy() {}

// EnableMetrics implements portallocator.Interface.
func (ports) EnableMetrics() {}
