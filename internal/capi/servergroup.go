package capi

import (
	"encoding/json"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// ServerGroupName is the name of the Nova server group that keeps the nodes of a group apart: the stack's for masters, the
// stack's and the group's for workers (magnum-cluster-api).
func ServerGroupName(stackID string, g *magnum.NodeGroup) string {
	if g.Role == magnum.RoleMaster {
		return stackID
	}
	return stackID + "-" + g.Name
}

// ServerGroupPolicy is how strictly Nova keeps them apart. Nova takes one policy; of several in the label the first counts.
func ServerGroupPolicy(c *magnum.Cluster, g *magnum.NodeGroup) string {
	return groupLabels(c, g).CSV(label.ServerGroupPolicies)[0]
}

// ServerGroups reads the server groups out of a live Cluster, by node group name: what was found or made once need not be
// asked for again.
func ServerGroups(live *clusterv1.Cluster) map[string]string {
	out := map[string]string{}
	if live == nil {
		return out
	}
	t := &live.Spec.Topology
	if id := stringOf(t.Variables, varServerGroup); id != "" {
		out[magnum.DefaultMaster] = id
	}
	for i := range t.Workers.MachineDeployments {
		md := &t.Workers.MachineDeployments[i]
		if id := stringOf(md.Variables.Overrides, varServerGroup); id != "" {
			out[md.Name] = id
		}
	}
	return out
}

// NeedsUpgrade tells whether a live Cluster lags behind in what only an upgrade changes: the version of Kubernetes, or the
// image of the control plane or of a node group.
func NeedsUpgrade(live, desired *clusterv1.Cluster) bool {
	l, d := &live.Spec.Topology, &desired.Spec.Topology
	if l.Version != d.Version || stringOf(l.Variables, varImage) != stringOf(d.Variables, varImage) {
		return true
	}
	images := map[string]string{}
	for i := range l.Workers.MachineDeployments {
		md := &l.Workers.MachineDeployments[i]
		images[md.Name] = stringOf(md.Variables.Overrides, varImage)
	}
	for i := range d.Workers.MachineDeployments {
		md := &d.Workers.MachineDeployments[i]
		if have, there := images[md.Name]; there && have != stringOf(md.Variables.Overrides, varImage) {
			return true
		}
	}
	return false
}

// stringOf is the value of a variable that is a string, "" when there is none.
func stringOf(vs []clusterv1.ClusterVariable, name string) string {
	var s string
	if v, ok := varsByName(vs)[name]; ok {
		_ = json.Unmarshal(v.Raw, &s) // another type is no text
	}
	return s
}
