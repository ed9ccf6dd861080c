package addon

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
)

// report writes what was seen into the record's status, if it is something else than before.
func (r *Reconciler) report(ctx context.Context, s *scope, out phase.Outcome, roundErr error) error {
	st := &s.record.Status
	switch {
	case s.waiting != nil: // the round came to its end
		st.Addons, st.AddonsGeneration = r.states(s), s.record.Generation
		ready, why := catalogue.ReadyFor(s.releases, func(name string) (bool, string) {
			a := stateOf(st, name)
			// A node that is down does not keep a version away that was everywhere before it went down.
			return a.State != v1alpha1.AddonFailed && a.Reached == a.Version, a.Reason
		})
		if ready {
			st.AddonsReadyFor = s.kubernetes
		} else {
			s.log.DebugContext(ctx, "masters stay as they are", "reason", why)
		}
	case roundErr != nil:
		r.interrupted(s, roundErr)
	}
	if reflect.DeepEqual(st, &s.before.Status) {
		return nil
	}
	for _, a := range st.Addons {
		if was := stateOf(&s.before.Status, a.Name); was == nil || was.State != a.State {
			s.log.InfoContext(ctx, "an addon's state changed", "addon", a.Name, "version", a.Version, "state", a.State, "reason", a.Reason)
			r.Recorder.Eventf(s.record, nil, corev1.EventTypeNormal, "Addon", "Addon", "%s %s: %s %s", a.Name, a.Version, a.State, a.Reason)
		}
	}
	if err := r.Client.Status().Patch(ctx, s.record, client.MergeFrom(s.before), kube.FieldOwner); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write addons of cluster %s: %w", s.record.Name, err)
	}
	return nil
}

func (r *Reconciler) states(s *scope) []v1alpha1.AddonStatus {
	var out []v1alpha1.AddonStatus
	for _, release := range s.releases {
		a := v1alpha1.AddonStatus{Name: release.Name, Version: release.Version, State: v1alpha1.AddonAvailable}
		switch {
		case s.failed[release.Name] != "":
			a.State, a.Reason = v1alpha1.AddonFailed, s.failed[release.Name]
		case release.Skipped != "":
			a.State, a.Reason = v1alpha1.AddonSkipped, release.Skipped
		case s.waiting[release.Name] != "":
			a.State, a.Reason = v1alpha1.AddonProgressing, s.waiting[release.Name]
		case release.Waits != "":
			a.State, a.Reason = v1alpha1.AddonProgressing, release.Waits
		}
		if was := stateOf(&s.before.Status, release.Name); was != nil {
			a.Reached = was.Reached
		}
		if a.State == v1alpha1.AddonAvailable || release.Waits != "" && s.waiting[release.Name] == "" {
			a.Reached = a.Version
		}
		r.stamp(s, &a)
		out = append(out, a)
	}
	return out
}

// interrupted says why a round did not come to its end: of addons that were available nothing is known to be otherwise.
func (r *Reconciler) interrupted(s *scope, err error) {
	st := &s.record.Status
	if len(st.Addons) == 0 {
		st.Addons = []v1alpha1.AddonStatus{{Name: catalogue.CloudConfig}}
	}
	st.Addons = slices.Clone(st.Addons)
	for i := range st.Addons {
		a := &st.Addons[i]
		if a.State == v1alpha1.AddonSkipped || a.State == v1alpha1.AddonAvailable {
			continue
		}
		a.State, a.Reason = v1alpha1.AddonProgressing, oneLine(err.Error())
		if unreachable(err) {
			a.Reason = "The cluster's API server cannot be reached: " + a.Reason
		}
		r.stamp(s, a)
	}
}

func (r *Reconciler) stamp(s *scope, a *v1alpha1.AddonStatus) {
	if was := stateOf(&s.before.Status, a.Name); was != nil && was.State == a.State {
		a.Since = was.Since
		return
	}
	now := metav1.NewTime(r.Now())
	a.Since = &now
}

func stateOf(st *v1alpha1.MagnumClusterStatus, name string) *v1alpha1.AddonStatus {
	i := slices.IndexFunc(st.Addons, func(a v1alpha1.AddonStatus) bool { return a.Name == name })
	if i < 0 {
		return nil
	}
	return &st.Addons[i]
}
