package node

import (
	"cmp"
	"fmt"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// needsPackages says whether a node needs Debian packages of the bundle. With Cilium it needs none, and nothing of a
// distribution but what any base container has: kubeadm asks for losetup, mount and cp (kubeadm 1.32 and later,
// preflight/checks_linux.go; conntrack before that, which clusters of that time have), kubelet goes on without iptables
// (pkg/util/iptables, NewBestEffort), and kube-proxy and Cilium have their tools in their images. The light network's
// plugins call iptables on the node.
func needsPackages(b site.Bundle) bool { return len(b.Packages) > 0 && !b.Has(site.Cilium) }

// The system that the bundle's packages are of: on another one dpkg would refuse them, or mix two releases.
const (
	packagesOf      = "debian"
	packagesRelease = "12"
)

// Fits refuses to put packages of one system into containers of another. A container is of its host's system, because
// it is made of what OpenStack-Ansible keeps for that, unless the bundle brings a root file system.
func Fits(b site.Bundle, n intent.Node, f host.Facts) error {
	if !needsPackages(b) || b.RootFS != "" || f.ID == "" || f.ID == packagesOf && f.Version == packagesRelease {
		return nil
	}
	return fmt.Errorf("host %s has %s: the bundle is one without Cilium, and its light network needs packages of Debian 12 in the containers of nodes; take a bundle with Cilium, which needs none (jeroboam bundle build, without --without cilium)",
		n.PhysicalHost, cmp.Or(f.Name, f.ID+" "+f.Version))
}
