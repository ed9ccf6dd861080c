package proxy

import (
	"maps"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Holder is a host or node that has a token and is none of those any more that should have one.
type Holder struct {
	account     account
	group, name string
	reason      string // what the plan says
}

// Left are hosts that have a token and are no hosts of the proxy any more, and nodes that are none of the cluster's:
// what is not in the inventory is not logged in to, so its proxy cannot be stopped from here. Where runs says that
// there is no fleet of ours, no node needs one.
func Left(in intent.Intent, g Grants, runs string) []Holder {
	var out []Holder
	for _, name := range slices.Sorted(maps.Keys(g.Fleet)) {
		if !slices.ContainsFunc(in.Proxy.Hosts, func(h intent.ProxyHost) bool { return h.Name == name }) {
			out = append(out, Holder{
				fleet(), Group, name, "the host is not among mcapi_vexxhost_proxy_hosts any more. Its proxy still runs, without rights, " +
					"until somebody stops it there: systemctl disable --now jeroboam-proxy@a jeroboam-proxy@b",
			})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.Nodes)) {
		reason := ""
		switch {
		case !slices.ContainsFunc(in.Nodes, func(n intent.Node) bool { return n.Name == name }):
			reason = "it is no node of the cluster any more"
		case runs != intent.ImplementationJeroboam:
			reason = "no host has Jeroboam's proxy any more: jeroboam proxy access stops"
		default:
			continue
		}
		out = append(out, Holder{access(), GroupAccess, name, reason})
	}
	return out
}

const tokenKind = "token"

// Revocations are their changes in a plan.
func Revocations(left []Holder) []plan.Change {
	var out []plan.Change
	for _, h := range left {
		out = append(out, plan.Change{Place: site.Cluster, Group: h.group, Kind: tokenKind, Name: h.name, Action: plan.Delete, Summary: h.reason})
	}
	return out
}
