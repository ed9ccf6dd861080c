package control

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

func fleetClient(t *testing.T) client.WithWatch {
	t.Helper()
	c, err := connect(management.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := kube.EnsureNamespace(t.Context(), management.Client, FleetNamespace); err != nil {
		t.Fatal(err)
	}
	return c.client
}

func newBeat(c client.Client, id Identity) *beat {
	return &beat{client: c, id: id, every: time.Second, dead: 8 * time.Second, now: time.Now, log: slog.New(slog.DiscardHandler)}
}

// TestBeat is the life of a host's lease, against a real API server.
func TestBeat(t *testing.T) {
	c := fleetClient(t)
	first := newBeat(c, Identity{"net1", "machine", "1"})
	if err := first.claim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := first.steadySince(); !ok {
		t.Error("not steady")
	}
	ended := make(chan error, 1)
	go func() { ended <- first.keep(t.Context()) }()

	t.Run("another machine is refused while the first lives", func(t *testing.T) {
		if err := newBeat(c, Identity{"net1", "other", "1"}).claim(t.Context()); !errors.Is(err, ErrHostTaken) {
			t.Errorf("%v, want %v", err, ErrHostTaken)
		}
	})
	t.Run("a newer process of the same machine takes over", func(t *testing.T) {
		second := newBeat(c, Identity{"net1", "machine", "2"})
		if err := second.claim(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, errSuperseded) {
			t.Errorf("the first goes on: %v", err)
		}
		if !first.superseded(t.Context()) || second.superseded(t.Context()) {
			t.Error("who has it is not seen")
		}
		err := second.renew(t.Context())
		for range 20 { // half a second may be too little on a busy machine
			if err == nil || errors.Is(err, errSuperseded) {
				break
			}
			err = second.renew(t.Context())
		}
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("a dead machine is replaced", func(t *testing.T) {
		third := newBeat(c, Identity{"net1", "other", "1"})
		if err := third.claim(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := third.release(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestElection: one owner at a time; an orderly end passes ownership on at once, a lease that is not renewed runs out.
func TestElection(t *testing.T) {
	c := fleetClient(t)
	var mu sync.Mutex
	leading, most := 0, 0
	add := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		leading += n
		most = max(most, leading)
	}
	start := func(name string) (*election, context.CancelFunc, chan struct{}) {
		ctx, cancel := context.WithCancel(t.Context())
		e := &election{client: c, id: Identity{name, name, "1"}, leases: newSightings(time.Now), now: time.Now, log: slog.New(slog.DiscardHandler)}
		e.lead = func(ctx context.Context) { add(1); <-ctx.Done(); add(-1) }
		done := make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			where := []client.ListOption{client.InNamespace(FleetNamespace), client.MatchingFields{"metadata.name": ownerName}}
			e.leases.feed.run(ctx, "owner", selected{c, func() client.ObjectList { return &coordinationv1.LeaseList{} }, where}, &coordinationv1.Lease{})
		})
		all.Go(func() { e.run(ctx) })
		go func() { all.Wait(); close(done) }()
		return e, cancel, done
	}
	wait := func(e *election) {
		t.Helper()
		for range 3000 {
			if e.owns() {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatal("nobody owns the fleet")
	}
	a, endA, doneA := start("a")
	wait(a)
	b, endB, doneB := start("b")
	time.Sleep(300 * time.Millisecond)
	if b.owns() {
		t.Error("two owners")
	}
	endA()
	<-doneA
	begin := time.Now()
	wait(b)
	t.Logf("the next one owns it %s after", time.Since(begin))
	endB()
	<-doneB
	if most != 1 {
		t.Errorf("%d owners at once", most)
	}
}
