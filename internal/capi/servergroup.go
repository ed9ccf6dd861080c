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
	return stackID + "-" + g.DeploymentName()
}

// ServerGroupPolicy is how strictly Nova keeps them apart. Nova takes one policy; of several in the label the first counts.
func ServerGroupPolicy(c *magnum.Cluster, g *magnum.NodeGroup) string {
	return groupLabels(c, g).CSV(label.ServerGroupPolicies)[0]
}

// ServerGroups reads the server groups out of a live Cluster, by DeploymentName: what was found or made once need not be
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

// stringOf is the value of a variable that is a string, "" when there is none.
func stringOf(vs []clusterv1.ClusterVariable, name string) string {
	var s string
	if v, ok := varsByName(vs)[name]; ok {
		_ = json.Unmarshal(v.Raw, &s) // another type is no text
	}
	return s
}
