// Package backend is what the two data planes and the control plane of the proxy share: what a backend is, whether it
// answers, and what is counted about it.
package backend

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/netns"
)

// Domain is what follows a cluster's stack name in the host name that clients use; it is in the certificate of each API
// server. It is the namespace magnum-system as the management cluster's DNS resolves it.
const Domain = "magnum-system"

// Backend is the API server of one workload cluster, as this host can reach it.
type Backend struct {
	Stack      string            // Cluster API's name of the cluster
	Address    netip.AddrPort    // on the cluster's own network; other clusters may have the same
	Namespaces []netns.Namespace // where Address can be reached from; the best first, never empty
}

// Host is the server name that clients ask for.
func (b Backend) Host() string { return Host(b.Stack) }

// Host is the server name of a cluster.
func Host(stack string) string { return strings.ToLower(stack) + "." + Domain }

// Equal says whether traffic to b and o goes the same way.
func (b Backend) Equal(o Backend) bool {
	return b.Stack == o.Stack && b.Address == o.Address && slices.Equal(b.Namespaces, o.Namespaces)
}

// Prefer returns b with namespace first, if it is one of b's.
func (b Backend) Prefer(namespace netns.Namespace) Backend {
	i := slices.Index(b.Namespaces, namespace)
	if i <= 0 {
		return b
	}
	others := slices.Delete(slices.Clone(b.Namespaces), i, i+1)
	b.Namespaces = append([]netns.Namespace{namespace}, others...)
	return b
}
