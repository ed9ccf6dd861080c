package addon

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

// renewWithin is how long one round waits for an object to be gone before it is made again; a later one goes on.
const renewWithin = 5 * time.Second

// bring applies an object, and does what has to be done so that it can be applied: what an older manager left in it is
// taken over, and what never changes is kept or made anew.
func bring(ctx context.Context, s *scope, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	out, err := s.session.cluster.Apply(ctx, u, string(kube.FieldOwner))
	if apierrors.IsInvalid(err) {
		out, u, err = renew(ctx, s, u, err)
	}
	if err != nil {
		return nil, err
	}
	from := catalogue.Adopted(out)
	if len(from) == 0 {
		return out, nil
	}
	if err := s.session.cluster.TakeOver(ctx, out, from, string(kube.FieldOwner)); err != nil {
		return nil, err
	}
	s.log.InfoContext(ctx, "took over an object of an addon", "kind", u.GetKind(), "name", u.GetName(), "managers", from)
	return s.session.cluster.Apply(ctx, u, string(kube.FieldOwner))
}

// renew is what comes after a refusal. It returns the object as it is and as it was applied.
func renew(ctx context.Context, s *scope, u *unstructured.Unstructured, refusal error) (out, applied *unstructured.Unstructured, err error) {
	live, err := s.session.cluster.Get(ctx, u.GroupVersionKind(), u.GetNamespace(), u.GetName())
	if err != nil {
		return nil, nil, err
	}
	if live == nil {
		return nil, nil, refusal // it is the object itself that is wrong
	}
	owner := string(kube.FieldOwner)
	if kept := catalogue.KeepSelector(u, live); kept != nil && live.GetDeletionTimestamp() == nil {
		if out, err = s.session.cluster.Apply(ctx, kept, owner); err == nil || !apierrors.IsInvalid(err) {
			return out, kept, err
		}
	}
	how := catalogue.RenewalOf(u.GetKind())
	if how == catalogue.Leave || s.session.cluster.Valid(ctx, u, owner) != nil {
		return nil, nil, refusal
	}
	// Pods that the new one would not find must not be left without an owner.
	orphan := how == catalogue.AnewBesidePods && catalogue.SameSelector(u, live)
	if live.GetDeletionTimestamp() == nil {
		s.log.InfoContext(ctx, "recreating an object of an addon, because an immutable field changes", "kind", u.GetKind(),
			"namespace", u.GetNamespace(), "name", u.GetName(), "refusal", oneLine(refusal.Error()))
		if err := s.session.cluster.DeleteThis(ctx, live, orphan); err != nil {
			return nil, nil, err
		}
	}
	for began := time.Now(); ; {
		now, err := s.session.cluster.Get(ctx, u.GroupVersionKind(), u.GetNamespace(), u.GetName())
		switch {
		case err != nil:
			return nil, nil, err
		case now == nil || now.GetUID() != live.GetUID():
			out, err = s.session.cluster.Apply(ctx, u, owner)
			return out, u, err
		case time.Since(began) > renewWithin:
			return nil, nil, fmt.Errorf("%s %s is being recreated, and the old one is not gone yet", u.GetKind(), u.GetName())
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
