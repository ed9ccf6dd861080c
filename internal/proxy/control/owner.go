package control

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// oldAfter is how long a slice of a host with the old proxy, which writes it every ten seconds, may stay as it is
// before it counts as left behind.
const oldAfter = 5 * time.Minute

// ownerWorkers is how many clusters the owner works on at once.
const ownerWorkers = 16

// owner does what one host does for the fleet. It lives for one term.
type owner struct {
	client   client.WithWatch
	clusters *feed[Cluster] // by stack
	always   bool
	port     uint16
	steady   func() (time.Time, bool)
	now      func() time.Time
	log      *slog.Logger
	secrets  *kubeconfigs

	services *feed[heldService]
	slices   *feed[heldSlice]
	leases   *sightings
	queue    workqueue.TypedRateLimitingInterface[string] // stacks

	mu   sync.Mutex
	seen map[string]sighting // slices of old hosts, and leases that are not there, by name
}

// heldService and heldSlice are what is kept of the fleet's objects: there may be thousands.
type heldService struct {
	uid    types.UID
	serves bool
}

type heldSlice struct {
	name, version string
	cluster, host string
	ours          bool // not an old host's
}

func holdService(o runtime.Object) (string, heldService, error) {
	name, s, err := object[*corev1.Service](o)
	if err != nil {
		return "", heldService{}, err
	}
	return name, heldService{s.UID, serves(s)}, nil
}

func holdSlice(o runtime.Object) (string, heldSlice, error) {
	name, s, err := object[*discoveryv1.EndpointSlice](o)
	if err != nil {
		return "", heldSlice{}, err
	}
	return name, heldSlice{name, s.ResourceVersion, s.Labels[LabelCluster], s.Labels[LabelNode], s.Labels[LabelManaged] == ManagedBy}, nil
}

// prepare makes what others may touch before run does.
func (o *owner) prepare() {
	o.queue = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](50*time.Millisecond, 30*time.Second))
	o.seen = map[string]sighting{}
	o.services = newFeed(holdService, func(name string) { o.queue.Add(name) })
	o.slices = newFeed(holdSlice, func(name string) {
		if s, ok := o.slices.get(name); ok {
			o.queue.Add(s.cluster)
		}
	})
	o.leases = newSightings(o.now)
}

// run works until ctx ends.
func (o *owner) run(ctx context.Context) {
	ours := client.MatchingLabels{LabelService: "true"}
	var all sync.WaitGroup
	all.Go(func() {
		o.services.run(ctx, "services", selected{o.client, func() client.ObjectList { return &corev1.ServiceList{} }, []client.ListOption{client.InNamespace(Namespace), ours}}, &corev1.Service{})
	})
	all.Go(func() {
		o.slices.run(ctx, "slices", selected{o.client, func() client.ObjectList { return &discoveryv1.EndpointSliceList{} }, []client.ListOption{client.InNamespace(Namespace), ours}}, &discoveryv1.EndpointSlice{})
	})
	all.Go(func() {
		o.leases.feed.run(ctx, "leases", selected{o.client, func() client.ObjectList { return &coordinationv1.LeaseList{} }, []client.ListOption{client.InNamespace(FleetNamespace), client.MatchingLabels{labelLease: leaseHost}}}, &coordinationv1.Lease{})
	})
	if o.services.wait(ctx) == nil && o.slices.wait(ctx) == nil && o.leases.feed.wait(ctx) == nil {
		for _, stack := range o.clusters.keys() {
			o.queue.Add(stack)
		}
		for range ownerWorkers {
			all.Go(func() {
				for o.next(ctx) {
				}
			})
		}
		o.sweep(ctx)
	}
	<-ctx.Done()
	o.queue.ShutDown()
	o.secrets.close()
	all.Wait()
}

func (o *owner) next(ctx context.Context) bool {
	stack, end := o.queue.Get()
	if end {
		return false
	}
	defer o.queue.Done(stack)
	err := error(nil)
	if ctx.Err() == nil && stack != "" {
		err = o.sync(ctx, stack)
	}
	switch {
	case err == nil:
		o.queue.Forget(stack)
	case ctx.Err() == nil:
		if o.queue.NumRequeues(stack) > 2 && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			o.log.WarnContext(ctx, "a cluster's Service is not as it should be", "cluster", stack, "error", err)
		}
		o.queue.AddRateLimited(stack)
	}
	return true
}

