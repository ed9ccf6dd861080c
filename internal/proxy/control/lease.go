package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Times of leases. A host renews its lease as often as a kubelet does, and is given up as late as a node is.
const (
	beatEvery  = 10 * time.Second
	deadAfter  = 40 * time.Second
	ownerEvery = 5 * time.Second
	ownerAfter = 15 * time.Second
	ownerGrace = 12 * time.Second // less than ownerAfter: an owner stops before another begins
)

const (
	labelLease = "proxy.jeroboam.cloud/lease" // host or owner
	leaseHost  = "host"
	leaseOwner = "owner"
	ownerName  = "owner" // the name of the owner's lease; hosts' have a prefix
)

func hostLease(host string) string { return "host." + host }

// ErrHostTaken says that another machine publishes under this host's name.
var ErrHostTaken = errors.New("another machine is a proxy under this host name")

// Identity is one process on one machine.
type Identity struct {
	Host     string // the name that slices and the lease have
	Machine  string // tells machines with the same name apart
	Instance string // tells processes of one machine apart
}

func (i Identity) holder() string { return i.Machine + "/" + i.Instance }

func (i Identity) sameMachine(holder string) bool {
	return len(holder) > len(i.Machine) && holder[:len(i.Machine)+1] == i.Machine+"/"
}

// beat is this host's lease. A newer process of the same machine takes it over; the older one then writes no more.
type beat struct {
	client client.Client
	id     Identity
	every  time.Duration
	dead   time.Duration
	now    func() time.Time
	log    *slog.Logger

	mu     sync.Mutex
	lease  *coordinationv1.Lease
	steady time.Time // since when every renewal has succeeded; zero while they fail
}

// claim makes the lease ours. Only a holder on another machine that is seen to be alive is respected.
func (b *beat) claim(ctx context.Context) error {
	begin, seen := b.now(), ""
	for {
		have := &coordinationv1.Lease{}
		err := b.client.Get(ctx, client.ObjectKey{Namespace: FleetNamespace, Name: hostLease(b.id.Host)}, have)
		switch {
		case apierrors.IsNotFound(err):
			err = b.write(ctx, nil)
		case err != nil:
		case holder(have) == "" || b.id.sameMachine(holder(have)) || seen == have.ResourceVersion && b.now().Sub(begin) > b.dead:
			err = b.write(ctx, have)
		case seen != "" && seen != have.ResourceVersion:
			return fmt.Errorf("%w (%s): choose another one for this machine with --host", ErrHostTaken, b.id.Host)
		default:
			seen = have.ResourceVersion
			err = errors.New("waiting to see whether the holder of this host's lease, another machine, is alive")
		}
		if err == nil {
			return nil
		}
		b.log.WarnContext(ctx, "this host has no lease yet and publishes nothing", "host", b.id.Host, "error", err)
		if err := pause(ctx, b.every/5); err != nil {
			return err
		}
	}
}

func holder(l *coordinationv1.Lease) string {
	if l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write creates the lease, or renews the one that was read: only if it still is what was read.
func (b *beat) write(ctx context.Context, have *coordinationv1.Lease) error {
	next, err := renewed(ctx, b.client, have, hostLease(b.id.Host), leaseHost, b.id.holder(), b.dead, b.now())
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.steady = time.Time{}
		return err
	}
	if b.steady.IsZero() {
		b.steady = b.now()
	}
	b.lease = next
	return nil
}

func renewed(ctx context.Context, c client.Client, have *coordinationv1.Lease, name, kind, holder string, lasts time.Duration, now time.Time) (*coordinationv1.Lease, error) {
	at, seconds := metav1.NewMicroTime(now), int32(lasts/time.Second)
	if have == nil {
		l := &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: FleetNamespace, Name: name, Labels: map[string]string{labelLease: kind}},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, AcquireTime: &at, RenewTime: &at},
		}
		return l, c.Create(ctx, l)
	}
	l := have.DeepCopy()
	l.Labels = map[string]string{labelLease: kind}
	if l.Spec.HolderIdentity == nil || *l.Spec.HolderIdentity != holder {
		l.Spec.AcquireTime = &at
	}
	l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &holder, &seconds, &at
	return l, c.Update(ctx, l)
}

// steadySince is when this host's connection to the management cluster began to be good.
func (b *beat) steadySince() (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.steady, !b.steady.IsZero()
}

// keep renews until ctx ends (nil) or a newer process has taken over (errSuperseded).
func (b *beat) keep(ctx context.Context) error {
	for pause(ctx, b.next()) == nil {
		err := b.renew(ctx)
		if errors.Is(err, errSuperseded) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			b.log.WarnContext(ctx, "this host's lease was not renewed", "error", err)
		}
	}
	return nil
}

// next is how long to wait for the next renewal: less after one that failed.
func (b *beat) next() time.Duration {
	if _, ok := b.steadySince(); !ok {
		return b.every / 10
	}
	return b.every
}

var errSuperseded = errors.New("a newer process has taken this host over")

func (b *beat) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.every/2)
	defer cancel()
	b.mu.Lock()
	have := b.lease
	b.mu.Unlock()
	err := b.write(ctx, have)
	if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return err
	}
	now := &coordinationv1.Lease{}
	if err := b.client.Get(ctx, client.ObjectKeyFromObject(have), now); apierrors.IsNotFound(err) {
		return b.write(ctx, nil) // an owner had given us up
	} else if err != nil {
		return err
	}
	if h := holder(now); h != b.id.holder() && h != "" {
		return fmt.Errorf("%w: %s", errSuperseded, h)
	}
	return b.write(ctx, now)
}

// superseded asks whether somebody else has the lease. When it cannot be known, the answer is no.
func (b *beat) superseded(ctx context.Context) bool {
	have := &coordinationv1.Lease{}
	err := b.client.Get(ctx, client.ObjectKey{Namespace: FleetNamespace, Name: hostLease(b.id.Host)}, have)
	return err == nil && holder(have) != b.id.holder()
}

// release deletes the lease of a host that ends.
func (b *beat) release(ctx context.Context) error {
	b.mu.Lock()
	l := b.lease
	b.mu.Unlock()
	if l == nil {
		return nil
	}
	return client.IgnoreNotFound(b.client.Delete(ctx, l, client.Preconditions{UID: &l.UID}))
}
