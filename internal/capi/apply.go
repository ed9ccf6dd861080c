package capi

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/intstr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// Apply does a Change to a Cluster, in place. The caller owns live: it is no object of a cache.
func Apply(live *clusterv1.Cluster, ch Change) {
	live.Labels = setAll(live.Labels, ch.Labels)
	live.Annotations = setAll(live.Annotations, ch.Annotations)
	if ch.Network != nil {
		live.Spec.ClusterNetwork = *ch.Network.DeepCopy()
	}
	t := &live.Spec.Topology
	if ch.Class != nil {
		t.ClassRef.Name, t.Version = ch.Class.Name, ch.Class.Version
		t.ControlPlane.HealthCheck.Enabled, t.Variables = ch.Class.HealthCheck, ch.Class.Variables
	}
	for _, v := range slices.Concat(ch.Access, ch.Rotation) {
		at := slices.IndexFunc(t.Variables, func(have clusterv1.ClusterVariable) bool { return have.Name == v.Name })
		t.Variables[at] = v // a Change has only what the Cluster knows
	}
	mds := slices.DeleteFunc(t.Workers.MachineDeployments, func(md clusterv1.MachineDeploymentTopology) bool { return slices.Contains(ch.Remove, md.Name) })
	for _, s := range ch.Scale {
		if s.Group == ControlPlane {
			t.ControlPlane.Replicas = s.Replicas
		}
	}
	for _, m := range ch.NodeMetadata {
		if m.Group == ControlPlane {
			t.ControlPlane.Metadata.Labels = m.applied(t.ControlPlane.Metadata.Labels)
		}
	}
	for i := range mds {
		ch.applyWorker(&mds[i])
	}
	for i := range ch.Add {
		mds = append(mds, *ch.Add[i].DeepCopy())
	}
	t.Workers.MachineDeployments = mds
}

func (ch Change) applyWorker(md *clusterv1.MachineDeploymentTopology) {
	for _, s := range ch.Scale {
		if s.Group == md.Name {
			md.Replicas = s.Replicas
			for _, k := range autoscalerAnnotations() {
				delete(md.Metadata.Annotations, k)
			}
			md.Metadata.Annotations = setAll(md.Metadata.Annotations, s.Annotations)
		}
	}
	for _, m := range ch.NodeMetadata {
		if m.Group == md.Name {
			md.Metadata.Labels = m.applied(md.Metadata.Labels)
		}
	}
	if slices.Contains(ch.Defer, md.Name) {
		md.Metadata.Annotations = setAll(md.Metadata.Annotations, map[string]string{clusterv1.ClusterTopologyDeferUpgradeAnnotation: ""})
	}
	for _, m := range ch.Machines {
		if m.Group != md.Name {
			continue
		}
		delete(md.Metadata.Annotations, clusterv1.ClusterTopologyDeferUpgradeAnnotation)
		md.Class, md.HealthCheck.Enabled, md.FailureDomain, md.Variables.Overrides = m.Class, m.HealthCheck, m.FailureDomain, m.Overrides
		if m.AtOnce > 0 {
			md.Rollout.Strategy.Type = clusterv1.RollingUpdateMachineDeploymentStrategyType
			md.Rollout.Strategy.RollingUpdate = clusterv1.MachineDeploymentTopologyRolloutStrategyRollingUpdate{
				MaxSurge: new(intstr.FromInt(m.AtOnce)), MaxUnavailable: new(intstr.FromInt(0)),
			}
		}
	}
}

func (m NodeMetadata) applied(labels map[string]string) map[string]string {
	for _, k := range m.Remove {
		delete(labels, k)
	}
	return setAll(labels, m.Set)
}