// sync brings a cluster's Service to what it should be and decides whether its kubeconfig is kept.
func (o *owner) sync(ctx context.Context, stack string) error {
	c, exists := o.clusters.get(stack)
	have, there := o.services.get(stack)
	switch {
	case !exists:
		o.secrets.drop(stack)
		if !there {
			return nil
		}
		o.log.InfoContext(ctx, "the cluster is gone, its Service goes too", "cluster", stack)
		return client.IgnoreNotFound(o.client.Delete(ctx, service(stack, 0), client.Preconditions{UID: &have.uid}))
	case !c.Private && !o.always || c.Why != "":
		return nil // not ours, or not ready for it
	}
	err := o.service(ctx, stack, have, there)
	// A cluster with a floating IP is reached without us; its kubeconfig is changed only when we can reach it better.
	if c.Private || o.served(stack) {
		o.secrets.keep(ctx, stack)
	}
	return err
}

func (o *owner) service(ctx context.Context, stack string, have heldService, there bool) error {
	want := service(stack, int32(o.port))
	switch {
	case !there:
		o.log.InfoContext(ctx, "Service made", "cluster", stack)
		err := o.client.Create(ctx, want)
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
		foreign := &corev1.Service{}
		if err := o.client.Get(ctx, client.ObjectKeyFromObject(want), foreign); err != nil {
			return err
		}
		if foreign.Labels[LabelService] == "true" {
			return nil // the watch is about to bring it
		}
		return errors.New("there is a Service of that name that is not the proxy's; delete or rename it")
	case have.serves:
		return nil
	}
	next := &corev1.Service{}
	if err := o.client.Get(ctx, client.ObjectKeyFromObject(want), next); err != nil {
		return err
	}
	next.Labels, next.Spec.Ports, next.Spec.Selector = want.Labels, want.Spec.Ports, nil
	return o.client.Update(ctx, next)
}

func (o *owner) served(stack string) bool {
	for _, s := range o.slices.all() {
		if s.cluster == stack {
			return true
		}
	}
	return false
}

// sweepEvery is how often the owner looks, in memory, for what dead hosts left.
const sweepEvery = 2 * time.Second

func (o *owner) sweep(ctx context.Context) {
	began := o.now()
	for pause(ctx, sweepEvery) == nil {
		// Time in which we saw nothing ourselves does not count against others.
		steady, ok := o.steady()
		if !ok {
			continue
		}
		if steady.Before(began) {
			steady = began
		}
		dead, old := o.left(steady)
		for host := range dead {
			if err := o.bury(ctx, host, dead[host]); err != nil && ctx.Err() == nil {
				o.log.WarnContext(ctx, "the slices of a dead host were not withdrawn", "host", host, "error", err)
			}
		}
		for _, s := range old {
			o.log.WarnContext(ctx, "an orphaned EndpointSlice of the old proxy is removed", "name", s.name)
			gone := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: s.name}}
			if err := o.client.Delete(ctx, gone, client.Preconditions{ResourceVersion: &s.version}); err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
				o.log.WarnContext(ctx, "it did not go", "name", s.name, "error", err)
			}
		}
	}
}

// left finds hosts of ours that are dead, with the last state of their lease, and slices of old hosts that nobody
// refreshes.
func (o *owner) left(steady time.Time) (dead map[string]string, old []heldSlice) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now, present := o.now(), map[string]bool{}
	expired := func(s sighting, after time.Duration) bool {
		at := s.at
		if at.Before(steady) {
			at = steady
		}
		return now.Sub(at) > after
	}
	dead = map[string]string{}
	for name, s := range o.slices.all() {
		key := "slice " + name
		if !s.ours {
			present[key] = true
			if o.seen[key].version != s.version {
				o.seen[key] = sighting{version: s.version, at: now}
			} else if expired(o.seen[key], oldAfter) {
				old = append(old, s)
			}
			continue
		}
		lease, ok := o.leases.get(hostLease(s.host))
		if !ok {
			key = "host " + s.host
			present[key] = true
			if _, known := o.seen[key]; !known {
				o.seen[key] = sighting{at: now}
			}
			lease = o.seen[key]
		}
		if expired(lease, deadAfter) {
			dead[s.host] = lease.version
		}
	}
	for key := range o.seen {
		if !present[key] {
			delete(o.seen, key)
		}
	}
	return dead, old
}

// bury withdraws a host's slices, if its lease really is what it was when it was last seen to change.
func (o *owner) bury(ctx context.Context, host, version string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	l := &coordinationv1.Lease{}
	err := o.client.Get(ctx, client.ObjectKey{Namespace: FleetNamespace, Name: hostLease(host)}, l)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	if err == nil && l.ResourceVersion != version {
		return nil // it lives
	}
	o.log.WarnContext(ctx, "a host's lease has run out; its slices are withdrawn", "host", host)
	labels := client.MatchingLabels{LabelNode: host, LabelManaged: ManagedBy}
	if err := o.client.DeleteAllOf(ctx, &discoveryv1.EndpointSlice{}, client.InNamespace(Namespace), labels); err != nil {
		return err
	}
	if version == "" {
		return nil
	}
	return client.IgnoreNotFound(o.client.Delete(ctx, l, client.Preconditions{ResourceVersion: &version}))
}
