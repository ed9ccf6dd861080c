package cluster

import (
	"context"
	"fmt"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
)

// deleteFailedAfter is how long an error may keep a deletion from going on before clients are told DELETE_FAILED. The
// deletion goes on being tried all the same, and at once when the owner asks again.
const deleteFailedAfter = 2 * time.Minute

// reasonEvery is how often a state's reason may change.
const reasonEvery = time.Second

// groupsAnswer is how far from the end of its time a node group may be and still be about to say that it failed. A cluster fails
// after its groups: who reads that it has wants to read in the same answer which groups have, and why.
const groupsAnswer = 10 * time.Second

// report writes the status once, and says when to look again.
func (r *Reconciler) report(ctx context.Context, s *scope, out phase.Outcome, roundErr error) (time.Duration, error) {
	if s.record == nil {
		return 0, nil
	}
	st := &s.record.Status
	after := out.After
	if s.record.DeletionTimestamp != nil {
		r.reportEnd(s, out, roundErr)
	} else if left := r.reportLife(s, out, roundErr); left > 0 && (after == 0 || left < after) {
		after = left
	}
	if reflect.DeepEqual(st, &s.before.Status) {
		return after, nil
	}
	if rest := r.rest(st, &s.before.Status); rest > 0 && after > 0 {
		return min(rest, after), nil
	} else if rest > 0 {
		return rest, nil
	}
	now := metav1.NewTime(r.Now())
	if st.Status != s.before.Status.Status || st.StatusReason != s.before.Status.StatusReason {
		st.UpdatedAt = &now
	}
	if st.Status != s.before.Status.Status {
		s.log.InfoContext(ctx, "cluster state changed", "from", s.before.Status.Status, "to", st.Status, "reason", st.StatusReason)
		r.event(s, "State", "%s %s", st.Status, st.StatusReason)
	}
	// Health belongs to package health: a patch against what was read leaves it alone.
	if err := r.Client.Status().Patch(ctx, s.record, client.MergeFrom(s.before), kube.FieldOwner); client.IgnoreNotFound(err) != nil {
		return after, fmt.Errorf("write status of cluster %s: %w", s.record.Name, err)
	}
	return after, nil
}

// rest is how long a report can wait that has nothing but another reason to tell: a cluster on its way has a new one several
// times a second, and every write wakes all who follow records.
func (r *Reconciler) rest(now, before *v1alpha1.MagnumClusterStatus) time.Duration {
	if before.UpdatedAt == nil {
		return 0
	}
	quiet := now.DeepCopy()
	quiet.StatusReason, quiet.UpdatedAt = before.StatusReason, before.UpdatedAt
	if !reflect.DeepEqual(quiet, before) {
		return 0
	}
	return before.UpdatedAt.Add(reasonEvery).Sub(r.Now())
}

func (r *Reconciler) reportEnd(s *scope, out phase.Outcome, roundErr error) {
	st := &s.record.Status
	st.ObservedGeneration = s.record.Generation
	st.StatusReason = out.Waiting
	if roundErr == nil {
		st.Status = string(magnum.DeleteInProgress)
		return
	}
	st.StatusReason = sentence(roundErr)
	if r.Now().Sub(s.record.DeletionTimestamp.Time) > deleteFailedAfter {
		st.Status = string(magnum.DeleteFailed)
		return
	}
	st.Status = string(magnum.DeleteInProgress)
}

// reportLife derives the state of a living cluster from its phases and its groups. It returns how long the operation
// that goes on may still take, 0 for no bound.
func (r *Reconciler) reportLife(s *scope, out phase.Outcome, roundErr error) time.Duration {
	st := &s.record.Status
	r.observe(s)
	seen := magnum.Status(st.Status)
	g := sumUp(s)
	began := st.ObservedGeneration < s.record.Generation || seen.Complete() && !g.settled || seen.Failed() && g.fresh
	if seen.Complete() && !began {
		return 0 // nothing was asked; what breaks meanwhile is a matter of health
	}
	op := "UPDATE"
	if seen == "" || seen == magnum.CreateInProgress || seen == magnum.CreateFailed {
		op = "CREATE"
	}
	r.begin(st, s.record.CreationTimestamp, op, began && !seen.InProgress())
	st.ObservedGeneration = s.record.Generation
	left, held, answering := r.left(s), roundErr != nil || out.Waiting != "", r.answering(s)
	switch {
	case out.Failed:
		st.Status, st.StatusReason = op+"_FAILED", out.Waiting
	case g.failed != "" && !answering && (!held || left >= 0):
		st.Status, st.StatusReason = op+"_FAILED", g.failed
	case !held && g.settled && st.APIAddress != "":
		st.Status, st.StatusReason = op+"_COMPLETE", ""
		left = 0
	case left < 0 && !answering:
		st.Status = op + "_FAILED"
		st.StatusReason = fmt.Sprintf("Not done within create_timeout (%d minutes). %s",
			s.record.Spec.CreateTimeout, r.cause(s, out.Waiting, roundErr))
		left = 0
	default:
		st.Status, st.StatusReason = op+"_IN_PROGRESS", r.cause(s, out.Waiting, roundErr)
		if left < 0 {
			left = groupsAnswer
		}
	}
	return left
}

