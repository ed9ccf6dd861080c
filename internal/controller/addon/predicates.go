package addon

import (
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// askedOrGone lets through what changes what is asked for: statuses of records move far more often.
func askedOrGone() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || e.ObjectNew.GetDeletionTimestamp() != nil
	}}
}

// initialized lets through the moment at which there is an API server, and another version of it.
func initialized() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			was, ok1 := e.ObjectOld.(*controlplanev1.KubeadmControlPlane)
			is, ok2 := e.ObjectNew.(*controlplanev1.KubeadmControlPlane)
			return ok1 && ok2 && (hasInitialized(is) != hasInitialized(was) || is.Spec.Version != was.Spec.Version)
		},
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
}

// anotherVersion lets through what may bring a step of an upgrade to its end at node groups.
func anotherVersion() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			was, ok1 := e.ObjectOld.(*clusterv1.MachineDeployment)
			is, ok2 := e.ObjectNew.(*clusterv1.MachineDeployment)
			return ok1 && ok2 && is.Spec.Template.Spec.Version != was.Spec.Template.Spec.Version
		},
	}
}

// comesOrGoes lets through what is new, or gone.
func comesOrGoes() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }}
}

// gone lets through what is not there any more: when the last machine of an older version goes, addons have their turn.
func gone() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(event.UpdateEvent) bool { return false },
	}
}
