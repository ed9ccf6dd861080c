package store

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// maxEvents bounds what is read of one record. Kubernetes forgets events after an hour or so.
const maxEvents = 500

// Events are what controllers noted about a cluster and its node groups, oldest first.
func (s *Store) Events(ctx context.Context, g policy.Grant, clusterUUID string) ([]magnum.Event, error) {
	groups, err := s.NodeGroups(ctx, g, clusterUUID) // holds to the grant
	if err != nil {
		return nil, err
	}
	names := map[string]string{clusterUUID: ""}
	for _, ng := range groups {
		names[ng.UUID] = ng.Name
	}
	out := []magnum.Event{}
	for record, group := range names {
		list := &corev1.EventList{}
		err := s.client.List(ctx, list, client.InNamespace(v1alpha1.Namespace), client.Limit(maxEvents),
			client.MatchingFields{"involvedObject.name": record})
		if err != nil {
			return nil, refusal(err, "read events of")
		}
		for i := range list.Items {
			out = append(out, eventOf(&list.Items[i], group))
		}
	}
	slices.SortFunc(out, func(a, b magnum.Event) int {
		return cmp.Or(a.LastSeen.Compare(b.LastSeen), strings.Compare(a.Message, b.Message))
	})
	return out, nil
}

// eventOf reads an event however its writer counts: events.k8s.io has a series, the older kind a count.
func eventOf(e *corev1.Event, group string) magnum.Event {
	first := firstTime(e.EventTime.Time, e.FirstTimestamp.Time, e.CreationTimestamp.Time)
	out := magnum.Event{
		Type: e.Type, Reason: e.Reason, Message: e.Message, NodeGroup: group, Count: max(int(e.Count), 1),
		FirstSeen: first.UTC(), LastSeen: firstTime(e.LastTimestamp.Time, first).UTC(),
	}
	if e.Series != nil {
		out.Count, out.LastSeen = max(int(e.Series.Count), 1), e.Series.LastObservedTime.UTC()
	}
	return out
}

func firstTime(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
