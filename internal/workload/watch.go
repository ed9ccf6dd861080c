package workload

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
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

// Watch tells of every object of a kind that has the label, and of each change, until ctx ends. It keeps nothing in memory. A
// cluster that does not answer is asked again after a while that grows up to two minutes.
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
	r := c.metadata.Resource(m.Resource)
	version, err := tellAll(ctx, r, kind, label, told)
	if err != nil {
		return err
	}
	w, err := r.Watch(ctx, metav1.ListOptions{LabelSelector: label, ResourceVersion: version, AllowWatchBookmarks: true})
	if err != nil {
		return err
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		o, ok := event.Object.(*metav1.PartialObjectMetadata)
		switch {
		case event.Type == watch.Bookmark:
		case !ok: // an error: 410 when the version is too old to go on from
			return nil
		default:
			told.Changed(seen(kind, o, event.Type == watch.Deleted))
		}
	}
	return nil
}

func tellAll(ctx context.Context, r metadata.Getter, kind schema.GroupVersionKind, label string, told Watcher) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	list, err := r.List(ctx, metav1.ListOptions{LabelSelector: label})
	if err != nil {
		return "", err
	}
	all := make([]Seen, len(list.Items))
	for i := range list.Items {
		all[i] = seen(kind, &list.Items[i], false)
	}
	told.All(kind, all)
	return list.ResourceVersion, nil
}

func seen(kind schema.GroupVersionKind, o *metav1.PartialObjectMetadata, gone bool) Seen {
	return Seen{
		Kind: kind, Namespace: o.Namespace, Name: o.Name, Generation: o.Generation, ResourceVersion: o.ResourceVersion, Gone: gone,
	}
}
