package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
)

// Who reads that a cluster has failed finds in the same answer which groups have, and why.
func TestAClusterFailsAfterItsGroups(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	group := func(name, status string, began time.Duration) v1alpha1.MagnumNodeGroup {
		g := v1alpha1.MagnumNodeGroup{}
		g.Spec.Name, g.Status.Status = name, status
		g.CreationTimestamp = metav1.NewTime(start.Add(began))
		if strings.HasSuffix(status, "_FAILED") {
			g.Status.StatusReason = "No valid host was found."
		}
		return g
	}
	const creating, failed, complete = "CREATE_IN_PROGRESS", "CREATE_FAILED", "CREATE_COMPLETE"
	for name, is := range map[string]struct {
		reason  string
		groups  []v1alpha1.MagnumNodeGroup
		after   time.Duration // since the cluster was created; it has one minute
		waiting string
		err     error
		status  string
		says    string
	}{
		"time is left": {
			reason: "nothing has failed",
			groups: []v1alpha1.MagnumNodeGroup{group("a", creating, 0)}, after: 40 * time.Second, status: creating,
		},
		"groups have not spoken": {
			reason: "they were made a second later and end a second later",
			groups: []v1alpha1.MagnumNodeGroup{group("a", creating, time.Second), group("b", creating, time.Second)},
			after:  61 * time.Second, status: creating,
		},
		"one group has spoken": {
			reason: "the other is about to",
			groups: []v1alpha1.MagnumNodeGroup{group("a", failed, time.Second), group("b", creating, time.Second)},
			after:  61 * time.Second, status: creating,
		},
		"all groups have spoken": {
			reason: "the first names the cause",
			groups: []v1alpha1.MagnumNodeGroup{group("a", failed, time.Second), group("b", failed, time.Second)},
			after:  62 * time.Second, status: failed, says: "No valid host",
		},
		"a group fails early": {
			reason: "another has long to go and is not waited for",
			groups: []v1alpha1.MagnumNodeGroup{group("a", failed, -time.Minute), group("b", creating, 0)},
			after:  10 * time.Second, status: failed, says: "Node group a: No valid host",
		},
		"groups never speak": {
			reason: "nobody may wait for ever",
			groups: []v1alpha1.MagnumNodeGroup{group("a", creating, 0)}, after: 75 * time.Second, waiting: "waiting for Godot",
			status: failed, says: "Not done within create_timeout (1 minutes). waiting for Godot",
		},
		"the cluster itself is held up": {
			reason: "its groups only know that they wait for it",
			groups: []v1alpha1.MagnumNodeGroup{group("a", failed, 0), group("b", complete, 0)}, after: 62 * time.Second,
			err: errors.New("server group: 403"), status: failed, says: "create_timeout (1 minutes). server group: 403",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Reconciler{Now: func() time.Time { return start.Add(is.after) }}
			record := &v1alpha1.MagnumCluster{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(start), Generation: 1}}
			record.Spec.CreateTimeout = 1
			s := &scope{record: record, before: record.DeepCopy(), groups: is.groups, stack: &kube.Stack{}}
			out := phase.Done()
			if is.waiting != "" {
				out = phase.Wait("%s", is.waiting)
			}
			left := r.reportLife(s, out, is.err)
			got := record.Status
			if got.Status != is.status || !strings.Contains(got.StatusReason, is.says) {
				t.Errorf("%s %q, want %s with %q: %s", got.Status, got.StatusReason, is.status, is.says, is.reason)
			}
			if got.Status == creating && (left <= 0 || left > time.Minute) {
				t.Errorf("looks again after %s: %s", left, is.reason)
			}
		})
	}
}
