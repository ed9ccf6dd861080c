package store

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestServiceNumber: two processes that start at once may take the same number; the younger one gives way at its next
// heartbeat.
func TestServiceNumber(t *testing.T) {
	at := time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)
	lease := func(name, number string, age time.Duration) coordinationv1.Lease {
		return coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Name: name, Annotations: map[string]string{serviceNumber: number}, CreationTimestamp: metav1.NewTime(at.Add(-age)),
		}}
	}
	for name, tc := range map[string]struct {
		reason string
		of     coordinationv1.Lease
		others []coordinationv1.Lease
		want   int64
	}{
		"first":     {"the first is 1", lease("a", "", 0), nil, 1},
		"next":      {"after the greatest", lease("c", "", 0), []coordinationv1.Lease{lease("a", "1", 2), lease("b", "7", 1)}, 8},
		"keeps":     {"a number lasts", lease("a", "3", 0), []coordinationv1.Lease{lease("b", "7", 1)}, 3},
		"older":     {"the older one of two keeps it", lease("a", "3", 2*time.Hour), []coordinationv1.Lease{lease("b", "3", time.Hour)}, 3},
		"younger":   {"and the younger one gives way", lease("b", "3", time.Hour), []coordinationv1.Lease{lease("a", "3", 2*time.Hour)}, 4},
		"same time": {"of equal age, the name decides", lease("b", "3", 0), []coordinationv1.Lease{lease("a", "3", 0)}, 4},
		"nonsense":  {"somebody edited it", lease("a", "x", 0), []coordinationv1.Lease{lease("b", "-4", 0)}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			all := append([]coordinationv1.Lease{tc.of}, tc.others...)
			if got := number(&tc.of, all); got != tc.want {
				t.Errorf("%s: got %d, want %d", tc.reason, got, tc.want)
			}
		})
	}
}
