package addon

import (
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
)

// askedOrGone lets through what changes what is asked for: statuses of records move far more often.
func askedOrGone() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || e.ObjectNew.GetDeletionTimestamp() != nil
	}}
}

// initialized lets through the moment at which there is an API server.
func initialized() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			was, ok1 := e.ObjectOld.(*controlplanev1.KubeadmControlPlane)
			is, ok2 := e.ObjectNew.(*controlplanev1.KubeadmControlPlane)
			return ok1 && ok2 && hasInitialized(is) != hasInitialized(was)
		},
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
}
