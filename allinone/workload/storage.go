package workload

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	etcdkubernetes "go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/client-go/tools/cache"
)

// In etcd an object is /workload/clusters/<namespace>/<name of the cluster>/<group>/<resource>/..., beside the
// management cluster's /registry.
const (
	etcdPrefix   = "/workload"
	tenantPrefix = "/clusters"
)

type clusterKey struct{}

// WithCluster says which workload cluster a request is for. A cluster is called namespace/name.
func WithCluster(ctx context.Context, cluster string) context.Context {
	return context.WithValue(ctx, clusterKey{}, cluster)
}

// clusterOf is the cluster that a request is for.
func clusterOf(ctx context.Context) (string, error) {
	c, _ := ctx.Value(clusterKey{}).(string)
	if ns, name, ok := strings.Cut(c, "/"); !ok || ns == "" || name == "" || strings.Contains(name, "/") {
		return "", fmt.Errorf("the request is for no cluster: %q", c)
	}
	return c, nil
}

// backend is where the objects of all clusters are.
type backend struct {
	client  *etcdkubernetes.Client
	changed func(cluster string, resource schema.GroupResource)
}

// options are how a registry keeps its objects.
func (b *backend) options(resource schema.GroupResource, codec runtime.Codec) generic.RESTOptions {
	config := storagebackend.Config{Prefix: etcdPrefix, Codec: codec, LeaseManagerConfig: etcd3.NewDefaultLeaseManagerConfig()}
	return generic.RESTOptions{
		StorageConfig:           config.ForResource(resource),
		Decorator:               b.decorate,
		EnableGarbageCollection: true,
		DeleteCollectionWorkers: 1,
		ResourcePrefix:          path.Join("/", resource.Group, resource.Resource),
	}
}

// decorate makes the storage of one kind for all clusters. The arguments that it leaves out are for caches.
func (b *backend) decorate(config *storagebackend.ConfigForResource, _ string, _ func(runtime.Object) (string, error),
	newFunc, newListFunc func() runtime.Object, _ storage.AttrFunc, _ storage.IndexerFuncs, _ *cache.Indexers,
) (storage.Interface, factory.DestroyFunc, error) {
	versioner := storage.APIObjectVersioner{}
	// Compaction is the management cluster's: it is the same etcd.
	inner, err := etcd3.New(b.client, nil, config.Codec, newFunc, newListFunc, etcdPrefix, tenantPrefix, config.GroupResource,
		identity.NewEncryptCheckTransformer(), config.LeaseManagerConfig, etcd3.NewDefaultDecoder(config.Codec, versioner), versioner)
	if err != nil {
		return nil, nil, fmt.Errorf("storage of %s: %w", config.GroupResource, err)
	}
	return &tenantStorage{Interface: inner, resource: config.GroupResource, changed: b.changed}, inner.Close, nil
}

// tenantStorage puts the cluster of the request before every key, and tells who wants to know that something changed.
type tenantStorage struct {
	storage.Interface
	resource schema.GroupResource
	changed  func(cluster string, resource schema.GroupResource)
}

func tenantKey(ctx context.Context, key string) (cluster, full string, err error) {
	if cluster, err = clusterOf(ctx); err != nil {
		return "", "", storage.NewInternalError(err)
	}
	return cluster, tenantPrefix + "/" + cluster + key, nil
}

// Create implements storage.Interface.
func (s *tenantStorage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	cluster, key, err := tenantKey(ctx, key)
	if err != nil {
		return err
	}
	if err = s.Interface.Create(ctx, key, obj, out, ttl); err == nil {
		s.changed(cluster, s.resource)
	}
	return err
}

// Delete implements storage.Interface.
func (s *tenantStorage) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions,
) error {
	cluster, key, err := tenantKey(ctx, key)
	if err != nil {
		return err
	}
	if err = s.Interface.Delete(ctx, key, out, preconditions, validate, cached, opts); err == nil {
		s.changed(cluster, s.resource)
	}
	return err
}

// Watch implements storage.Interface.
func (s *tenantStorage) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	_, key, err := tenantKey(ctx, key)
	if err != nil {
		return nil, err
	}
	return s.Interface.Watch(ctx, key, opts)
}

// Get implements storage.Interface.
func (s *tenantStorage) Get(ctx context.Context, key string, opts storage.GetOptions, into runtime.Object) error {
	_, key, err := tenantKey(ctx, key)
	if err != nil {
		return err
	}
	return s.Interface.Get(ctx, key, opts, into)
}

// GetList implements storage.Interface.
func (s *tenantStorage) GetList(ctx context.Context, key string, opts storage.ListOptions, into runtime.Object) error {
	_, key, err := tenantKey(ctx, key)
	if err != nil {
		return err
	}
	return s.Interface.GetList(ctx, key, opts, into)
}

// GuaranteedUpdate implements storage.Interface.
func (s *tenantStorage) GuaranteedUpdate(ctx context.Context, key string, into runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, update storage.UpdateFunc, cached runtime.Object,
) error {
	cluster, key, err := tenantKey(ctx, key)
	if err != nil {
		return err
	}
	if err = s.Interface.GuaranteedUpdate(ctx, key, into, ignoreNotFound, preconditions, update, cached); err == nil {
		s.changed(cluster, s.resource)
	}
	return err
}

// Drop deletes everything a cluster has, as a cloud does that deletes its machines.
func (b *backend) drop(ctx context.Context, cluster string) error {
	_, prefix, err := tenantKey(WithCluster(ctx, cluster), "/")
	if err != nil {
		return err
	}
	if _, err := b.client.Delete(ctx, etcdPrefix+prefix, clientv3.WithPrefix()); err != nil {
		return fmt.Errorf("delete what cluster %s had: %w", cluster, err)
	}
	return nil
}

// clusters are the clusters that have anything.
func (b *backend) clusters(ctx context.Context) ([]string, error) {
	prefix := etcdPrefix + tenantPrefix + "/"
	var all []string
	for from := prefix; ; {
		res, err := b.client.KV.Get(ctx, from, clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix)), clientv3.WithKeysOnly(), clientv3.WithLimit(1))
		if err != nil {
			return nil, fmt.Errorf("list the clusters: %w", err)
		}
		if len(res.Kvs) == 0 {
			return all, nil
		}
		parts := strings.SplitN(strings.TrimPrefix(string(res.Kvs[0].Key), prefix), "/", 3)
		if len(parts) < 3 {
			return nil, errors.New("list the clusters: a key of none of them: " + string(res.Kvs[0].Key))
		}
		cluster := parts[0] + "/" + parts[1]
		all = append(all, cluster)
		from = clientv3.GetPrefixRangeEnd(prefix + cluster + "/")
	}
}
