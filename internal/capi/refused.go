package capi

import (
	"cmp"
	"slices"
	"time"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// A server that Nova refuses, for want of a host or of quota, is never asked for again: for Cluster API's OpenStack
// provider that is final (0.13: openstackserver_controller.go, IsServerTerminalError), and Cluster API's health checks
// replace its machine after ten minutes at the earliest, and never while more than four of five machines of its group
// lack a node, as the only one of a group does. What follows says which machines are made anew before that. They have
// never been nodes, so nothing is lost with them.

// RefusedEvery is how long the newest machine of a group is left as it is when Nova has refused its server: what a
// cloud lacks it lacks for minutes.
const RefusedEvery = 5 * time.Minute

// Refused are machines to be replaced because Nova refused or gave up their servers. One of each group is tried at a
// time; when its server runs, all others follow.
func (o Observed) Refused(p *kube.Provider, now time.Time) []*clusterv1.Machine {
	if p == nil || !o.heals() {
		return nil
	}
	servers := map[string]kube.ProviderServer{}
	for _, s := range p.Servers {
		servers[s.Name] = s
	}
	groups := map[string][]*clusterv1.Machine{}
	for _, m := range o.Machines {
		// A control plane that is there judges by etcd's members who may go.
		if group := groupOf(m); m.DeletionTimestamp == nil && (group != magnum.DefaultMaster || o.ControlPlane != nil && !o.wasInitialized()) {
			groups[group] = append(groups[group], m)
		}
	}
	var out []*clusterv1.Machine
	for _, machines := range groups {
		out = append(out, refusedOf(machines, servers, now)...)
	}
	slices.SortFunc(out, byAge)
	return out
}

func refusedOf(machines []*clusterv1.Machine, servers map[string]kube.ProviderServer, now time.Time) []*clusterv1.Machine {
	refused := func(m *clusterv1.Machine) bool {
		return servers[m.Spec.InfrastructureRef.Name].Failed && !m.Status.NodeRef.IsDefined()
	}
	slices.SortFunc(machines, byAge)
	newest := machines[len(machines)-1]
	candidates := slices.DeleteFunc(slices.Clone(machines), func(m *clusterv1.Machine) bool { return !refused(m) })
	switch {
	case len(candidates) == 0, !refused(newest) && !servers[newest.Spec.InfrastructureRef.Name].Ready: // nothing is known of the next one yet
		return nil
	case !refused(newest):
		return candidates
	case now.Sub(newest.CreationTimestamp.Time) < RefusedEvery:
		return nil
	}
	return candidates[:1]
}

func byAge(a, b *clusterv1.Machine) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}
