package store_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// TestEvents: what controllers noted about a cluster and its groups is read with the API server's own filter, whichever
// way it was counted, and belongs to the cluster's project.
func TestEvents(t *testing.T) {
	s, ctx, g := newStore(t), t.Context(), member(t, "events")
	made, err := s.CreateCluster(ctx, g, example("events", "k"), 10)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := s.NodeGroups(ctx, g, made.UUID)
	if err != nil || len(groups) != 2 {
		t.Fatal(groups, err)
	}
	at := time.Date(2026, 11, 23, 7, 9, 44, 0, time.UTC)
	for i, e := range []corev1.Event{
		{
			InvolvedObject: corev1.ObjectReference{Kind: "MagnumNodeGroup", Name: groups[1].UUID}, Type: "Warning", Reason: "State", Message: "later",
			EventTime: metav1.NewMicroTime(at), Series: &corev1.EventSeries{Count: 4, LastObservedTime: metav1.NewMicroTime(at.Add(time.Hour))},
			ReportingController: "jeroboam", ReportingInstance: "one", Action: "State",
		},
		{
			InvolvedObject: corev1.ObjectReference{Kind: "MagnumCluster", Name: made.UUID}, Type: "Normal", Reason: "Created", Message: "first",
			FirstTimestamp: metav1.NewTime(at), LastTimestamp: metav1.NewTime(at.Add(time.Minute)), Count: 2,
		},
		{InvolvedObject: corev1.ObjectReference{Kind: "MagnumCluster", Name: "somebody-else"}, Type: "Normal", Reason: "Created", Message: "not ours"},
	} {
		e.Name, e.Namespace = "event-"+made.UUID+string(rune('a'+i)), v1alpha1.Namespace
		e.InvolvedObject.Namespace, e.InvolvedObject.APIVersion = v1alpha1.Namespace, v1alpha1.GroupVersion().String()
		if err := management.Client.Create(ctx, &e); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Events(ctx, g, made.UUID)
	if err != nil {
		t.Fatal(err)
	}
	want := []magnum.Event{
		{Type: "Normal", Reason: "Created", Message: "first", Count: 2, FirstSeen: at, LastSeen: at.Add(time.Minute)},
		{Type: "Warning", Reason: "State", Message: "later", NodeGroup: magnum.DefaultWorker, Count: 4, FirstSeen: at, LastSeen: at.Add(time.Hour)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Events(ctx, member(t, "elsewhere"), made.UUID); status(err) != http.StatusNotFound {
		t.Errorf("another project: %v", err)
	}
}
