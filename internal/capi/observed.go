package capi

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// Observed is what the management cluster shows of one cluster at one moment. Nothing in it is changed, so objects of a
// cache may be given as they are; any of them may be missing.
type Observed struct {
	Cluster            *clusterv1.Cluster
	ControlPlane       *controlplanev1.KubeadmControlPlane
	MachineDeployments []*clusterv1.MachineDeployment
	Machines           []*clusterv1.Machine
	// Troubles are what keeps the cloud from making it (trouble.go).
	Troubles []Trouble
	// Wrote is the generation the Cluster had after the last write to it. An older one is seen through a cache that
	// lags, and nothing is done yet.
	Wrote int64
}

// MachineDeployment finds a worker node group's, by DeploymentName.
func (o Observed) MachineDeployment(group string) *clusterv1.MachineDeployment {
	for _, md := range o.MachineDeployments {
		if md.Labels[clusterv1.ClusterTopologyMachineDeploymentNameLabel] == group {
			return md
		}
	}
	return nil
}

// GroupMachines are the machines of a node group, by name.
func (o Observed) GroupMachines(g *magnum.NodeGroup) []*clusterv1.Machine {
	name := g.DeploymentName()
	if g.Role == magnum.RoleMaster {
		name = magnum.DefaultMaster
	}
	var ms []*clusterv1.Machine
	for _, m := range o.Machines {
		if groupOf(m) == name {
			ms = append(ms, m)
		}
	}
	slices.SortFunc(ms, func(a, b *clusterv1.Machine) int { return strings.Compare(a.Name, b.Name) })
	return ms
}

// groupOf is the name of a machine's node group.
func groupOf(m *clusterv1.Machine) string {
	if _, ok := m.Labels[clusterv1.MachineControlPlaneLabel]; ok {
		return magnum.DefaultMaster
	}
	return m.Labels[clusterv1.ClusterTopologyMachineDeploymentNameLabel]
}

// APIAddress is the URL of a cluster's API server, "" when it has none yet.
func (o Observed) APIAddress() string {
	if o.Cluster == nil || !o.Cluster.Spec.ControlPlaneEndpoint.IsValid() {
		return ""
	}
	return "https://" + o.Cluster.Spec.ControlPlaneEndpoint.String()
}

// Addresses are those of a node group's machines, in the order of their names: the external one where there is one.
func (o Observed) Addresses(g *magnum.NodeGroup) []string {
	var out []string
	for _, m := range o.GroupMachines(g) {
		var internal, external string
		for _, a := range m.Status.Addresses {
			switch a.Type {
			case clusterv1.MachineExternalIP:
				external = cmp.Or(external, a.Address)
			case clusterv1.MachineInternalIP:
				internal = cmp.Or(internal, a.Address)
			default: // names are no addresses
			}
		}
		if a := cmp.Or(external, internal); a != "" {
			out = append(out, a)
		}
	}
	return out
}

// controlPlaneReason is our own key among the reasons of a cluster's health: why its control plane does not come back
// by itself.
const controlPlaneReason = "control_plane"

// Health judges as magnum-cluster-api 0.38 does (its monitor.rs): healthy when the control plane is available and every
// machine's node is healthy. The reasons are keyed as its clients know them, by infrastructure machine.
func (o Observed) Health() (magnum.Health, map[string]string) {
	if o.ControlPlane == nil {
		return magnum.HealthUnknown, nil
	}
	health, reasons := magnum.Healthy, map[string]string{"api": "ok"}
	if !isTrue(o.ControlPlane.Status.Conditions, controlplanev1.KubeadmControlPlaneAvailableCondition) {
		health, reasons["api"] = magnum.Unhealthy, "nok"
	}
	for _, m := range o.Machines {
		key, healthy := MachineHealth(m)
		reasons[key] = "True"
		if !healthy {
			health, reasons[key] = magnum.Unhealthy, "False"
		}
	}
	if lost := o.lostControlPlane(); lost != "" {
		health, reasons[controlPlaneReason] = magnum.Unhealthy, lost
	}
	return health, reasons
}

// MachineHealth is all that one machine adds to its cluster's health.
func MachineHealth(m *clusterv1.Machine) (key string, healthy bool) {
	return cmp.Or(m.Spec.InfrastructureRef.Name, m.Name) + ".Ready", isTrue(m.Status.Conditions, clusterv1.MachineNodeHealthyCondition)
}

func condition(cs []metav1.Condition, kind string) *metav1.Condition {
	for i := range cs {
		if cs[i].Type == kind {
			return &cs[i]
		}
	}
	return nil
}

func isTrue(cs []metav1.Condition, kind string) bool {
	c := condition(cs, kind)
	return c != nil && c.Status == metav1.ConditionTrue
}

// isNotTrue tells that a condition is known and does not hold; one that is missing tells nothing.
func isNotTrue(c *metav1.Condition) bool { return c != nil && c.Status != metav1.ConditionTrue }
