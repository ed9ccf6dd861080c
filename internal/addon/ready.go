package addon

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Watched are the kinds whose state says whether an addon is available.
func Watched(kind string) bool {
	return kind == "DaemonSet" || kind == "Deployment" || kind == "StatefulSet"
}

// Available tells whether a workload, as the API server shows it, runs everywhere it should in its newest form; if not,
// why. Other kinds are available as soon as they are there. A DaemonSet without any node is not: no cluster is usable
// before its first one.
func Available(u *unstructured.Unstructured) (bool, string) {
	number := func(path ...string) int64 {
		n, _, _ := unstructured.NestedInt64(u.Object, path...) // absent is 0
		return n
	}
	named := u.GetKind() + " " + u.GetName()
	if !Watched(u.GetKind()) {
		return true, ""
	}
	if number("status", "observedGeneration") < u.GetGeneration() {
		return false, named + " has just been changed"
	}
	var want, updated, available int64
	switch u.GetKind() {
	case "DaemonSet":
		want = number("status", "desiredNumberScheduled")
		updated, available = number("status", "updatedNumberScheduled"), number("status", "numberAvailable")
		if want == 0 {
			return false, named + " has no node to run on yet"
		}
	default:
		want = 1 // Kubernetes' default
		if n, ok, _ := unstructured.NestedInt64(u.Object, "spec", "replicas"); ok {
			want = n
		}
		updated, available = number("status", "updatedReplicas"), number("status", "availableReplicas")
	}
	switch {
	case updated < want:
		return false, fmt.Sprintf("%s: %d of %d pods are up to date", named, updated, want)
	case available < want:
		return false, fmt.Sprintf("%s: %d of %d pods are available", named, available, want)
	}
	return true, ""
}
