package capi

import (
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// Progress is how far a node group is.
type Progress struct {
	// Done is true only when every controller has seen what was asked for and every machine of the group is as asked,
	// of the right version, up to date and ready, and no other is left.
	Done bool
	// Failed is true when a machine has failed in a way its provider does not repair. Healing may still replace it.
	Failed bool
	// Reason says what is missing; "" when done.
	Reason string
	// Left counts what is still to be made, to be finished or to go; 0 when done.
	Left int
}

// group is what a control plane and a machine deployment have in common.
type group struct {
	generation, observed                 int64
	spec, version                        string // version asked for
	replicas                             *int32 // asked for
	current, ready, available, upToDate  int32
	conditions                           []metav1.Condition
	want                                 int32
	topologyReplicas                     *int32
	exists, inTopology, autoscaled, gone bool
	deferred                             bool // it stays at its version until it is asked for by name
	fewest                               int32
	sized                                bool // the autoscaled group has been given the size that was asked for
}

// NodeGroupProgress tells how far a node group is on its way to the count in its record and a version of Kubernetes. A
// group that the autoscaler owns has the count it has.
func (o Observed) NodeGroupProgress(g *magnum.NodeGroup, version string) Progress {
	p := Progress{}
	machines := o.GroupMachines(g)
	for _, m := range machines {
		if f, failed := machineFinding(m); failed {
			p.Failed, p.Reason = true, f.text
			if told := o.machineTroubles(m); len(told) > 0 {
				p.Reason = told[0].text
			}
			break
		}
	}
	view := o.view(g)
	waiting := o.topologyWaits(version, view.deferred)
	if waiting == "" {
		waiting = view.waits(version)
	}
	if waiting == "" {
		waiting = machinesWait(machines, view.want, version)
	}
	p.Left = 1 + machinesLeft(machines, view.want, version)
	switch {
	case waiting == "":
		return Progress{Done: true}
	case p.Reason == "":
		p.Reason = o.groupReason(g, waiting)
	}
	return p
}

// LookedAt tells whether Cluster API's topology controller has acted on the Cluster as it is.
func (o Observed) LookedAt() bool {
	if o.Cluster == nil {
		return false
	}
	r := condition(o.Cluster.Status.Conditions, clusterv1.ClusterTopologyReconciledCondition)
	return r != nil && r.ObservedGeneration >= o.Cluster.Generation
}

// topologyWaits tells what keeps the topology controller from having acted on the Cluster as it was last written.
func (o Observed) topologyWaits(version string, deferred bool) string {
	c := o.Cluster
	switch {
	case c == nil:
		return "the Cluster does not exist yet"
	case c.Generation < o.Wrote:
		return "the change has not been observed yet"
	case c.Spec.Topology.Version != version && !deferred:
		return "the Cluster does not ask for " + version + " yet"
	}
	r := condition(c.Status.Conditions, clusterv1.ClusterTopologyReconciledCondition)
	if r == nil || r.ObservedGeneration < c.Generation {
		return "the topology controller has not observed the change yet"
	}
	switch r.Reason {
	case clusterv1.ClusterTopologyReconciledFailedReason, clusterv1.ClusterTopologyReconciledClusterClassNotReconciledReason, clusterv1.ClusterTopologyReconcilePausedReason:
		if passes(r.Message) {
			return "waiting until Cluster API has built what was asked for"
		}
		return "the topology is not reconciled: " + clean(r.Message)
	}
	return ""
}

// Settled tells that the topology controller has made all that the Cluster, as it is now, asks for.
func (o Observed) Settled() bool {
	if o.Cluster == nil {
		return false
	}
	r := condition(o.Cluster.Status.Conditions, clusterv1.ClusterTopologyReconciledCondition)
	return r != nil && r.ObservedGeneration >= o.Cluster.Generation && r.Status == metav1.ConditionTrue
}

// view brings a group's control plane or machine deployment into one shape.
func (o Observed) view(g *magnum.NodeGroup) group {
	v := group{want: int32(min(max(g.NodeCount, 0), magnum.MaxNodes))} //nolint:gosec // G115: bounded on this line.
	if g.Role == magnum.RoleMaster {
		if o.Cluster != nil {
			v.topologyReplicas, v.inTopology = o.Cluster.Spec.Topology.ControlPlane.Replicas, true
		}
		if k := o.ControlPlane; k != nil {
			v.exists, v.generation, v.observed, v.conditions = true, k.Generation, k.Status.ObservedGeneration, k.Status.Conditions
			v.spec, v.version, v.replicas = "control plane", k.Spec.Version, k.Spec.Replicas
			v.current, v.ready = n(k.Status.Replicas), n(k.Status.ReadyReplicas)
			v.available, v.upToDate = n(k.Status.AvailableReplicas), n(k.Status.UpToDateReplicas)
			v.gone = k.DeletionTimestamp != nil
		}
		return v
	}
	if o.Cluster != nil {
		for _, t := range o.Cluster.Spec.Topology.Workers.MachineDeployments {
			if t.Name == g.DeploymentName() {
				v.topologyReplicas, v.inTopology, v.autoscaled = t.Replicas, true, t.Replicas == nil
				_, v.deferred = t.Metadata.Annotations[clusterv1.ClusterTopologyDeferUpgradeAnnotation]
			}
		}
	}
	if md := o.MachineDeployment(g.DeploymentName()); md != nil {
		v.exists, v.generation, v.observed, v.conditions = true, md.Generation, md.Status.ObservedGeneration, md.Status.Conditions
		v.spec, v.version, v.replicas = "machine deployment", md.Spec.Template.Spec.Version, md.Spec.Replicas
		v.current, v.ready = n(md.Status.Replicas), n(md.Status.ReadyReplicas)
		v.available, v.upToDate = n(md.Status.AvailableReplicas), n(md.Status.UpToDateReplicas)
		v.gone = md.DeletionTimestamp != nil
		if v.autoscaled {
			v.want, v.fewest = n(md.Spec.Replicas), int32(min(g.MinNodeCount, magnum.MaxNodes)) //nolint:gosec // G115: bounded on this line.
			v.sized = !NeedsSize(md, g)
		}
	}
	return v
}

// DeferredVersion is the version at which a group stays until it is upgraded by name; "" when it goes along with its
// cluster.
func (o Observed) DeferredVersion(g *magnum.NodeGroup) string {
	md := o.MachineDeployment(g.DeploymentName())
	if g.Role == magnum.RoleMaster || md == nil || !o.view(g).deferred {
		return ""
	}
	return md.Spec.Template.Spec.Version
}

// AutoscaledSize is how many machines a group has that the autoscaler sizes; nil for others.
func (o Observed) AutoscaledSize(g *magnum.NodeGroup) *int {
	md := o.MachineDeployment(g.DeploymentName())
	if g.Role == magnum.RoleMaster || md == nil || !o.view(g).autoscaled {
		return nil
	}
	return new(int(n(md.Spec.Replicas)))
}

// NeedsSize tells whether the owner of a group that the autoscaler sizes has asked for a size that its machine
// deployment was not given yet: the one it begins with, or the one of a resize.
func NeedsSize(md *clusterv1.MachineDeployment, g *magnum.NodeGroup) bool {
	given, ok := md.Annotations[ResizeAnnotation]
	if !ok && g.Resize == 0 {
		return g.Status == magnum.CreateInProgress
	}
	return given != strconv.FormatInt(g.Resize, 10)
}

// Size is how many machines the machine deployment of a group that the autoscaler sizes should have now: what its owner
// asked for last, and else what it has, but never fewer than its minimum. The autoscaler itself brings no group up to a
// minimum.
func Size(md *clusterv1.MachineDeployment, g *magnum.NodeGroup) int32 {
	size := int(n(md.Spec.Replicas))
	if NeedsSize(md, g) {
		size = g.Asked
	}
	return int32(min(max(size, g.MinNodeCount), magnum.MaxNodes)) //nolint:gosec // G115: bounded on this line.
}

func n(p *int32) int32 {
	if p == nil {
		return 0
	}
	return *p
}

// waits tells what is missing in the group's own object.
func (v group) waits(version string) string {
	switch {
	case !v.inTopology:
		return "the group is not in the Cluster yet"
	case !v.autoscaled && (v.topologyReplicas == nil || *v.topologyReplicas != v.want):
		return fmt.Sprintf("the Cluster does not ask for %s yet", magnum.Count(int(v.want), "machine"))
	case !v.exists:
		return "not created yet"
	case v.autoscaled && !v.sized:
		return "the group has not been given its size yet"
	case v.autoscaled && v.want < v.fewest:
		return fmt.Sprintf("the group has %s of at least %d", magnum.Count(int(v.want), "node"), v.fewest)
	case v.gone:
		return "the " + v.spec + " is being deleted"
	case v.version != version:
		return "waiting for the upgrade to " + version
	case v.replicas == nil || *v.replicas != v.want:
		return fmt.Sprintf("the %s does not ask for %s yet", v.spec, magnum.Count(int(v.want), "machine"))
	case v.observed < v.generation:
		return "the " + v.spec + " has not been reconciled yet"
	case v.current != v.want || v.upToDate != v.want || v.ready != v.want || v.available != v.want:
		return fmt.Sprintf("of %s %d exist, %d are up to date, %d ready and %d available", magnum.Count(int(v.want), "machine"), v.current, v.upToDate, v.ready, v.available)
	case isTrue(v.conditions, clusterv1.RollingOutCondition):
		return "machines are being replaced"
	}
	return ""
}

// machinesLeft counts the machines that are not as asked: those that are missing or not finished, and those that are
// still to go.
func machinesLeft(machines []*clusterv1.Machine, want int32, version string) int {
	good, old := 0, 0
	for _, m := range machines {
		switch {
		case m.DeletionTimestamp != nil, m.Spec.Version != version, isNotTrue(condition(m.Status.Conditions, clusterv1.MachineUpToDateCondition)):
			old++
		case isTrue(m.Status.Conditions, clusterv1.MachineReadyCondition):
			good++
		}
	}
	return max(int(want)-good, good-int(want)) + old
}

// machinesWait tells what is missing in the machines themselves. Counts in a status may be older than the machines.
func machinesWait(machines []*clusterv1.Machine, want int32, version string) string {
	if len(machines) != int(want) {
		return fmt.Sprintf("of %s %d exist", magnum.Count(int(want), "machine"), len(machines))
	}
	for _, m := range machines {
		switch {
		case m.DeletionTimestamp != nil:
			return "machine " + m.Name + " is being deleted"
		case m.Spec.Version != version:
			return "machine " + m.Name + " has version " + m.Spec.Version
		case isNotTrue(condition(m.Status.Conditions, clusterv1.MachineUpToDateCondition)):
			return "machine " + m.Name + " is not up to date"
		case !isTrue(m.Status.Conditions, clusterv1.MachineReadyCondition):
			return "machine " + m.Name + " is not ready"
		}
	}
	return ""
}
