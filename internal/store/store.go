package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// visibleWithin bounds how long a write waits until this process's view shows it. The write itself has succeeded by
// then: when time runs out the answer is still right, only a following read may be a moment old.
const visibleWithin = 5 * time.Second

// Store reads from a View and writes to the management cluster's API server.
type Store struct {
	client client.Client // writes, and reads that must not be cached
	view   *View
	now    func() time.Time
	rand   *rand.Rand

	mu       sync.Mutex // guards rand and creating
	creating map[string]*sync.Mutex
}

// New joins a view with a client. The client must read from the API server, not from a cache.
func New(c client.Client, v *View, now func() time.Time, r *rand.Rand) *Store {
	return &Store{client: c, view: v, now: now, rand: r, creating: map[string]*sync.Mutex{}}
}

// projectLock makes the creations of one project wait for each other, so that two at once cannot both be the last one
// the quota allows. Between processes a quota may be overrun by as many clusters as there are processes.
func (s *Store) projectLock(project string) *sync.Mutex {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.creating[project]
	if l == nil {
		l = &sync.Mutex{}
		s.creating[project] = l
	}
	return l
}

func (s *Store) newUUID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make a UUID: %w", err)
	}
	return id.String(), nil
}

func key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: v1alpha1.Namespace, Name: name}
}

// create stores o and waits until the view shows it.
func (s *Store) create(ctx context.Context, k kind, o client.Object) error {
	annotate(ctx, o, "", "")
	if err := s.client.Create(ctx, o, kube.FieldOwner); err != nil {
		return refusal(err, "store")
	}
	s.settle(ctx, k, o)
	return nil
}

// settle waits until the view has come as far as the version of o. Running out of time is no error: see visibleWithin.
func (s *Store) settle(ctx context.Context, k kind, o client.Object) {
	ctx, cancel := context.WithTimeout(ctx, visibleWithin)
	defer cancel()
	_ = s.view.waitVersion(ctx, k, o.GetResourceVersion())
}

// update reads o afresh, lets change work on it and writes it back, again when somebody else was faster.
func (s *Store) update(ctx context.Context, k kind, o client.Object, name string, change func() error) error {
	err := retry.RetryOnConflict(untilSettled(), func() error {
		if err := s.client.Get(ctx, key(name), o); err != nil {
			return err
		}
		if err := change(); err != nil {
			return err
		}
		annotate(ctx, o, v1alpha1.AnnotationUpdatedAt, s.now().UTC().Format(time.RFC3339))
		return s.client.Update(ctx, o, kube.FieldOwner)
	})
	if err != nil {
		return refusal(err, "change")
	}
	s.settle(ctx, k, o)
	return nil
}

// untilSettled is how often a change is tried again that somebody else was faster than: a dozen writers of one record
// at once are many, and none of them needs to hear of the others.
func untilSettled() wait.Backoff {
	return wait.Backoff{Steps: 30, Duration: 5 * time.Millisecond, Factor: 1.2, Jitter: 1, Cap: 200 * time.Millisecond}
}

// remove asks for the end of o and waits until the view knows: either it is gone or its deletion timestamp shows.
func (s *Store) remove(ctx context.Context, o client.Object, gone func() bool) error {
	err := s.client.Delete(ctx, o, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if err != nil && !apierrors.IsNotFound(err) {
		return refusal(err, "delete")
	}
	ctx, cancel := context.WithTimeout(ctx, visibleWithin)
	defer cancel()
	_ = s.view.wait(ctx, gone) // see visibleWithin
	return nil
}

// refusal turns what the API server says into what a client is told, where there is something to tell.
func refusal(err error, doing string) error {
	var told *magnum.Error
	switch {
	case errors.As(err, &told):
		return err
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return magnum.Invalid("The management cluster refuses this: %s", kube.Refusal(err))
	case apierrors.IsConflict(err):
		return magnum.Conflict("The record was changed by another request at the same time; try again.")
	case apierrors.IsRequestEntityTooLargeError(err):
		return magnum.Invalid("The record would be too large to store; use fewer or shorter labels.")
	case apierrors.IsServerTimeout(err), apierrors.IsTimeout(err), apierrors.IsTooManyRequests(err),
		apierrors.IsServiceUnavailable(err), apierrors.IsInternalError(err):
		return fmt.Errorf("%s record: %w: %w", doing, err, magnum.Unavailable("The management cluster does not answer; try again later."))
	case apierrors.ReasonForError(err) == metav1.StatusReasonUnknown:
		// No API status at all: the connection failed.
		return fmt.Errorf("%s record: %w: %w", doing, err, magnum.Unavailable("The management cluster cannot be reached; try again later."))
	}
	return fmt.Errorf("%s record: %w", doing, err)
}

// annotate sets an annotation (none for "") and notes which API request is behind the write.
func annotate(ctx context.Context, o client.Object, name, value string) {
	a := o.GetAnnotations()
	if a == nil {
		a = map[string]string{}
	}
	if name != "" {
		a[name] = value
	}
	if id := magnum.RequestID(ctx); id != "" {
		a[v1alpha1.AnnotationRequestID] = id
	}
	o.SetAnnotations(a)
}
