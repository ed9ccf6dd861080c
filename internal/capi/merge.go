package capi

import (
	"encoding/json"
	"reflect"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// Merge brings a live Cluster to what is desired, in place, and tells whether that changed anything. The caller owns live:
// it is no object of a cache.
//
// It touches only what the operation needs. Resizing and changing node groups sets counts, the autoscaler's bounds and
// labels, adds and removes groups, and leaves class, version, variables and the machines of existing groups alone, so no
// machine is replaced. Only an upgrade takes over class, version and variables; even then, what an OpenStackCluster can
// never change stays as it is (CAPO's webhook refuses it). Fields and annotations that others set are kept throughout.
func Merge(live, desired *clusterv1.Cluster, upgrade bool) (changed bool) {
	before := live.DeepCopy()
	live.Labels = setAll(live.Labels, desired.Labels)
	if reflect.ValueOf(live.Spec.ClusterNetwork).IsZero() {
		live.Spec.ClusterNetwork = *desired.Spec.ClusterNetwork.DeepCopy()
	}
	l, d := &live.Spec.Topology, desired.Spec.Topology.DeepCopy()
	l.ControlPlane.Replicas = d.ControlPlane.Replicas
	l.ControlPlane.Metadata.Labels = setAll(l.ControlPlane.Metadata.Labels, d.ControlPlane.Metadata.Labels)
	sameClass := l.ClassRef.Name == d.ClassRef.Name
	if upgrade {
		l.ClassRef.Name, l.Version = d.ClassRef.Name, d.Version
		l.ControlPlane.HealthCheck.Enabled = d.ControlPlane.HealthCheck.Enabled
		l.Variables = mergeVariables(keepImmutable(l.Variables), d.Variables, sameClass, immutable())
	}
	l.Workers.MachineDeployments = mergeWorkers(l, d, upgrade, sameClass)
	return !apiequality.Semantic.DeepEqual(before, live)
}

// immutable are the variables whose values CAPO's webhook refuses to see changed in an OpenStackCluster.
func immutable() []string {
	return []string{
		varAPIServerLoadBalancer, varAPIServerFloatingIP, varDisableFloatingIP, varExternalNetwork, varFixedNetwork, varFixedSubnet, varNodeCIDR,
	}
}

// oldDisableManaged is how magnum-cluster-api's classes say that disableAPIServerFloatingIP was never written.
const oldDisableManaged = "disableAPIServerFloatingIPManaged"

func keepImmutable(live []clusterv1.ClusterVariable) []clusterv1.ClusterVariable {
	if v, ok := varsByName(live)[oldDisableManaged]; !ok || string(v.Raw) != "false" {
		return live
	}
	return slices.DeleteFunc(slices.Clone(live), func(v clusterv1.ClusterVariable) bool { return v.Name == varDisableFloatingIP })
}

// mergeVariables sets desired values in the live list. Variables that only the live list has are kept within one class;
// another class would refuse them. Of those in keep, the live value wins, and the live silence about
// disableAPIServerFloatingIP too.
func mergeVariables(live, desired []clusterv1.ClusterVariable, sameClass bool, keep []string) []clusterv1.ClusterVariable {
	want, have := varsByName(desired), varsByName(live)
	var merged []clusterv1.ClusterVariable
	for _, v := range live {
		w, wanted := want[v.Name]
		switch {
		case !wanted && !sameClass:
			continue
		case wanted && !slices.Contains(keep, v.Name) && !sameJSON(v.Value, w):
			v.Value = w
		}
		merged = append(merged, v)
	}
	for _, v := range desired {
		_, there := have[v.Name]
		silent := v.Name == varDisableFloatingIP && slices.Contains(keep, v.Name)
		if !there && !silent {
			merged = append(merged, v)
		}
	}
	return merged
}

func sameJSON(a, b apiextensionsv1.JSON) bool {
	var x, y any
	if json.Unmarshal(a.Raw, &x) != nil || json.Unmarshal(b.Raw, &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

// mergeWorkers keeps the live order, because the list is a map to the API server and its order means nothing.
func mergeWorkers(l, d *clusterv1.Topology, upgrade, sameClass bool) []clusterv1.MachineDeploymentTopology {
	want := map[string]clusterv1.MachineDeploymentTopology{}
	for _, w := range d.Workers.MachineDeployments {
		want[w.Name] = w
	}
	var merged []clusterv1.MachineDeploymentTopology
	for _, w := range l.Workers.MachineDeployments {
		if dw, ok := want[w.Name]; ok {
			merged = append(merged, mergeWorker(w, dw, upgrade, sameClass))
			delete(want, w.Name)
		}
	}
	for _, w := range d.Workers.MachineDeployments {
		if _, missing := want[w.Name]; !missing {
			continue
		}
		if !upgrade && !sameClass {
			w.Variables.Overrides = knownTo(l.Variables, w.Variables.Overrides)
		}
		merged = append(merged, w)
	}
	return merged
}

func mergeWorker(l, d clusterv1.MachineDeploymentTopology, upgrade, sameClass bool) clusterv1.MachineDeploymentTopology {
	l.Replicas = d.Replicas
	l.Metadata.Labels = setAll(l.Metadata.Labels, d.Metadata.Labels)
	for _, bound := range []string{clusterv1.AutoscalerMinSizeAnnotation, clusterv1.AutoscalerMaxSizeAnnotation} {
		delete(l.Metadata.Annotations, bound)
	}
	l.Metadata.Annotations = setAll(l.Metadata.Annotations, d.Metadata.Annotations)
	l.Deletion.NodeVolumeDetachTimeoutSeconds = d.Deletion.NodeVolumeDetachTimeoutSeconds
	if !upgrade {
		return l
	}
	l.Class = d.Class
	l.HealthCheck.Enabled = d.HealthCheck.Enabled
	if d.FailureDomain != "" {
		l.FailureDomain = d.FailureDomain
	}
	l.Variables.Overrides = mergeVariables(l.Variables.Overrides, d.Variables.Overrides, sameClass, nil)
	return l
}

// knownTo leaves away what an older class does not define and would refuse. Every class's clusters give all its variables
// a value, by us or by its defaults, so what it defines can be seen in the Cluster.
func knownTo(class, overrides []clusterv1.ClusterVariable) []clusterv1.ClusterVariable {
	known := varsByName(class)
	return slices.DeleteFunc(slices.Clone(overrides), func(v clusterv1.ClusterVariable) bool {
		_, ok := known[v.Name]
		return !ok
	})
}

func setAll(m, with map[string]string) map[string]string {
	if m == nil && len(with) > 0 {
		m = map[string]string{}
	}
	for k, v := range with {
		m[k] = v
	}
	return m
}
