package nodegroup

import (
	"cmp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

// observe gathers the facts of this round, lets package magnum decide, and returns when the decision may be another
// although nothing happens.
func (r *Reconciler) observe(s *scope) time.Duration {
	st, now := &s.record.Status, r.Now()
	f := store.NodeGroupFacts(s.record)
	p := r.progress(s)
	near := store.ProgressOf(st.Progress).Advance(p.Left, f.Newer, now)
	f.Found = &magnum.Found{
		Now: now, Impossible: p.Impossible, Waiting: p.Reason, Progress: near.At, Timeout: magnum.Minutes(s.cluster.Spec.CreateTimeout),
	}
	if asked := s.record.Spec.Upgrade; asked.Generation > st.Upgraded {
		f.Found.Note = asked.Note
	}
	switch magnum.Status(s.cluster.Status.Status) {
	case "", magnum.CreateInProgress, magnum.CreateFailed: // its time is the cluster's
		f.Found.Whole, f.Created = true, s.cluster.CreationTimestamp.Time
	default:
		if s.lastProgress.After(near.At) { // groups wait for each other
			f.Found.Progress = s.lastProgress
		}
	}
	v := magnum.StatusOf(f)
	st.ObservedGeneration, st.Status, st.StatusReason = s.record.Generation, string(v.Status), v.Reason
	st.OperationStartedAt = &metav1.Time{Time: v.Began}
	st.Progress = nil
	if v.Status.InProgress() || v.Status.Failed() {
		st.Progress = store.ProgressRecord(near)
	}
	st.NodeAddresses = s.observed.Addresses(s.group) // of a group at rest too: healing gives nodes other ones
	if p.Done {
		st.Version = r.version(s)
		st.Resized, st.Upgraded = s.record.Spec.Resize, s.record.Spec.Upgrade.Generation
	}
	st.Nodes = s.observed.AutoscaledSize(s.group)
	if v.Deadline.IsZero() {
		return 0
	}
	return max(v.Deadline.Sub(now), time.Second)
}

// progress is what the group has come to.
type progress struct {
	Done       bool
	Impossible string // why it can never be
	Reason     string // what is missing; empty when done
	Left       int    // how many steps are missing
}

// progress compares what the Cluster carries with what the record asks for, and looks at what Cluster API has made of
// it.
func (r *Reconciler) progress(s *scope) progress {
	live := s.observed.Cluster
	if capi.AskedOf(live).Groups[s.group.Name].Record < s.record.Generation {
		if err := r.check(s); err != nil {
			return progress{Impossible: magnum.OneLine(err)}
		}
		if live == nil {
			return progress{Reason: "waiting for the cluster", Left: 1 << 16}
		}
		return progress{Reason: "waiting until the cluster is changed", Left: 1 << 16}
	}
	p := s.observed.NodeGroupProgress(s.group, r.version(s))
	if wait := cmp.Or(s.unsynced, carriedWait(s)); p.Done && wait != "" {
		return progress{Reason: wait, Left: 1}
	}
	return progress{Done: p.Done, Reason: p.Reason, Left: p.Left}
}

// check asks the rules that whoever writes the group for Cluster API asks too.
func (r *Reconciler) check(s *scope) error {
	o := capi.Options{BootVolumeSize: r.BootVolumeSize, BootVolumeType: r.BootVolumeType, ServerGroups: capi.ServerGroups(s.observed.Cluster)}
	return capi.CheckGroup(store.ClusterOf(s.cluster, nil), s.group, s.members, o)
}

// version is the version of Kubernetes that the group is to have: its cluster's, unless it stays behind until it is
// upgraded by name.
func (r *Reconciler) version(s *scope) string {
	if v := s.observed.DeferredVersion(s.group); v != "" {
		return v
	}
	return cmp.Or(label.Of(s.cluster.Spec.Labels).KubeTag(), s.observed.Cluster.Spec.Topology.Version)
}
