package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// object is a feed's conversion for objects kept as they are, but for what servers note about writers.
func object[T client.Object](o runtime.Object) (string, T, error) {
	t, ok := o.(T)
	if !ok {
		return "", t, fmt.Errorf("a watch brought a %T", o)
	}
	t.SetManagedFields(nil)
	return t.GetName(), t, nil
}

// Wish is what this host wants to be published about a cluster.
type Wish int

// A cluster that is not known well enough keeps the slice it has: after a restart nothing is withdrawn before it was
// asked.
const (
	Withdraw Wish = iota
	Leave
	Publish
)

// publishing is what a publisher is made from.
type publishing struct {
	client     client.Client
	host       string
	advertised Advertised
	timestamps bool // refresh them, for hosts with the old proxy
	now        func() time.Time
	log        *slog.Logger
}

// publisher keeps this host's slices.
type publisher struct {
	publishing

	slices *feed[*discoveryv1.EndpointSlice]
	queue  workqueue.TypedRateLimitingInterface[string] // names of slices

	mu     sync.Mutex
	wishes map[string]Wish // by stack; a stack without one is withdrawn
	first  bool            // wishes were set at least once
	errs   map[string]error
	made   map[string]bool // slices that were made by us and not withdrawn by us
}

func newPublisher(o publishing) *publisher {
	p := &publisher{publishing: o, wishes: map[string]Wish{}, errs: map[string]error{}, made: map[string]bool{}}
	p.queue = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](50*time.Millisecond, 30*time.Second))
	p.slices = newFeed(object[*discoveryv1.EndpointSlice], func(name string) { p.queue.Add(name) })
	return p
}

func (p *publisher) name(stack string) string { return stack + "-" + p.host }

// set replaces all wishes; only what changed is worked on.
func (p *publisher) set(wishes map[string]Wish) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for stack, w := range wishes {
		if old, ok := p.wishes[stack]; !ok || old != w || !p.first {
			p.queue.Add(p.name(stack))
		}
	}
	for stack := range p.wishes {
		if _, ok := wishes[stack]; !ok {
			p.queue.Add(p.name(stack))
		}
	}
	if !p.first {
		for _, name := range p.slices.keys() {
			p.queue.Add(name)
		}
	}
	p.wishes, p.first = wishes, true
}

// published says whether the slice of a cluster is in the management cluster, and the last error about it.
func (p *publisher) published(stack string) (bool, error) {
	_, ok := p.slices.get(p.name(stack))
	p.mu.Lock()
	defer p.mu.Unlock()
	return ok, p.errs[stack]
}

// run works until ctx ends.
func (p *publisher) run(ctx context.Context, workers int) {
	if p.slices.wait(ctx) != nil {
		return
	}
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for p.next(ctx) {
			}
		})
	}
	if p.timestamps {
		all.Go(func() { p.refresh(ctx) })
	}
	<-ctx.Done()
	p.queue.ShutDown()
	all.Wait()
}

func (p *publisher) next(ctx context.Context) bool {
	name, end := p.queue.Get()
	if end {
		return false
	}
	defer p.queue.Done(name)
	if ctx.Err() != nil {
		return true
	}
	stack, err := p.sync(ctx, name)
	p.mu.Lock()
	if err != nil && stack != "" {
		p.errs[stack] = err
	} else {
		delete(p.errs, stack)
	}
	p.mu.Unlock()
	switch {
	case err == nil:
		p.queue.Forget(name)
	case ctx.Err() == nil:
		if p.queue.NumRequeues(name) > 2 && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			p.log.WarnContext(ctx, "an EndpointSlice is not as it should be", "name", name, "error", err)
		}
		p.queue.AddRateLimited(name)
	}
	return true
}

// sync brings one slice to what is wished.
func (p *publisher) sync(ctx context.Context, name string) (stack string, err error) {
	have, there := p.slices.get(name)
	if there {
		stack = have.Labels[LabelCluster]
	} else if n := len(name) - len(p.host) - 1; n > 0 {
		stack = name[:n]
	}
	p.mu.Lock()
	wish, first := p.wishes[stack], p.first
	p.mu.Unlock()
	if !first || wish == Leave {
		return stack, nil
	}
	if wish == Withdraw || p.name(stack) != name {
		if !there {
			return stack, nil
		}
		p.log.InfoContext(ctx, "withdrawn", "cluster", stack)
		p.mark(stack, false)
		return stack, client.IgnoreNotFound(p.client.Delete(ctx, have, client.Preconditions{UID: &have.UID}))
	}
	want := slice(stack, p.host, p.advertised, p.now())
	if !there {
		if err := p.client.Create(ctx, want); err != nil {
			return stack, err
		}
		if p.mark(stack, true) {
			p.log.WarnContext(ctx, "this host's EndpointSlice was deleted and is created again. If hosts with the old proxy are left, "+
				"--old-hosts keeps them from it", "cluster", stack)
		} else {
			p.log.InfoContext(ctx, "published", "cluster", stack, "address", p.advertised.Address.String(), "port", p.advertised.Port)
		}
		return stack, nil
	}
	if same(have, want) {
		return stack, nil
	}
	if have.AddressType != want.AddressType { // cannot be changed
		return stack, errors.Join(client.IgnoreNotFound(p.client.Delete(ctx, have)), errors.New("made again with another address type"))
	}
	want.ResourceVersion = have.ResourceVersion
	return stack, p.client.Update(ctx, want)
}

// mark remembers that a slice was made, or withdrawn, by us, and says what was so before.
func (p *publisher) mark(stack string, made bool) (was bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was = p.made[stack]
	if made {
		p.made[stack] = true
	} else {
		delete(p.made, stack)
	}
	return was
}

// refreshEvery is the old proxy's period. It deletes slices that are older than thirty seconds by its own clock.
const refreshEvery = 10 * time.Second

// refresh keeps timestamps young.
func (p *publisher) refresh(ctx context.Context) {
	for pause(ctx, refreshEvery) == nil {
		for _, s := range p.slices.all() {
			if s.Labels[LabelManaged] != ManagedBy {
				continue
			}
			next := s.DeepCopy()
			next.Annotations = map[string]string{AnnotationTimestamp: timestamp(p.now())}
			if err := p.client.Patch(ctx, next, client.MergeFrom(s)); err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
				p.log.WarnContext(ctx, "a timestamp was not refreshed", "name", s.Name, "error", err)
			}
		}
	}
}

// withdrawAll deletes every slice of this host, in one request.
func (p *publisher) withdrawAll(ctx context.Context) error {
	return p.client.DeleteAllOf(ctx, &discoveryv1.EndpointSlice{}, client.InNamespace(Namespace), client.MatchingLabels{LabelNode: p.host})
}
