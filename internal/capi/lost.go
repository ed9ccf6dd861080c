package capi

import (
	"cmp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// LostAnnotation is on a Cluster whose control plane was initialized anew, and says when (RFC 3339): nodes of machines
// that are older are unknown to the API server.
const LostAnnotation = "magnum.jeroboam.cloud/control-plane-lost"

// Cluster API 1.14 replaces no control plane machine if that could lose etcd's data, and so never the only one
// (kubeadmcontrolplane/remediation.go). Where the data are gone all the same, it makes a machine that has all it needs
// to initialize a control plane (kubeadmcontrolplane/scale.go), and never lets it: a control plane that was initialized
// once is only joined (kubeadmconfig_controller.go). What follows judges by the management cluster alone; decision 0032
// says what has to be proven besides.

// comesBack tells whether a control plane that is lost is made anew. Of several masters some may come back, with the
// data; and whoever turned healing off decides himself.
func (o Observed) comesBack() bool {
	if o.ControlPlane == nil || o.ControlPlane.DeletionTimestamp != nil {
		return false
	}
	return o.heals() && o.wantsOneMaster()
}

func (o Observed) wantsOneMaster() bool {
	wanted := o.ControlPlane.Spec.Replicas
	return wanted != nil && *wanted == 1
}

// heals tells that machines may be replaced without being asked for: the owner has not turned that off, and nobody
// works on the cluster.
func (o Observed) heals() bool {
	if o.Cluster == nil || o.Cluster.DeletionTimestamp != nil {
		return false
	}
	healing, paused := o.Cluster.Spec.Topology.ControlPlane.HealthCheck.Enabled, o.Cluster.Spec.Paused
	return healing != nil && *healing && (paused == nil || !*paused)
}

// silent tells that Cluster API has not reached the API server for longer than it forgives.
func (o Observed) silent() bool {
	c := condition(o.Cluster.Status.Conditions, clusterv1.ClusterRemoteConnectionProbeCondition)
	return c != nil && c.Status == metav1.ConditionFalse
}

func (o Observed) masters() []*clusterv1.Machine {
	return o.GroupMachines(&magnum.NodeGroup{Role: magnum.RoleMaster})
}

// wasInitialized tells what Cluster API believes of the control plane, in any of the three places where it keeps that.
func (o Observed) wasInitialized() bool {
	ofCluster, ofPlane := o.Cluster.Status.Initialization.ControlPlaneInitialized, o.ControlPlane.Status.Initialization.ControlPlaneInitialized
	return ofCluster != nil && *ofCluster || ofPlane != nil && *ofPlane || isTrue(o.Cluster.Status.Conditions, clusterv1.ClusterControlPlaneInitializedCondition)
}

// SilentMaster is the only machine of a control plane that is to come back and does not answer; nil if there is none.
// Whether it is lost only the cloud knows. What Cluster API believes does not count: that is forgotten before the
// machine goes.
func (o Observed) SilentMaster() *clusterv1.Machine {
	if !o.comesBack() || !o.silent() {
		return nil
	}
	masters := o.masters()
	if len(masters) != 1 || masters[0].DeletionTimestamp != nil || !masters[0].Status.NodeRef.IsDefined() {
		return nil
	}
	return masters[0]
}

// Orphaned tells that a control plane is to come back of which nothing is left: it was initialized, and no machine has
// ever had what it takes to initialize or join it. A machine has that before its server, and keeps it until it goes.
func (o Observed) Orphaned() bool {
	return o.comesBack() && o.wasInitialized() && o.silent() && o.newcomersOnly()
}

func (o Observed) newcomersOnly() bool {
	masters := o.masters()
	for _, m := range masters {
		if m.DeletionTimestamp != nil || m.Status.NodeRef.IsDefined() || m.Spec.Bootstrap.DataSecretName != nil {
			return false
		}
	}
	return len(masters) > 0
}

// Strangers are workers that the control plane of now does not know: kubelet makes itself known once in its life, and
// the pods on it are in nobody's list.
func (o Observed) Strangers() []*clusterv1.Machine {
	if !o.comesBack() || !isTrue(o.Cluster.Status.Conditions, clusterv1.ClusterControlPlaneInitializedCondition) {
		return nil
	}
	since, err := time.Parse(time.RFC3339, o.Cluster.Annotations[LostAnnotation])
	if err != nil {
		return nil
	}
	var out []*clusterv1.Machine
	for _, m := range o.Machines {
		healthy := condition(m.Status.Conditions, clusterv1.MachineNodeHealthyCondition)
		if groupOf(m) != magnum.DefaultMaster && m.DeletionTimestamp == nil && m.CreationTimestamp.Time.Before(since) &&
			healthy != nil && healthy.Reason == clusterv1.MachineNodeDeletedReason {
			out = append(out, m)
		}
	}
	return out
}

// SilentWorkers are workers whose nodes are not what they should be, the one that has been so for longest first.
// Cluster API's health checks replace them after five minutes, unless it is more than four of five of a group, as the
// only one of a group is: the cause may be elsewhere then. A server that is gone is cause enough, and only the cloud
// knows.
func (o Observed) SilentWorkers() []*clusterv1.Machine {
	if !o.heals() {
		return nil
	}
	var out []*clusterv1.Machine
	for _, m := range o.Machines {
		healthy := condition(m.Status.Conditions, clusterv1.MachineNodeHealthyCondition)
		if groupOf(m) != magnum.DefaultMaster && m.DeletionTimestamp == nil && m.Status.NodeRef.IsDefined() && isNotTrue(healthy) {
			out = append(out, m)
		}
	}
	since := func(m *clusterv1.Machine) time.Time {
		return condition(m.Status.Conditions, clusterv1.MachineNodeHealthyCondition).LastTransitionTime.Time
	}
	slices.SortFunc(out, func(a, b *clusterv1.Machine) int {
		return cmp.Or(since(a).Compare(since(b)), strings.Compare(a.Name, b.Name))
	})
	return out
}

// ServerID is Nova's ID of a machine's server; "" when there is none, or it is no server of Nova's.
func ServerID(m *clusterv1.Machine) string {
	path, real := strings.CutPrefix(m.Spec.ProviderID, "openstack://")
	if !real {
		return ""
	}
	return path[strings.LastIndex(path, "/")+1:]
}

// ForgetControlPlane makes objects whose control plane is to be initialized anew. They have to be written in this
// order: Cluster API copies what the first says to the second.
func ForgetControlPlane(k *controlplanev1.KubeadmControlPlane, c *clusterv1.Cluster) (*controlplanev1.KubeadmControlPlane, *clusterv1.Cluster) {
	k, c = k.DeepCopy(), c.DeepCopy()
	k.Status.Initialization.ControlPlaneInitialized = new(false)
	reset(k.Status.Conditions, controlplanev1.KubeadmControlPlaneInitializedCondition, controlplanev1.KubeadmControlPlaneNotInitializedReason)
	c.Status.Initialization.ControlPlaneInitialized = new(false)
	reset(c.Status.Conditions, clusterv1.ClusterControlPlaneInitializedCondition, clusterv1.ClusterControlPlaneNotInitializedReason)
	return k, c
}

func reset(cs []metav1.Condition, kind, reason string) {
	if c := condition(cs, kind); c != nil && c.Status == metav1.ConditionTrue {
		c.Status, c.Reason, c.Message, c.LastTransitionTime = metav1.ConditionFalse, reason, "", metav1.Now()
	}
}

// lostControlPlane says why a control plane does not answer any more; "" for one that comes back by itself, or that is
// as it should be.
func (o Observed) lostControlPlane() string {
	if o.ControlPlane == nil || o.ControlPlane.DeletionTimestamp != nil {
		return ""
	}
	initialized := condition(o.ControlPlane.Status.Conditions, controlplanev1.KubeadmControlPlaneInitializedCondition)
	masters := o.masters()
	gone := len(masters) > 0 && initialized != nil && initialized.Status == metav1.ConditionTrue
	for _, m := range masters {
		if c := condition(m.Status.Conditions, clusterv1.MachineOwnerRemediatedCondition); m.DeletionTimestamp == nil && c != nil &&
			c.Status == metav1.ConditionFalse && c.Reason == controlplanev1.KubeadmControlPlaneMachineCannotBeRemediatedReason {
			text := "machine " + m.Name + " is unhealthy, and Cluster API does not replace it (" + clean(c.Message) + "). Bring its server back, or "
			if o.comesBack() {
				return shorten(text + "delete its server in Nova: then the control plane is initialized anew, without what etcd held")
			}
			return shorten(text + "delete the cluster and create it again")
		}
		// One from before was part of it, even if its node is not known yet.
		gone = gone && !m.Status.NodeRef.IsDefined() && m.CreationTimestamp.After(initialized.LastTransitionTime.Time)
	}
	switch {
	case !gone && len(masters) > 1:
		return o.lostHalfWay(masters)
	case !gone:
		return ""
	case o.comesBack():
		return shorten("every machine that was part of the control plane is gone, and what etcd held with them. It is initialized anew on machine " +
			masters[0].Name + " when its API server is silent and Nova has no server of it")
	}
	return shorten("every machine that was part of the control plane is gone, and the cluster's data with them. Machine " + masters[0].Name +
		" waits for ever, because Cluster API lets it only join. Delete the cluster and create it again")
}

// lostHalfWay says what to do when the only master is lost while another one takes its place, as in an upgrade: etcd
// has one member or two then, and needs each of them. Nothing is given up here, for the data may be on either.
func (o Observed) lostHalfWay(masters []*clusterv1.Machine) string {
	if !o.wantsOneMaster() || o.Cluster == nil || !o.silent() {
		return ""
	}
	var names []string
	for _, m := range masters {
		names = append(names, m.Name)
	}
	return shorten("the API server does not answer, since the only machine of the control plane was being replaced by another one (" + strings.Join(names, ", ") +
		"), and etcd needs each of them that has joined it. Start the server that is down. If it is deleted, what etcd held is lost: delete the cluster and create it again")
}
