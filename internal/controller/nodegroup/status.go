package nodegroup

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

// observe gathers the facts of this round, lets package magnum decide, and returns when the decision may be another although
// nothing happens.
func (r *Reconciler) observe(s *scope) time.Duration {
	st, now := &s.record.Status, r.Now()
	f := store.NodeGroupFacts(s.record)
	p := r.progress(s)
	near := store.ProgressOf(st.Progress).Advance(p.Left, f.Newer, now)
	f.Found = &magnum.Found{
		Now: now, Impossible: p.Impossible, Waiting: p.Reason, Progress: near.At, Timeout: magnum.Minutes(s.cluster.Spec.CreateTimeout),
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
	st.NodeAddresses = s.seen.Addresses(s.group) // of a group at rest too: healing gives nodes other ones
	if p.Done {
		st.Version = p.Version
	}
	if v.Deadline.IsZero() {
		return 0
	}
	return max(v.Deadline.Sub(now), time.Second)
}

// progress is what the group has come to.
type progress struct {
	Asked      bool // the Cluster carries what the record wishes
	Done       bool
	Impossible string // why it can never be
	Reason     string // what is missing; empty when done
	Left       int    // how many steps are missing
	Version    string
}

func (r *Reconciler) progress(s *scope) progress {
	live := s.seen.Cluster
	if live == nil {
		return progress{Reason: "waiting for the cluster"}
	}
	words := store.ClusterWords(s.cluster, s.members)
	want, err := capi.Cluster(words, s.members, capi.Options{
		Class: live.Spec.Topology.ClassRef.Name, ServerGroups: capi.ServerGroups(live),
		BootVolumeSize: r.BootVolumeSize, BootVolumeType: r.BootVolumeType,
	})
	if err != nil {
		return progress{Reason: err.Error()}
	}
	tag := words.Labels[label.KubeTag]
	group := s.group
	own := live.DeepCopy()
	for _, c := range []*clusterv1.Cluster{own, want} {
		keepGroup(c, group.Name)
	}
	if capi.NeedsUpgrade(own, want) || group.Labels[label.KubeTag] != tag || capi.Merge(own, want, false) {
		return progress{Reason: "waiting until the cluster is changed"}
	}
	p := s.seen.NodeGroupProgress(group, tag)
	out := progress{Asked: true, Done: p.Done, Reason: p.Reason, Left: p.Left}
	if p.Done {
		out.Version = tag
	}
	return out
}

// keepGroup drops the other worker groups from a Cluster: what is still to be done to them leaves this one where it is.
func keepGroup(c *clusterv1.Cluster, name string) {
	w := &c.Spec.Topology.Workers
	w.MachineDeployments = slices.DeleteFunc(w.MachineDeployments, func(t clusterv1.MachineDeploymentTopology) bool { return t.Name != name })
}
