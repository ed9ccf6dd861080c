package cluster

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

// reasonEvery is how often a state's reason may change.
const reasonEvery = time.Second

// report writes the status once, and says when to look again.
func (r *Reconciler) report(ctx context.Context, s *scope, out phase.Outcome, roundErr error) (time.Duration, error) {
	st := &s.record.Status
	after := out.After
	if left := r.judge(s, out, roundErr); left > 0 && (after == 0 || left < after) {
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
	if st.Status != s.before.Status.Status {
		r.notify(ctx, s, magnum.Status(st.Status), st.StatusReason)
	}
	return after, nil
}

// notify tells who listens. It is told after the status was written: a state that nobody can read is none.
func (r *Reconciler) notify(ctx context.Context, s *scope, to magnum.Status, reason string) {
	if r.Notify == nil {
		return
	}
	words := *s.words
	words.APIAddress, words.CreatedAt = s.record.Status.APIAddress, s.record.CreationTimestamp.Time
	r.Notify.Cluster(ctx, &words, to, reason)
}

// rest is how long a report can wait that has nothing but another reason to tell: a cluster on its way has a new one
// several times a second, and every write wakes all who follow records.
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

// judge gathers the facts of this round, lets package magnum decide, and returns when the decision may be another
// although nothing happens.
func (r *Reconciler) judge(s *scope, out phase.Outcome, roundErr error) time.Duration {
	st, now := &s.record.Status, r.Now()
	f := store.ClusterFacts(s.record, nil)
	for i := range s.groups {
		f.Parts = append(f.Parts, store.NodeGroupPart(&s.groups[i]))
	}
	f.Found = &magnum.Found{Now: now, Waiting: out.Message, Timeout: magnum.Minutes(s.record.Spec.CreateTimeout)}
	if out.State == phase.Failed {
		f.Found.Impossible = out.Message
	}
	if roundErr != nil {
		f.Found.Error = sentence(roundErr)
	}
	if s.closed != nil && errors.Is(roundErr, openstack.ErrUnauthorized) {
		f.Found.Error = deadCredential(s.record)
	}
	if f.Deleted.IsZero() {
		r.life(s, &f)
	} else {
		r.going(s, &f)
	}
	v := magnum.StatusOf(f)
	if v.Status.Complete() {
		st.Upgraded = s.record.Spec.Upgrade.Generation
	}
	st.ObservedGeneration, st.Status, st.StatusReason = s.record.Generation, string(v.Status), v.Reason
	if !v.Began.IsZero() {
		st.OperationStartedAt = &metav1.Time{Time: v.Began}
	}
	if v.Deadline.IsZero() {
		return 0
	}
	return max(v.Deadline.Sub(now), time.Second)
}

// life adds what is known of a cluster that is to live.
func (r *Reconciler) life(s *scope, f *magnum.Facts) {
	r.observe(s)
	f.Found.Whole = f.Shown == "" || f.Shown == magnum.CreateInProgress || f.Shown == magnum.CreateFailed
	f.Found.Progress = lastProgress(s.groups)
	if s.rotationLeft > 0 { // no group's record asks for anything: its progress is counted here
		p := store.ProgressOf(s.record.Status.Progress).Advance(s.rotationLeft, f.Newer || f.Shown.Complete(), f.Found.Now)
		s.record.Status.Progress, f.Found.Progress = store.ProgressRecord(p), p.At
	}
	if rotating := s.record.Spec.Rotation.Generation > s.record.Status.Rotated; rotating && s.rotationLeft == 0 { // nobody could count in this round
		if at := store.ProgressOf(s.record.Status.Progress).At; at.After(f.Found.Progress) {
			f.Found.Progress = at
		}
	}
	if asked := s.record.Spec.Upgrade; asked.Generation > s.record.Status.Upgraded {
		f.Found.Note = asked.Note
	}
	if s.stack.Cluster != nil {
		f.Found.Cause = s.observed.Reason()
	}
	if f.Found.Waiting == "" && s.record.Status.APIAddress == "" {
		f.Found.Waiting = "waiting for the API server's address"
	}
	if f.Found.Waiting == "" && s.stack.Cluster != nil && !s.observed.LookedAt() {
		f.Found.Waiting = "waiting until Cluster API has observed the change"
	}
	if f.Found.Waiting == "" && len(s.groups) == 0 {
		f.Found.Waiting = "waiting for the node groups"
	}
	if r.Addons {
		f.Found.Addons = addonsPending(s.record)
	}
}

// addonsPending says which addon is not available yet, as package addon has reported it for this generation of the
// record.
func addonsPending(record *v1alpha1.MagnumCluster) string {
	for _, a := range record.Status.Addons {
		if a.State != v1alpha1.AddonAvailable && a.State != v1alpha1.AddonSkipped {
			return fmt.Sprintf("Addon %s: %s", a.Name, a.Reason)
		}
	}
	if record.Status.AddonsGeneration < record.Generation {
		return "waiting for the addons"
	}
	return ""
}

// addonsReady tells whether package addon has seen that masters may change to the version that was asked for.
func addonsReady(record *v1alpha1.MagnumCluster, live, wanted *clusterv1.Cluster) bool {
	version := wanted.Spec.Topology.Version
	return live.Spec.Topology.Version == version || record.Status.AddonsReadyFor == version
}

// going adds what is known of a cluster that goes.
func (r *Reconciler) going(s *scope, f *magnum.Facts) {
	st := &s.record.Status
	left := len(s.stack.Machines) + len(s.groups) + s.balancers
	if s.stack.Cluster != nil {
		left++
	}
	p := store.ProgressOf(st.Progress).Advance(left, !f.Shown.Deleting(), f.Found.Now)
	st.Progress = store.ProgressRecord(p)
	f.Found.Progress = p.At
	if s.stack.Cluster != nil && s.stack.Cluster.DeletionTimestamp != nil {
		f.Found.Cause = s.observed.DeletionReason()
	}
	if s.refused != "" {
		f.Found.Error = s.refused
	}
	if errors.Is(s.closed, openstack.ErrUnauthorized) && (len(s.stack.Machines) > 0 || s.stack.Cluster != nil) {
		what := "network"
		if n := len(s.stack.Machines); n > 0 {
			what = magnum.Count(n, "machine")
		}
		f.Found.Cause = fmt.Sprintf("The cluster's application credential no longer works, so its %s cannot be deleted. "+
			"Give the cluster a new one with PATCH /v1/credentials/%s.", what, s.record.Name)
		f.Found.Stuck = true
	}
}

// lastProgress is when one of the groups last came nearer to what was asked of it: they wait for each other.
func lastProgress(groups []v1alpha1.MagnumNodeGroup) time.Time {
	var last time.Time
	for i := range groups {
		if at := store.ProgressOf(groups[i].Status.Progress).At; at.After(last) {
			last = at
		}
	}
	return last
}

// observe copies what Cluster API knows.
func (r *Reconciler) observe(s *scope) {
	st := &s.record.Status
	if s.stack.Cluster == nil {
		return
	}
	if a := s.observed.APIAddress(); a != "" {
		st.APIAddress = a
	}
	// What was reached, not what was asked for. Cluster API before 1.14 has no list of versions.
	if k := s.stack.ControlPlane; k != nil && k.Status.Version != "" { //nolint:staticcheck // as above
		st.COEVersion = k.Status.Version //nolint:staticcheck // as above
	}
	st.ClassName = s.stack.Cluster.Spec.Topology.ClassRef.Name
	st.MutableLabels, st.Rotatable = capi.MutableLabels(s.stack.Cluster), capi.Rotatable(s.stack.Cluster)
}

func (r *Reconciler) event(s *scope, reason, format string, args ...any) {
	r.Recorder.Eventf(s.record, nil, corev1.EventTypeNormal, reason, reason, format, args...)
}

func (r *Reconciler) warn(s *scope, reason, format string, args ...any) {
	r.Recorder.Eventf(s.record, nil, corev1.EventTypeWarning, reason, reason, format, args...)
}

// warnOf is one event for all of a list.
func (r *Reconciler) warnOf(s *scope, reason, what string, list []error) {
	if len(list) > 0 {
		r.warn(s, reason, "%s: %s", what, magnum.Shorten(magnum.OneLine(errors.Join(list...)), 1000))
	}
}

// sentence bounds an error's length: it is shown in tables.
func sentence(err error) string {
	text := err.Error()
	if len(text) > 1000 {
		text = text[:1000] + " ..."
	}
	return text
}
