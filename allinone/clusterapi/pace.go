package clusterapi

import (
	"reflect"
	"runtime"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	capicontrollerutil "sigs.k8s.io/cluster-api/util/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Cluster API reconciles an object at most once a second, which spares a busy management cluster thousands of
// reconciles that find half a change. But a cluster is some twenty reconciles after one another, so alone on an idle
// machine it takes twenty seconds. Here the interval follows the load: pace shares a number of reconciles per second
// among the objects that are being reconciled now. One cluster is ready in a few seconds, and fifty at once do not
// drown each other.
const (
	shortestInterval = 50 * time.Millisecond
	longestInterval  = time.Second
	perProcessor     = 100 // reconciles per second
)

// Where no event tells that something has come about, Cluster API looks again after 5 to 30 seconds: nodes drained,
// machines gone, a control plane fit for its next step. Real machines take minutes over that, and simulated ones a
// moment, so that a rolling upgrade of two machines was a minute and a half of waiting. Its longer intervals are for
// what is at rest, and stay.
const (
	realPatience      = 30 * time.Second
	simulatedPatience = 500 * time.Millisecond
)

// pace decides when an object may be reconciled again.
type pace struct {
	budget    int  // reconciles per second
	simulated bool // machines are
	now       func() time.Time

	mu      sync.Mutex
	started map[paceKey]time.Time // when each object was last handed out
	swept   time.Time
}

type paceKey struct {
	queue string
	item  reconcile.Request
}

func newPace(simulated bool) *pace {
	return &pace{budget: perProcessor * runtime.GOMAXPROCS(0), simulated: simulated, now: time.Now, started: map[paceKey]time.Time{}}
}

// again is when an object is looked at that asks for it after some time.
func (p *pace) again(after time.Duration) time.Duration {
	if p.simulated && after <= realPatience {
		return min(after, simulatedPatience)
	}
	return after
}

// start notes that an object is handed out.
func (p *pace) start(k paceKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.started[k] = now
	if now.Sub(p.swept) < longestInterval/4 {
		return
	}
	p.swept = now
	for k, t := range p.started {
		if now.Sub(t) > longestInterval {
			delete(p.started, k)
		}
	}
}

// wait is how long an object must rest that was handed out before.
func (p *pace) wait(k paceKey) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, ok := p.started[k]
	if !ok {
		return 0
	}
	interval := time.Duration(len(p.started)) * time.Second / time.Duration(p.budget)
	interval = min(max(interval, shortestInterval), longestInterval)
	return max(0, last.Add(interval).Sub(p.now()))
}

// queue is controller-runtime's priority queue, paced. Everything that is added early comes late enough; what is added
// twice in that time comes once.
type queue struct {
	priorityqueue.PriorityQueue[reconcile.Request]
	name string
	pace *pace
}

func (p *pace) newQueue(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
	inner := priorityqueue.New(name, func(o *priorityqueue.Opts[reconcile.Request]) { o.RateLimiter = limiter })
	return &queue{inner, name, p}
}

// AddWithOpts adds items with a priority.
func (q *queue) AddWithOpts(o priorityqueue.AddOpts, items ...reconcile.Request) {
	for _, item := range items {
		o := o
		if !o.RateLimited { // those wait longer anyway
			o.After = max(q.pace.again(o.After), q.pace.wait(paceKey{q.name, item}))
		}
		q.PriorityQueue.AddWithOpts(o, item)
	}
}

// Add adds an item.
func (q *queue) Add(item reconcile.Request) { q.AddWithOpts(priorityqueue.AddOpts{}, item) }

// AddAfter adds an item later.
func (q *queue) AddAfter(item reconcile.Request, after time.Duration) {
	if after > 0 {
		q.AddWithOpts(priorityqueue.AddOpts{After: after}, item)
	}
}

// GetWithPriority hands an item out.
func (q *queue) GetWithPriority() (item reconcile.Request, priority int, shutdown bool) {
	item, priority, shutdown = q.PriorityQueue.GetWithPriority()
	if !shutdown {
		q.pace.start(paceKey{q.name, item})
	}
	return item, priority, shutdown
}

// Get hands an item out.
func (q *queue) Get() (item reconcile.Request, shutdown bool) {
	item, _, shutdown = q.GetWithPriority()
	return item, shutdown
}

// unlimit replaces Cluster API's second between reconciles of a controller by the shortest interval, and says whether
// it found it. The second is a constant behind unexported fields, and the feature gate that turns it off turns off the
// protection against stale caches too. If a new version of Cluster API has other fields, clusters just come up slower;
// a test tells.
func unlimit(r manager.Runnable) bool {
	do := field(reflect.ValueOf(r), "Do")
	if !do.IsValid() || do.Kind() != reflect.Interface {
		return false
	}
	found := 0
	for _, v := range []reflect.Value{do.Elem(), field(do.Elem(), "queueRateLimiter")} {
		if f := field(v, "rateLimitInterval"); f.IsValid() && f.Type() == reflect.TypeFor[time.Duration]() {
			*(*time.Duration)(f.Addr().UnsafePointer()) = shortestInterval
			found++
		}
	}
	return found == 2
}

// hurried is a controller's way to put off the next reconcile of an object: nodes are drained, members of etcd leave.
type hurried struct {
	capicontrollerutil.Controller
	pace *pace
}

// DeferNextReconcile puts off a reconcile.
func (h hurried) DeferNextReconcile(req reconcile.Request, until time.Time) {
	now := h.pace.now()
	h.Controller.DeferNextReconcile(req, now.Add(h.pace.again(until.Sub(now))))
}

// DeferNextReconcileForObject puts off a reconcile.
func (h hurried) DeferNextReconcileForObject(o metav1.Object, until time.Time) {
	h.DeferNextReconcile(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}}, until)
}

// hurry gives a reconciler of Cluster API, which has been set up, a hurried controller, and says whether it found
// where. As in unlimit, the field is not exported, and another layout makes upgrades slower; a test tells.
func (p *pace) hurry(reconciler any) bool {
	f := field(reflect.ValueOf(reconciler), "controller")
	if !f.IsValid() || f.Type() != reflect.TypeFor[capicontrollerutil.Controller]() {
		return false
	}
	at := (*capicontrollerutil.Controller)(f.Addr().UnsafePointer())
	*at = hurried{*at, p}
	return true
}

// field is a field of the struct that v points to, or the zero Value.
func field(v reflect.Value, name string) reflect.Value {
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.Elem().FieldByName(name)
}
