package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
)

// What is decided stands in package magnum. This is about what is gathered for it.
func TestWhatIsToldOfACluster(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	group := func(status, reason string, progress time.Duration) v1alpha1.MagnumNodeGroup {
		g := v1alpha1.MagnumNodeGroup{}
		g.Spec.Name, g.Status.Status, g.Status.StatusReason = "default-worker", status, reason
		g.Status.Progress = &v1alpha1.Progress{Left: 3, At: metav1.NewTime(start.Add(progress))}
		return g
	}
	deleted := func(s *scope) {
		s.record.DeletionTimestamp = &metav1.Time{Time: start}
		s.record.Status.Status = "DELETE_IN_PROGRESS"
		s.record.Status.Progress = &v1alpha1.Progress{Left: 3, At: metav1.NewTime(start)}
		c := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &metav1.Time{Time: start}}}
		c.Status.Conditions = []metav1.Condition{{Type: clusterv1.ClusterDeletingCondition, Status: "True", Reason: "WaitingForWorkersDeletion", Message: "* Control plane machines: draining"}}
		s.stack = &kube.Stack{Cluster: c, Machines: []*clusterv1.Machine{{}, {}}}
		s.observed = capi.Observed{Cluster: c, Machines: s.stack.Machines}
	}
	for name, is := range map[string]struct {
		reason string
		edit   func(s *scope)
		after  time.Duration
		out    phase.Outcome
		err    error
		status string
		says   string
	}{
		"its time is its own": {
			"a creation is bounded as a whole", func(s *scope) { s.groups = append(s.groups, group("CREATE_IN_PROGRESS", "", 59*time.Second)) },
			80 * time.Second, phase.Wait("waiting for Godot"), nil, "CREATE_FAILED", "create_timeout (1 minute). waiting for Godot",
		},
		"its groups make progress": {
			"an update is not bounded as a whole", func(s *scope) {
				s.record.Status.Status, s.record.Status.OperationStartedAt = "UPDATE_IN_PROGRESS", &metav1.Time{Time: start}
				s.record.Status.APIAddress = "https://a:6443"
				s.groups = append(s.groups, group("UPDATE_IN_PROGRESS", "3 of 9 machines", 10*time.Minute))
			}, 10*time.Minute + 30*time.Second, phase.Done(), nil, "UPDATE_IN_PROGRESS", "Node group default-worker: 3 of 9 machines",
		},
		"a rotation makes progress": {
			"a round that an error broke off has counted nothing, and takes nothing back", func(s *scope) {
				s.record.Spec.Rotation = v1alpha1.Rotation{Generation: 1, Authority: "kubernetes"}
				s.record.Status.Status, s.record.Status.OperationStartedAt = "UPDATE_IN_PROGRESS", &metav1.Time{Time: start}
				s.record.Status.Progress = &v1alpha1.Progress{Left: 3, At: metav1.NewTime(start.Add(10 * time.Minute))}
				s.groups = append(s.groups, group("UPDATE_COMPLETE", "", 0))
			}, 10*time.Minute + 30*time.Second, phase.Done(), errors.New("authorities: change ConfigMap cluster-info: i/o timeout"), "UPDATE_IN_PROGRESS", "i/o timeout",
		},
		"a rotation has failed": {
			"whoever looks sees it, until it comes nearer", func(s *scope) {
				s.record.Spec.Rotation, s.rotationLeft = v1alpha1.Rotation{Generation: 1, Authority: "kubernetes"}, 3
				s.record.Status.Status, s.record.Status.OperationStartedAt = "UPDATE_FAILED", &metav1.Time{Time: start}
				s.record.Status.Progress = &v1alpha1.Progress{Left: 3, At: metav1.NewTime(start.Add(time.Minute))}
				s.groups = append(s.groups, group("UPDATE_COMPLETE", "", 0))
			}, 3 * time.Minute, phase.Wait("1 of 1 machine is of before"), nil, "UPDATE_FAILED", "No progress for create_timeout (1 minute). 1 of 1 machine",
		},
		"an address is missing": {
			"nobody can use it yet", func(s *scope) { s.groups = append(s.groups, group("CREATE_COMPLETE", "", 0)) },
			time.Second, phase.Done(), nil, "CREATE_IN_PROGRESS", "API server's address",
		},
		"the groups are missing": {"", func(s *scope) { s.record.Status.APIAddress = "https://a:6443" }, time.Second, phase.Done(), nil, "CREATE_IN_PROGRESS", "node groups"},
		"an error":               {"", func(*scope) {}, time.Second, phase.Done(), errors.New("server groups: unavailable"), "CREATE_IN_PROGRESS", "server groups: unavailable"},
		"it goes": {
			"what Cluster API does, not only how many machines there are", deleted, time.Second, phase.Wait("waiting until Cluster API has taken away 2 machines"), nil,
			"DELETE_IN_PROGRESS", "draining",
		},
		"its credential is dead": {
			"nothing will happen until it gets another, and the reason says how", func(s *scope) { deleted(s); s.closed = openstack.ErrUnauthorized },
			3 * time.Minute, phase.Wait("waiting until Cluster API has taken away 2 machines"), nil, "DELETE_FAILED", "PATCH /v1/credentials/7a8f",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Reconciler{Now: func() time.Time { return start.Add(is.after) }}
			record := &v1alpha1.MagnumCluster{ObjectMeta: metav1.ObjectMeta{Name: "7a8f", CreationTimestamp: metav1.NewTime(start), Generation: 1}}
			record.Spec.CreateTimeout, record.Status.ObservedGeneration = 1, 1
			s := &scope{record: record, stack: &kube.Stack{}}
			is.edit(s)
			after := r.judge(s, is.out, is.err)
			if got := record.Status; got.Status != is.status || !strings.Contains(got.StatusReason, is.says) {
				t.Errorf("%s %q, want %s with %q: %s", got.Status, got.StatusReason, is.status, is.says, is.reason)
			}
			if after < 0 || strings.HasSuffix(is.status, "_PROGRESS") && is.status != "DELETE_IN_PROGRESS" && after == 0 {
				t.Errorf("looks again after %s", after)
			}
		})
	}
}

// A round that cannot go on without the cloud says of a dead credential what a look at the cloud says of it.
func TestARoundSaysWhatToDoAboutADeadCredential(t *testing.T) {
	r, s := sick(t, &ailing{credential: fmt.Errorf("log in: %w", openstack.ErrUnauthorized)})
	s.words = &magnum.Cluster{}
	s.members = []*magnum.NodeGroup{{Name: "more"}}
	out, err := r.serverGroups(t.Context(), s)
	r.judge(s, out, err)
	if got := s.record.Status.StatusReason; err == nil || got != deadCredential(s.record) {
		t.Errorf("it says %q, of %v", got, err)
	}
}
