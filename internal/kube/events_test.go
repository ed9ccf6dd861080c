package kube_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

// sink keeps what a broadcaster would write.
type sink struct {
	mu   sync.Mutex
	made []string
}

func (s *sink) Create(_ context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made = append(s.made, e.Note)
	return e, nil
}

func (s *sink) Update(_ context.Context, e *eventsv1.Event) (*eventsv1.Event, error) { return e, nil }

func (s *sink) Patch(_ context.Context, e *eventsv1.Event, _ []byte) (*eventsv1.Event, error) {
	return e, nil
}

// TestEachText: of several events about one object with one reason every text is kept, and the same text is counted.
func TestEachText(t *testing.T) {
	s := &sink{}
	broadcaster := events.NewBroadcaster(s)
	if err := broadcaster.StartRecordingToSinkWithContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer broadcaster.Shutdown()
	r := kube.EachText(broadcaster.NewRecorder(scheme.Scheme, "test"))
	object := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", UID: "u", ResourceVersion: "1"}}
	for _, name := range []string{"calico", "cinder-csi", "calico"} {
		r.Eventf(object, nil, corev1.EventTypeNormal, "Addon", "Addon", "%s: Available", name)
	}
	want := []string{"calico: Available", "cinder-csi: Available"}
	var got []string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && len(got) < len(want); time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		got = slices.Sorted(slices.Values(s.made))
		s.mu.Unlock()
	}
	time.Sleep(50 * time.Millisecond) // a third would have come by now
	s.mu.Lock()
	defer s.mu.Unlock()
	if got = slices.Sorted(slices.Values(s.made)); !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
}
