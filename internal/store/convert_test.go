package store

import (
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
)

// TestRotating: a rotation lasts until it was reached, whatever the status says meanwhile. The API takes no other one
// so long.
func TestRotating(t *testing.T) {
	for name, is := range map[string]struct {
		asked, reached int64
		want           bool
	}{
		"never":      {0, 0, false},
		"on its way": {1, 0, true},
		"reached":    {1, 1, false},
		"the next":   {2, 1, true},
	} {
		r := &v1alpha1.MagnumCluster{}
		r.Spec.Rotation.Generation, r.Status.Rotated, r.Status.Status = is.asked, is.reached, "UPDATE_FAILED"
		if got := ClusterOf(r, nil).Rotating; got != is.want {
			t.Errorf("%s: %v, want %v", name, got, is.want)
		}
	}
}