// answering tells that a group is on its way and its time, which is the cluster's own but counted from another moment, ends
// about now.
func (r *Reconciler) answering(s *scope) bool {
	for i := range s.groups {
		g := &s.groups[i]
		if st := magnum.Status(g.Status.Status); st.Complete() || st.Failed() || s.record.Spec.CreateTimeout == 0 {
			continue
		}
		began := g.CreationTimestamp
		if g.Status.OperationStartedAt != nil {
			began = *g.Status.OperationStartedAt
		}
		end := began.Add(time.Duration(s.record.Spec.CreateTimeout) * time.Minute)
		if r.Now().Sub(end).Abs() <= groupsAnswer {
			return true
		}
	}
	return false
}

// begin notes when the operation began: a creation with the record, an update when it is first seen.
func (r *Reconciler) begin(st *v1alpha1.MagnumClusterStatus, created metav1.Time, op string, anew bool) {
	if st.OperationStartedAt != nil && !anew {
		return
	}
	now := metav1.NewTime(r.Now())
	st.OperationStartedAt = &now
	if op == "CREATE" {
		st.OperationStartedAt = &created
	}
}

// left is what remains of create_timeout: 0 is no bound, negative is over. Magnum bounds creations only; here an update
// is bounded by the same time, so that it cannot hang for ever either.
func (r *Reconciler) left(s *scope) time.Duration {
	if s.record.Spec.CreateTimeout == 0 {
		return 0
	}
	end := s.record.Status.OperationStartedAt.Add(time.Duration(s.record.Spec.CreateTimeout) * time.Minute)
	if left := end.Sub(r.Now()); left != 0 {
		return left
	}
	return -1
}

// cause is the sentence that says best why the cluster is not there yet.
func (r *Reconciler) cause(s *scope, waiting string, roundErr error) string {
	if roundErr != nil {
		return sentence(roundErr)
	}
	if s.stack.Cluster != nil {
		if why := s.seen.Reason(); why != "" {
			return why
		}
	}
	return waiting
}

// observe copies what Cluster API knows.
func (r *Reconciler) observe(s *scope) {
	st := &s.record.Status
	if s.stack.Cluster == nil {
		return
	}
	if a := s.seen.APIAddress(); a != "" {
		st.APIAddress = a
	}
	st.COEVersion = s.record.Spec.Labels[label.KubeTag]
	st.MasterAddresses, st.NodeAddresses = nil, nil
	for _, g := range s.members {
		if g.Role == magnum.RoleMaster {
			st.MasterAddresses = append(st.MasterAddresses, s.seen.Addresses(g)...)
		} else {
			st.NodeAddresses = append(st.NodeAddresses, s.seen.Addresses(g)...)
		}
	}
}

// sum is what a cluster's groups are together.
type sum struct {
	settled bool   // each has come to rest
	fresh   bool   // one has been changed and not been looked at since
	failed  string // which has failed, and why
}

func sumUp(s *scope) sum {
	out := sum{settled: len(s.groups) > 0}
	for i := range s.groups {
		g := &s.groups[i]
		st := magnum.Status(g.Status.Status)
		newer := g.Status.ObservedGeneration < g.Generation
		switch {
		case st == magnum.DeleteFailed, st.Failed() && !newer && g.DeletionTimestamp == nil:
			out.settled, out.failed = false, fmt.Sprintf("Node group %s: %s", g.Spec.Name, g.Status.StatusReason)
		case g.DeletionTimestamp != nil || newer || !st.Complete():
			out.settled = false
		}
		out.fresh = out.fresh || newer || g.DeletionTimestamp != nil
	}
	return out
}

func (r *Reconciler) event(s *scope, reason, format string, args ...any) {
	r.Recorder.Eventf(s.record, nil, corev1.EventTypeNormal, reason, reason, format, args...)
}

// sentence bounds an error's length: it is shown in tables.
func sentence(err error) string {
	text := err.Error()
	if len(text) > 1000 {
		text = text[:1000] + " ..."
	}
	return text
}
