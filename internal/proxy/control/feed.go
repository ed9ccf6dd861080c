package control

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// feed keeps the newest state of some objects, reduced to what is needed of each: a reflector without an informer's
// second and third copy. It implements cache.ReflectorStore.
type feed[T any] struct {
	convert func(runtime.Object) (key string, value T, err error)
	changed func(key string)

	mu     sync.Mutex
	have   map[string]T
	synced chan struct{}
	once   sync.Once
}

func newFeed[T any](convert func(runtime.Object) (string, T, error), changed func(string)) *feed[T] {
	return &feed[T]{convert: convert, changed: changed, have: map[string]T{}, synced: make(chan struct{})}
}

// watchFor is how long a watch is asked to last. A watch that ends costs one request to begin again.
const watchFor = time.Hour

// run follows until ctx ends. After an outage it is back within seconds.
func (f *feed[T]) run(ctx context.Context, name string, lw cache.ListerWatcherWithContext, kind runtime.Object) {
	both := cache.ListerWatcher(bothWays{lw})
	if u, ok := lw.(interface{ IsWatchListSemanticsUnSupported() bool }); ok && u.IsWatchListSemanticsUnSupported() {
		both = listFirst{bothWays{lw}}
	}
	r := cache.NewReflectorWithOptions(both, kind, f, cache.ReflectorOptions{
		Name: name, MinWatchTimeout: watchFor,
		Backoff: &wait.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Jitter: .5, Steps: 5, Cap: 4 * time.Second},
	})
	r.RunWithContext(ctx)
}

func (f *feed[T]) wait(ctx context.Context) error {
	select {
	case <-f.synced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *feed[T]) get(key string) (T, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := f.have[key]
	return v, ok
}

func (f *feed[T]) all() map[string]T {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.have)
}

func (f *feed[T]) keys() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.have))
}

func (f *feed[T]) put(o any, keep bool) error {
	obj, ok := o.(runtime.Object)
	if gone, is := o.(cache.DeletedFinalStateUnknown); is {
		obj, ok = gone.Obj.(runtime.Object)
	}
	if !ok {
		return fmt.Errorf("a watch brought a %T", o)
	}
	key, v, err := f.convert(obj)
	if err != nil {
		return err
	}
	f.mu.Lock()
	if keep {
		f.have[key] = v
	} else {
		delete(f.have, key)
	}
	f.mu.Unlock()
	f.changed(key)
	return nil
}

// Add implements cache.ReflectorStore.
func (f *feed[T]) Add(o any) error { return f.put(o, true) }

// Update implements cache.ReflectorStore.
func (f *feed[T]) Update(o any) error { return f.put(o, true) }

// Delete implements cache.ReflectorStore.
func (f *feed[T]) Delete(o any) error { return f.put(o, false) }

// Resync implements cache.ReflectorStore.
func (f *feed[T]) Resync() error { return nil }

// Replace implements cache.ReflectorStore.
func (f *feed[T]) Replace(list []any, _ string) error {
	next := make(map[string]T, len(list))
	for _, o := range list {
		obj, ok := o.(runtime.Object)
		if !ok {
			return fmt.Errorf("a list brought a %T", o)
		}
		key, v, err := f.convert(obj)
		if err != nil {
			return err
		}
		next[key] = v
	}
	f.mu.Lock()
	old := f.have
	f.have = next
	f.mu.Unlock()
	f.once.Do(func() { close(f.synced) })
	for key := range old {
		if _, ok := next[key]; !ok {
			f.changed(key)
		}
	}
	for key := range next {
		f.changed(key)
	}
	return nil
}

// bothWays gives a ListerWatcherWithContext the methods without a context, which the reflector's signature still asks
// for.
type bothWays struct{ cache.ListerWatcherWithContext }

func (b bothWays) List(o metav1.ListOptions) (runtime.Object, error) {
	return b.ListWithContext(context.Background(), o)
}

func (b bothWays) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return b.WatchWithContext(context.Background(), o)
}

// listFirst tells the reflector not to stream its first list.
type listFirst struct{ bothWays }

// IsWatchListSemanticsUnSupported is asked by the reflector.
func (listFirst) IsWatchListSemanticsUnSupported() bool { return true }

// selected lists and watches one kind.
type selected struct {
	client client.WithWatch
	list   func() client.ObjectList
	where  []client.ListOption
}

func (s selected) options(o metav1.ListOptions) []client.ListOption {
	return append([]client.ListOption{&client.ListOptions{Raw: &o}}, s.where...)
}

// ListWithContext implements cache.ListerWatcherWithContext.
func (s selected) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	l := s.list()
	err := s.client.List(ctx, l, paged(o, s.options(o))...)
	return l, err
}

// WatchWithContext implements cache.ListerWatcherWithContext.
func (s selected) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	return s.client.Watch(ctx, s.list(), s.options(o)...)
}

// paged repeats limit and continue, which the client takes from its own fields only.
func paged(o metav1.ListOptions, to []client.ListOption) []client.ListOption {
	return append(to, client.Limit(o.Limit), client.Continue(o.Continue))
}

// anyVersion lists and watches OpenStackClusters in the newest version that is served.
type anyVersion struct {
	clients map[schema.GroupVersion]rest.Interface

	mu     sync.Mutex
	served schema.GroupVersion // at the last list
}

func newAnyVersion(config *rest.Config, http *http.Client) (*anyVersion, error) {
	a := &anyVersion{clients: map[schema.GroupVersion]rest.Interface{}}
	for _, gv := range versions() {
		s := runtime.NewScheme()
		metav1.AddToGroupVersion(s, gv)
		metav1.AddToGroupVersion(s, schema.GroupVersion{Version: "v1"})
		s.AddKnownTypeWithName(gv.WithKind("OpenStackCluster"), &OpenStackCluster{})
		s.AddKnownTypeWithName(gv.WithKind("OpenStackClusterList"), &OpenStackClusterList{})
		client, err := restClient(config, http, s, "/apis", gv)
		if err != nil {
			return nil, err
		}
		a.clients[gv] = client
	}
	return a, nil
}

func (a *anyVersion) request(gv schema.GroupVersion, o *metav1.ListOptions) *rest.Request {
	return a.clients[gv].Get().Namespace(Namespace).Resource("openstackclusters").VersionedParams(o, metav1.ParameterCodec)
}

// ListWithContext implements cache.ListerWatcherWithContext.
func (a *anyVersion) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	var err error
	for _, gv := range versions() {
		l := &OpenStackClusterList{}
		if err = a.request(gv, &o).Do(ctx).Into(l); apierrors.IsNotFound(err) {
			continue // not served, or no longer
		}
		a.mu.Lock()
		a.served = gv
		a.mu.Unlock()
		return l, err
	}
	return nil, fmt.Errorf("the management cluster serves no OpenStackClusters: is Cluster API's OpenStack provider installed? (%w)", err)
}

// WatchWithContext implements cache.ListerWatcherWithContext.
func (a *anyVersion) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	a.mu.Lock()
	gv := a.served
	a.mu.Unlock()
	if gv.Empty() {
		return nil, apierrors.NewMethodNotSupported(schema.GroupResource{Resource: "openstackclusters"}, "watch before list")
	}
	o.Watch = true
	r := a.request(gv, &o)
	if o.TimeoutSeconds != nil {
		r = r.Timeout(time.Duration(*o.TimeoutSeconds) * time.Second)
	}
	return r.Watch(ctx)
}

// IsWatchListSemanticsUnSupported tells the reflector to list first: which version is served is found out by that.
func (a *anyVersion) IsWatchListSemanticsUnSupported() bool { return true }
