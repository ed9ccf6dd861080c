package nodegroup

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

// observe derives the group's state. It returns how long the operation that goes on may still take, 0 for no bound.
func (r *Reconciler) observe(s *scope) time.Duration {
	st := &s.record.Status
	seen := magnum.Status(st.Status)
	p := r.progress(s)
	st.Version = p.Version
	began := st.ObservedGeneration < s.record.Generation || seen.Complete() && !p.Asked
	if seen.Complete() && !began {
		return 0 // at rest; what breaks meanwhile is a matter of health
	}
	op := "UPDATE"
	if seen == "" || seen == magnum.CreateInProgress || seen == magnum.CreateFailed {
		op = "CREATE"
	}
	if st.OperationStartedAt == nil || began && !seen.InProgress() {
		now := metav1.NewTime(r.Now())
		st.OperationStartedAt = &now
		if op == "CREATE" {
			st.OperationStartedAt = &s.record.CreationTimestamp
		}
	}
	st.ObservedGeneration = s.record.Generation
	left := r.left(s)
	switch {
	case p.Done:
		st.Status, st.StatusReason = op+"_COMPLETE", ""
		st.NodeAddresses = s.seen.Addresses(store.NodeGroupWords(s.record))
		return 0
	case left < 0:
		st.Status = op + "_FAILED"
		st.StatusReason = fmt.Sprintf("Not done within create_timeout (%d minutes). %s", s.cluster.Spec.CreateTimeout, p.Reason)
		return 0
	}
	st.Status, st.StatusReason = op+"_IN_PROGRESS", p.Reason
	return left
}

// progress is what the group has come to.
type progress struct {
	Asked   bool // the Cluster carries what the record wishes, and Cluster API has seen it
	Done    bool
	Reason  string
	Version string
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
	group := store.NodeGroupWords(s.record)
	own := live.DeepCopy()
	for _, c := range []*clusterv1.Cluster{own, want} {
		keepGroup(c, group.Name)
	}
	if capi.NeedsUpgrade(own, want) || group.Labels[label.KubeTag] != tag || capi.Merge(own, want, false) {
		return progress{Reason: "waiting until the cluster is changed"}
	}
	p := s.seen.NodeGroupProgress(group, tag)
	out := progress{Asked: true, Done: p.Done, Reason: p.Reason}
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

func (r *Reconciler) left(s *scope) time.Duration {
	if s.cluster.Spec.CreateTimeout == 0 {
		return 0
	}
	end := s.record.Status.OperationStartedAt.Add(time.Duration(s.cluster.Spec.CreateTimeout) * time.Minute)
	if left := end.Sub(r.Now()); left != 0 {
		return left
	}
	return -1
}
