package store

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// ClusterFacts is what the records of a cluster and its node groups say of its state. Controllers add what they have
// found.
func ClusterFacts(r *v1alpha1.MagnumCluster, groups []*magnum.NodeGroup) magnum.Facts {
	f := facts(r, r.Status.Status, r.Status.StatusReason, r.Status.ObservedGeneration, r.Status.OperationStartedAt)
	for _, g := range groups {
		f.Parts = append(f.Parts, magnum.Part{Name: g.Name, Status: g.Status, Reason: g.StatusReason})
	}
	return f
}

// NodeGroupFacts is the same for one node group.
func NodeGroupFacts(r *v1alpha1.MagnumNodeGroup) magnum.Facts {
	return facts(r, r.Status.Status, r.Status.StatusReason, r.Status.ObservedGeneration, r.Status.OperationStartedAt)
}

// NodeGroupPart is a node group as it counts for its cluster.
func NodeGroupPart(r *v1alpha1.MagnumNodeGroup) magnum.Part {
	return magnum.Part{
		Name: r.Spec.Name, Status: magnum.Status(r.Status.Status), Reason: r.Status.StatusReason,
		Newer: r.Status.ObservedGeneration < r.Generation, Deleting: r.DeletionTimestamp != nil,
	}
}

func facts(o metav1.Object, shown, reason string, observed int64, began *metav1.Time) magnum.Facts {
	f := magnum.Facts{
		Shown: magnum.Status(shown), Reason: reason, Newer: observed < o.GetGeneration(), Created: o.GetCreationTimestamp().Time,
		Began: timeOf(began),
	}
	if t := o.GetDeletionTimestamp(); t != nil {
		f.Deleted = t.Time
	}
	return f
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// ProgressOf reads what a status keeps of an operation's progress.
func ProgressOf(p *v1alpha1.Progress) magnum.Progress {
	if p == nil {
		return magnum.Progress{}
	}
	return magnum.Progress{Left: p.Left, At: p.At.Time}
}

// ProgressRecord is how a status keeps it.
func ProgressRecord(p magnum.Progress) *v1alpha1.Progress {
	if p.At.IsZero() {
		return nil
	}
	return &v1alpha1.Progress{Left: p.Left, At: metav1.NewTime(p.At)}
}
