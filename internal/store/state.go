package store

import (
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// clusterState derives what clients see. The record's own status speaks of status.observedGeneration; whatever happened
// to the record or to its groups since then shows at once, without anybody having to write it down.
func clusterState(r *v1alpha1.MagnumCluster, groups []*magnum.NodeGroup) magnum.Status {
	seen := magnum.Status(r.Status.Status)
	switch {
	case r.DeletionTimestamp != nil && seen == magnum.DeleteFailed:
		return magnum.DeleteFailed
	case r.DeletionTimestamp != nil:
		return magnum.DeleteInProgress
	case seen == "" || seen == magnum.CreateInProgress:
		return magnum.CreateInProgress
	case r.Status.ObservedGeneration < r.Generation:
		return magnum.UpdateInProgress
	}
	if seen.Complete() {
		for _, g := range groups {
			if g.Status.InProgress() {
				return magnum.UpdateInProgress
			}
		}
	}
	return seen
}

func nodeGroupState(r *v1alpha1.MagnumNodeGroup) magnum.Status {
	seen := magnum.Status(r.Status.Status)
	switch {
	case r.DeletionTimestamp != nil && seen == magnum.DeleteFailed:
		return magnum.DeleteFailed
	case r.DeletionTimestamp != nil:
		return magnum.DeleteInProgress
	case seen == "" || seen == magnum.CreateInProgress:
		return magnum.CreateInProgress
	case r.Status.ObservedGeneration < r.Generation:
		return magnum.UpdateInProgress
	}
	return seen
}
