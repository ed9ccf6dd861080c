package clusterapi

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/controlplane/kubeadm/reconcilers/kubeadmcontrolplane"
	"sigs.k8s.io/cluster-api/core/reconcilers/machine"
	capicontrollerutil "sigs.k8s.io/cluster-api/util/controller"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// recorder is a manager that keeps what is added.
type recorder struct {
	ctrl.Manager
	added []manager.Runnable
}

func (r *recorder) Add(x manager.Runnable) error {
	r.added = append(r.added, x)
	return nil
}

// TestClusterAPILayout fails when a new version of Cluster API keeps its interval elsewhere: then change unlimit.
func TestClusterAPILayout(t *testing.T) {
	if err := enableFeatures(); err != nil {
		t.Fatal(err)
	}
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	m, err := ctrl.NewManager(&rest.Config{Host: "https://127.0.0.1:1"}, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{Manager: m}
	err = capicontrollerutil.NewControllerManagedBy(rec, ctrl.Log).For(&clusterv1.Cluster{}).WithOptions(controller.Options{}).Complete(t.Context(),
		reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) { return reconcile.Result{}, nil }))
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.added) != 1 || !unlimit(rec.added[0]) {
		t.Errorf("the interval between reconciles was not found in %T", rec.added)
	}
	for _, r := range []any{&machine.Reconciler{}, &kubeadmcontrolplane.Reconciler{}} {
		if !newPace(true).hurry(r) {
			t.Errorf("where %T puts off reconciles was not found", r)
		}
	}
}

// putOff notes until when a controller of Cluster API is told to wait.
type putOff struct {
	capicontrollerutil.Controller
	until time.Time
}

func (p *putOff) DeferNextReconcile(_ reconcile.Request, until time.Time) { p.until = until }

func TestHurried(t *testing.T) {
	begin := time.Unix(1000, 0)
	for _, tc := range []struct {
		reason    string
		simulated bool
		want      time.Duration
	}{
		{"pods of a simulated node are gone in a moment", true, simulatedPatience},
		{"those of a real one are not", false, 20 * time.Second},
	} {
		p, inner := newPace(tc.simulated), &putOff{}
		p.now = func() time.Time { return begin }
		hurried{inner, p}.DeferNextReconcileForObject(&clusterv1.Machine{}, begin.Add(20*time.Second))
		if got := inner.until.Sub(begin); got != tc.want {
			t.Errorf("%s: again after %s, want %s", tc.reason, got, tc.want)
		}
	}
}

func TestPace(t *testing.T) {
	now := time.Unix(0, 0)
	key := func(n int) paceKey {
		return paceKey{"q", reconcile.Request{NamespacedName: types.NamespacedName{Name: fmt.Sprint(n)}}}
	}
	cases := map[string]struct {
		reason string
		active int
		want   time.Duration
	}{
		"idle": {reason: "few objects hardly wait", active: 3, want: shortestInterval},
		"busy": {reason: "the budget is shared", active: 50, want: 500 * time.Millisecond},
		"full": {reason: "nobody waits longer than Cluster API would let it", active: 1000, want: longestInterval},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := &pace{budget: 100, now: func() time.Time { return now }, started: map[paceKey]time.Time{}}
			if got := p.wait(key(0)); got != 0 {
				t.Errorf("a new object must not wait, got %s", got)
			}
			for n := range tc.active {
				p.start(key(n))
			}
			if got := p.wait(key(0)); got != tc.want {
				t.Errorf("%s: got %s, want %s", tc.reason, got, tc.want)
			}
			now = now.Add(2 * longestInterval)
			p.start(key(-1))
			if len(p.started) != 1 {
				t.Errorf("objects at rest must not count, got %d", len(p.started))
			}
		})
	}
}

// TestPatience: what simulated machines do is over in a moment, and the intervals of what is at rest are nobody's
// patience.
func TestPatience(t *testing.T) {
	for _, tc := range []struct {
		reason    string
		simulated bool
		after     time.Duration
		want      time.Duration
	}{
		{"a drain of a simulated node", true, 20 * time.Second, simulatedPatience},
		{"the end of a simulated machine", true, realPatience, simulatedPatience},
		{"what is looked at sooner anyway", true, time.Millisecond, time.Millisecond},
		{"a bootstrap token is renewed", true, 5 * time.Minute, 5 * time.Minute},
		{"real machines are not hurried", false, 20 * time.Second, 20 * time.Second},
	} {
		if got := newPace(tc.simulated).again(tc.after); got != tc.want {
			t.Errorf("%s: again after %s, want %s", tc.reason, got, tc.want)
		}
	}
}

func TestQueueDelays(t *testing.T) {
	p := newPace(true)
	q := p.newQueue("q", workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer q.ShutDown()
	item := reconcile.Request{NamespacedName: types.NamespacedName{Name: "a"}}
	q.Add(item)
	begin := time.Now()
	got, _ := q.Get()
	q.Add(item) // while it is processed, twice: it comes again, once
	q.Add(item)
	q.Done(got)
	got, _ = q.Get()
	q.Done(got)
	if d := time.Since(begin); d < shortestInterval/2 || got != item {
		t.Errorf("the second time came after %s", d)
	}
	if q.Len() != 0 {
		t.Errorf("%d items are left", q.Len())
	}
}
