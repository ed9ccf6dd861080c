package workload

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
)

// Seen is what a watch tells of an object: enough to know whether it is still the one that was applied.
type Seen struct {
	Kind            schema.GroupVersionKind
	Namespace, Name string
	Generation      int64 // 0 for kinds that have none
	ResourceVersion string
	Gone            bool
}

// Watcher is told what a watch sees.
type Watcher interface {
	// All is told of all objects there are, when the watch begins and whenever it had to begin again.
	All(kind schema.GroupVersionKind, objects []Seen)
	// Changed is told of one object that has changed.
	Changed(object Seen)
	// Lost is told that the cluster does not answer.
	Lost(kind schema.GroupVersionKind, err error)
}

// Watch tells of every object of a kind that has the label, and of each change, until ctx ends. It keeps nothing in
// memory. A cluster that does not answer is asked again after a while that grows up to two minutes.
func (c *Cluster) Watch(ctx context.Context, kind schema.GroupVersionKind, label string, w Watcher) {
	pause := wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.5, Steps: 8, Cap: 2 * time.Minute}
	for next := pause; ctx.Err() == nil; {
		began := time.Now()
		err := c.follow(ctx, kind, label, w)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			next = pause // it worked for a while
		}
		if err != nil {
			w.Lost(kind, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(next.Step()):
		}
	}
}

// follow lists and then watches, until the watch ends: with nil when the API server ended it in order.
func (c *Cluster) follow(ctx context.Context, kind schema.GroupVersionKind, label string, told Watcher) error {
	m, err := c.mapping(kind)
	if err != nil {
		return err
	}
	query := url.Values{"labelSelector": {label}}
	version, err := c.tellAll(ctx, m.Resource, query, kind, told)
	if err != nil {
		return fmt.Errorf("list %s: %w", m.Resource.Resource, err)
	}
	query.Set("watch", "true")
	query.Set("allowWatchBookmarks", "true")
	query.Set("resourceVersion", version)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begun := time.AfterFunc(RequestTimeout, cancel) // a watch has no end, but it begins at once
	body, err := c.stream(ctx, m.Resource, query)
	begun.Stop()
	if err != nil || body == nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if err := readEvents(body, kind, told); err != nil {
		return fmt.Errorf("watch %s: %w", m.Resource.Resource, err)
	}
	return nil
}

// tellAll lists, and returns the version from which on there is something to watch.
func (c *Cluster) tellAll(ctx context.Context, r schema.GroupVersionResource, query url.Values, kind schema.GroupVersionKind, told Watcher) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	body, err := c.stream(ctx, r, query)
	if err != nil {
		return "", err
	}
	if body == nil {
		return "", errNoList
	}
	defer func() { _ = body.Close() }()
	version, all, err := readList(body, kind)
	if err != nil {
		return "", err
	}
	told.All(kind, all)
	return version, nil
}
