package control

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// election makes one host the fleet's owner. client-go's would ask the API server every two seconds on every host; this
// one watches the lease. The rule is the same: a lease that was not seen to change for as long as it lasts, by the
// observer's own clock, is free; whoever writes it first, on the state that all have seen, has it.
type election struct {
	client client.Client
	id     Identity
	leases *sightings // of the owner's lease
	now    func() time.Time
	log    *slog.Logger
	lead   func(ctx context.Context) // work of the owner; returns when ctx ends

	mu   sync.Mutex
	mine bool
}

// run stands for owner until ctx ends, and gives the lease back then.
func (e *election) run(ctx context.Context) {
	tick := time.NewTicker(time.Second) // looks at memory only
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.leases.changed:
		case <-tick.C:
		}
		if !e.free() {
			continue
		}
		if l, err := e.take(ctx); err == nil {
			e.term(ctx, l)
		} else if ctx.Err() == nil {
			e.log.DebugContext(ctx, "did not become the owner", "error", err)
			_ = pause(ctx, time.Second+rand.N(time.Second)) //nolint:gosec // spreading is no secret
		}
	}
}

// owns says whether this host is the owner.
func (e *election) owns() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mine
}

func (e *election) set(mine bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mine = mine
}

// free says whether the lease can be had.
func (e *election) free() bool {
	if !e.leases.synced() {
		return false
	}
	s, ok := e.leases.get(ownerName)
	return !ok || s.holder == "" || e.now().Sub(s.at) > ownerAfter
}

func (e *election) take(ctx context.Context) (*coordinationv1.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, ownerEvery)
	defer cancel()
	seen, known := e.leases.get(ownerName)
	have := &coordinationv1.Lease{}
	err := e.client.Get(ctx, client.ObjectKey{Namespace: FleetNamespace, Name: ownerName}, have)
	switch {
	case apierrors.IsNotFound(err):
		have = nil
	case err != nil:
		return nil, err
	case holder(have) != "" && (!known || seen.version != have.ResourceVersion):
		return nil, apierrors.NewConflict(coordinationv1.Resource("leases"), ownerName, errSuperseded) // it was renewed
	}
	return renewed(ctx, e.client, have, ownerName, leaseOwner, e.id.Host+"/"+e.id.holder(), ownerAfter, e.now())
}

// term is one time of being the owner.
func (e *election) term(ctx context.Context, l *coordinationv1.Lease) {
	e.log.InfoContext(ctx, "this host owns the fleet now: Services, kubeconfigs, and what dead hosts left")
	e.set(true)
	leading, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); e.lead(leading) }()
	defer func() {
		end()
		<-done
		e.set(false)
		if ctx.Err() != nil { // an orderly end: the next owner need not wait
			give, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			l.Spec.HolderIdentity = nil
			_ = e.client.Update(give, l) // else it runs out
		}
	}()
	for last := e.now(); ; {
		if pause(ctx, ownerEvery) != nil {
			return
		}
		renew, cancel := context.WithTimeout(ctx, ownerEvery)
		next, err := renewed(renew, e.client, l, ownerName, leaseOwner, e.id.Host+"/"+e.id.holder(), ownerAfter, e.now())
		cancel()
		switch {
		case err == nil:
			l, last = next, e.now()
		case apierrors.IsConflict(err), apierrors.IsNotFound(err), e.now().Sub(last)+ownerEvery > ownerGrace:
			e.log.WarnContext(ctx, "this host owns the fleet no longer", "error", err)
			return
		}
	}
}

// sighting is what was seen of an object, and when it was seen to change.
type sighting struct {
	version, holder string
	at              time.Time // by our own clock
}

// sightings follows leases. Seeing the same state again, as after a new list, is no change.
type sightings struct {
	feed    *feed[*coordinationv1.Lease]
	now     func() time.Time
	changed chan struct{}

	mu   sync.Mutex
	seen map[string]sighting
}

func newSightings(now func() time.Time) *sightings {
	s := &sightings{now: now, changed: make(chan struct{}, 1), seen: map[string]sighting{}}
	s.feed = newFeed(object[*coordinationv1.Lease], s.look)
	return s
}

func (s *sightings) look(name string) {
	l, ok := s.feed.get(name)
	s.mu.Lock()
	if !ok {
		delete(s.seen, name)
	} else if s.seen[name].version != l.ResourceVersion {
		s.seen[name] = sighting{l.ResourceVersion, holder(l), s.now()}
	}
	s.mu.Unlock()
	signal(s.changed)
}

func (s *sightings) get(name string) (sighting, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.seen[name]
	return v, ok
}

func (s *sightings) synced() bool {
	select {
	case <-s.feed.synced:
		return true
	default:
		return false
	}
}

// signal wakes whoever waits on c, once.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
