package proxy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/netns"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/backend"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/control"
)

// decision is what this host does about one cluster, and why.
type decision struct {
	cluster control.Cluster
	backend backend.Backend // if serve
	serve   bool
	wish    control.Wish
	why     string // why it is not published; empty if it is to be
}

// decide is a function of what is known: clusters, the namespaces of this host, and the health of backends.
func decide(clusters []control.Cluster, always bool, find func(network string) []netns.Namespace, health func(stack string) backend.Health) []decision {
	out := make([]decision, 0, len(clusters))
	for _, c := range clusters {
		out = append(out, decideOne(c, always, find, health))
	}
	slices.SortFunc(out, func(a, b decision) int { return strings.Compare(a.cluster.Stack, b.cluster.Stack) })
	return out
}

func decideOne(c control.Cluster, always bool, find func(string) []netns.Namespace, health func(string) backend.Health) decision {
	d := decision{cluster: c, wish: control.Withdraw}
	if !c.Private && !always {
		d.why = "its API server has a floating IP (--always proxies it all the same)"
		return d
	}
	if d.why = c.Why; d.why != "" {
		return d
	}
	namespaces := find(c.Network)
	if len(namespaces) == 0 {
		d.why = "no namespace of network " + c.Network + " on this host"
		return d
	}
	h := health(c.Stack)
	d.serve = true
	d.backend = backend.Backend{Stack: c.Stack, Address: c.Address, Namespaces: namespaces}.Prefer(h.Namespace)
	switch {
	case !h.Known:
		d.wish, d.why = control.Leave, "its API server has not been asked yet"
	case !h.OK:
		d.why = fmt.Sprintf("its API server does not answer: %v", h.Err)
	default:
		d.wish = control.Publish
	}
	return d
}
