package addon

import (
	"maps"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Renewal is how an object becomes what is wanted although the API server never changes some field of it.
type Renewal int

// The ways, from the gentlest on.
const (
	// Leave fails: making the object anew would take a tenant's things with it.
	Leave Renewal = iota
	// Anew deletes the object and makes it again. Nothing runs because of it, or what ran is meant to run again.
	Anew
	// AnewBesidePods deletes a workload, leaves its pods running if its selector stays, and makes it again: it finds its
	// pods by their labels and replaces them as in any other change.
	AnewBesidePods
)

// RenewalOf decides by the kind. Rules of immutable fields: Kubernetes 1.36, pkg/apis/*/validation.
func RenewalOf(kind string) Renewal {
	switch kind {
	case "Deployment", "DaemonSet", "StatefulSet", "ReplicaSet":
		return AnewBesidePods
	case "StorageClass", // parameters, provisioner, reclaimPolicy, volumeBindingMode; volumes and claims know it by name only
		"Job", "Pod", // templates
		"ClusterRoleBinding", "RoleBinding", // roleRef
		"CSIDriver", "PriorityClass", "RuntimeClass", "IngressClass", "ConfigMap", "Secret", "Service", "VolumeSnapshotClass":
		return Anew
	}
	return Leave // of a CustomResourceDefinition, all objects of its kind would go; of a Namespace everything in it
}

// KeepSelector is a workload with the selector that it has in the cluster, which never changes: releases before this
// one, a chart or magnum-cluster-api have made it with other labels. Its pods get the selector's labels besides their
// own, so nothing is made anew and the pods are replaced one after the other. It is nil where that cannot be: the
// selector wants another value of a label that is ours, by which our Services find the pods, or has more than labels.
func KeepSelector(wanted, live *unstructured.Unstructured) *unstructured.Unstructured {
	if RenewalOf(wanted.GetKind()) != AnewBesidePods {
		return nil
	}
	selector, ok, err := unstructured.NestedMap(live.Object, "spec", "selector")
	labels, _, labelsErr := unstructured.NestedStringMap(live.Object, "spec", "selector", "matchLabels")
	if !ok || err != nil || labelsErr != nil || len(labels) == 0 || len(selector) != 1 {
		return nil
	}
	out := wanted.DeepCopy()
	own, _, err := unstructured.NestedStringMap(out.Object, "spec", "template", "metadata", "labels")
	if err != nil {
		return nil
	}
	for key, value := range labels {
		if have, there := own[key]; there && have != value {
			return nil
		}
	}
	if own == nil {
		own = map[string]string{}
	}
	maps.Copy(own, labels)
	if unstructured.SetNestedStringMap(out.Object, own, "spec", "template", "metadata", "labels") != nil ||
		unstructured.SetNestedMap(out.Object, selector, "spec", "selector") != nil {
		return nil
	}
	return out
}

// SameSelector tells whether a workload's pods are found by one as by the other.
func SameSelector(a, b *unstructured.Unstructured) bool {
	x, _, err := unstructured.NestedMap(a.Object, "spec", "selector")
	y, _, err2 := unstructured.NestedMap(b.Object, "spec", "selector")
	return err == nil && err2 == nil && reflect.DeepEqual(x, y)
}

// Adopters are the field managers whose fields become ours when we apply an object that they made: server-side apply
// alone would leave in lists what they put there and we do not want, such as a container of an older chart. A tenant's
// managers are none of them.
func Adopters() []string {
	return []string{
		"cluster-api-controller-manager", "manager", // ClusterResourceSets, by which magnum-cluster-api installs addons
		"helm", "Helm",
	}
}

// Adopted are the managers of Adopters that own fields of an object.
func Adopted(live *unstructured.Unstructured) []string {
	var out []string
	for _, f := range live.GetManagedFields() {
		if f.Subresource == "" && slices.Contains(Adopters(), f.Manager) && !slices.Contains(out, f.Manager) {
			out = append(out, f.Manager)
		}
	}
	return out
}
