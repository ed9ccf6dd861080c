package capi

import (
	"encoding/json"
	"maps"
	"slices"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

// accessVariables are those that say who may reach a cluster, by the label that changes them. CAPO's webhook lets them
// change at any time.
func accessVariables() map[string]string {
	return map[string]string{label.APIServerAllowedCIDRs: varAPIServerAllowedCIDRs, label.NodePortAllowedCIDRs: varNodePorts}
}

// MutableLabels are the labels that can change in a living Cluster, sorted: an older class does not know their
// variables.
func MutableLabels(live *clusterv1.Cluster) []string {
	if live == nil {
		return nil
	}
	known := varsByName(live.Spec.Topology.Variables)
	out := []string{label.UpgradeChecks} // is no matter of the class
	for name, variable := range accessVariables() {
		if _, ok := known[variable]; ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// access is what of the wanted access a Cluster does not have, as far as its class knows it.
func access(live, wanted []clusterv1.ClusterVariable) []clusterv1.ClusterVariable {
	have, want := varsByName(live), varsByName(wanted)
	var out []clusterv1.ClusterVariable
	for _, name := range slices.Sorted(maps.Values(accessVariables())) {
		is, known := have[name]
		if v, asked := want[name]; known && asked && !sameJSON(is, v) {
			out = append(out, clusterv1.ClusterVariable{Name: name, Value: v})
		}
	}
	return out
}

// keepNodePorts keeps the ports of Services as open as they are in a cluster whose owner says nothing about them: a
// cluster from before has them open to the world, and somebody may rely on that.
func keepNodePorts(live, wanted []clusterv1.ClusterVariable) []clusterv1.ClusterVariable {
	at := slices.IndexFunc(wanted, func(v clusterv1.ClusterVariable) bool { return v.Name == varNodePorts })
	if at < 0 {
		return wanted
	}
	var want, have struct {
		Asked bool `json:"asked"`
	}
	_ = json.Unmarshal(wanted[at].Value.Raw, &want) // our own
	if want.Asked {
		return wanted
	}
	kept, known := varsByName(live)[varNodePorts]
	_ = json.Unmarshal(kept.Raw, &have)
	switch {
	case !known:
		kept = raw(map[string]any{"cidrs": []string{world}, "asked": false})
	case have.Asked: // the label was taken away: its default comes back
		return wanted
	}
	wanted = slices.Clone(wanted)
	wanted[at].Value = kept
	return wanted
}

// keepAllowed keeps the list of who may reach the API server where the wanted one is not known: the one that is there
// has the management cluster's addresses of before, and a list without them would lock it out.
func keepAllowed(live, wanted []clusterv1.ClusterVariable) []clusterv1.ClusterVariable {
	_, known := varsByName(wanted)[varAPIServerAllowedCIDRs]
	is, there := varsByName(live)[varAPIServerAllowedCIDRs]
	if known || !there {
		return wanted
	}
	return append(slices.Clone(wanted), clusterv1.ClusterVariable{Name: varAPIServerAllowedCIDRs, Value: is})
}
