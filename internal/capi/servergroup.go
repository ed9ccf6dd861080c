package capi

import (
	"encoding/json"
	"strings"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// ServerGroupName is the name of the Nova server group that keeps the nodes of a group apart: the stack's for masters,
// the stack's and the group's for workers (magnum-cluster-api).
func ServerGroupName(stackID string, g *magnum.NodeGroup) string {
	if g.Role == magnum.RoleMaster {
		return stackID
	}
	return stackID + "-" + g.DeploymentName()
}

// ServerGroupPolicy is how strictly Nova keeps them apart. Nova takes one policy; of several in the label the first
// counts.
func ServerGroupPolicy(c *magnum.Cluster, g *magnum.NodeGroup) string {
	return groupLabels(c, g).CSV(label.ServerGroupPolicies)[0]
}

// ServerGroups reads the server groups out of a live Cluster, by DeploymentName: what was found or made once need not
// be asked for again.
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

// Registration is what kubelets of a group's machines register their nodes with.
type Registration struct {
	Labels []string // keys
	Taints []magnum.Taint
}

// Registered reads it out of a live Cluster. A group's labels and taints may have changed since its machines were made.
func Registered(live *clusterv1.Cluster, g *magnum.NodeGroup) Registration {
	var r Registration
	for i := range live.Spec.Topology.Workers.MachineDeployments {
		md := &live.Spec.Topology.Workers.MachineDeployments[i]
		if md.Name != g.DeploymentName() {
			continue
		}
		for kv := range strings.SplitSeq(stringOf(md.Variables.Overrides, varNodeLabels), ",") {
			if k, _, ok := strings.Cut(kv, "="); ok {
				r.Labels = append(r.Labels, k)
			}
		}
		_ = json.Unmarshal(varsByName(md.Variables.Overrides)[varNodeTaints].Raw, &r.Taints) // none is none
	}
	return r
}
