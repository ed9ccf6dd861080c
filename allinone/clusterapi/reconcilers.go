package clusterapi

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"go.uber.org/zap"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/bootstrap/kubeadm/reconcilers/kubeadmconfig"
	"sigs.k8s.io/cluster-api/controllers/clustercache"
	"sigs.k8s.io/cluster-api/controllers/remote"
	"sigs.k8s.io/cluster-api/controlplane/kubeadm/reconcilers/kubeadmcontrolplane"
	"sigs.k8s.io/cluster-api/core/reconcilers/cluster"
	"sigs.k8s.io/cluster-api/core/reconcilers/clusterclass"
	"sigs.k8s.io/cluster-api/core/reconcilers/clusterresourceset"
	"sigs.k8s.io/cluster-api/core/reconcilers/clusterresourcesetbinding"
	"sigs.k8s.io/cluster-api/core/reconcilers/machine"
	"sigs.k8s.io/cluster-api/core/reconcilers/machinedeployment"
	"sigs.k8s.io/cluster-api/core/reconcilers/machinehealthcheck"
	"sigs.k8s.io/cluster-api/core/reconcilers/machineset"
	topologycluster "sigs.k8s.io/cluster-api/core/reconcilers/topology/cluster"
	topologymachinedeployment "sigs.k8s.io/cluster-api/core/reconcilers/topology/machinedeployment"
	topologymachineset "sigs.k8s.io/cluster-api/core/reconcilers/topology/machineset"
	"sigs.k8s.io/cluster-api/test/infrastructure/container"
	devcontrollers "sigs.k8s.io/cluster-api/test/infrastructure/docker/controllers"
	"sigs.k8s.io/cluster-api/util/index"

	"github.com/jeroboam-cloud/jeroboam/allinone/inmemory"
	"github.com/jeroboam-cloud/jeroboam/allinone/simmachines"
)

// connectionRetry is how soon a connection to a workload cluster is tried again. Cluster API's 30 s are for real
// machines: here the first attempt comes a moment before the simulated API server is there.
const connectionRetry = time.Second

// remoteGrace is how long conditions stay as they are when a workload cluster cannot be reached.
const remoteGrace = 5 * time.Minute

// reconcilers is what all controllers are made with.
type reconcilers struct {
	mgr         ctrl.Manager // the infrastructure provider's
	gate        ctrl.Manager // everyone else's
	clusters    clustercache.ClusterCache
	secrets     client.Client // reads Secrets from the cache
	partial     cache.Cache   // metadata of all Secrets, for cluster resource sets
	concurrency int
	external    bool // machines are real
	pace        *pace
}

func newReconcilers(ctx context.Context, mgr, gate ctrl.Manager, o Options) (*reconcilers, error) {
	r := &reconcilers{mgr: mgr, gate: gate, concurrency: o.Concurrency, external: o.External, pace: newPace(!o.External)}
	if err := index.AddDefaultIndexes(ctx, mgr); err != nil {
		return nil, fmt.Errorf("index the cache: %w", err)
	}
	var err error
	r.secrets, err = client.New(mgr.GetConfig(), client.Options{HTTPClient: mgr.GetHTTPClient(), Cache: &client.CacheOptions{Reader: mgr.GetCache()}})
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	if r.clusters, err = r.clusterCache(ctx); err != nil {
		return nil, err
	}
	r.partial, err = cache.New(mgr.GetConfig(), cache.Options{
		Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient(),
		DefaultTransform: func(in any) (any, error) {
			if _, ok := in.(*metav1.PartialObjectMetadata); !ok {
				return nil, fmt.Errorf("unexpected %T", in)
			}
			return cache.TransformStripManagedFields()(in)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make the cache of Secrets: %w", err)
	}
	if err := mgr.Add(r.partial); err != nil {
		return nil, fmt.Errorf("add the cache of Secrets: %w", err)
	}
	return r, nil
}

// clusterCache is one for all providers: one set of connections and informers for each workload cluster, not four.
func (r *reconcilers) clusterCache(ctx context.Context) (clustercache.ClusterCache, error) {
	var secrets client.Reader = r.secrets
	if r.external {
		p, err := newPrivate(ctx, r.mgr.GetAPIReader())
		if err != nil {
			return nil, err
		}
		if err := r.mgr.Add(p); err != nil {
			return nil, fmt.Errorf("add the way to private clusters: %w", err)
		}
		secrets = p.through(secrets)
	}
	c, err := clustercache.SetupWithManager(ctx, r.gate, clustercache.Options{
		SecretClient: secrets,
		Cache: clustercache.CacheOptions{
			DefaultTransform: cache.TransformStripManagedFields(),
			Indexes:          []clustercache.CacheOptionsIndex{clustercache.NodeProviderIDIndex},
		},
		Client: clustercache.ClientOptions{
			QPS: 50, Burst: 100, UserAgent: remote.DefaultClusterAPIUserAgent("jeroboam-allinone"),
			Cache: clustercache.ClientCacheOptions{DisableFor: []client.Object{
				&corev1.ConfigMap{}, &corev1.Secret{}, &corev1.Pod{},
				&appsv1.Deployment{}, &appsv1.DaemonSet{}, &storagev1.VolumeAttachment{}, &corev1.PersistentVolume{},
			}},
		},
	}, r.options())
	if err != nil {
		return nil, fmt.Errorf("set up the cluster cache: %w", err)
	}
	if r.external {
		return c, nil
	}
	retry, ok := c.(interface {
		SetConnectionCreationRetryInterval(interval time.Duration)
	})
	if !ok {
		return nil, fmt.Errorf("this version of Cluster API has no way to set the connection retry of the cluster cache")
	}
	retry.SetConnectionCreationRetryInterval(connectionRetry)
	return c, nil
}

func (r *reconcilers) options() controller.Options {
	return controller.Options{MaxConcurrentReconciles: r.concurrency, NewQueue: r.pace.newQueue}
}

type step struct {
	name  string
	setup func(context.Context) error
}

// inMemorySteps lists the controllers of the in-memory infrastructure.
func (r *reconcilers) inMemorySteps(infra *inmemory.Infrastructure, scheduler simmachines.Scheduler) []step {
	return []step{
		{"in-memory clusters", func(ctx context.Context) error { return r.devClusters(ctx, infra) }},
		{"in-memory machines", func(ctx context.Context) error { return r.devMachines(ctx, infra) }},
		{"ports", func(ctx context.Context) error { return infra.Ports.SetupWithManager(ctx, r.mgr) }},
		{"scheduling", func(ctx context.Context) error {
			if scheduler == nil {
				return nil
			}
			return simmachines.SetupWithManager(ctx, r.mgr, scheduler)
		}},
	}
}

// steps lists the controllers of core and the kubeadm providers.
func (r *reconcilers) steps() []step {
	c, api, o := r.gate.GetClient(), r.gate.GetAPIReader(), r.options()
	return []step{
		{"clusterclass", func(ctx context.Context) error {
			return (&clusterclass.Reconciler{Client: c}).SetupWithManager(ctx, r.gate, o)
		}},
		{"topology/cluster", func(ctx context.Context) error {
			return (&topologycluster.Reconciler{Client: c, APIReader: api, ClusterCache: r.clusters}).SetupWithManager(ctx, r.gate, o)
		}},
		{"topology/machinedeployment", func(ctx context.Context) error {
			return (&topologymachinedeployment.Reconciler{Client: c, APIReader: api}).SetupWithManager(ctx, r.gate, o)
		}},
		{"topology/machineset", func(ctx context.Context) error {
			return (&topologymachineset.Reconciler{Client: c, APIReader: api}).SetupWithManager(ctx, r.gate, o)
		}},
		{"cluster", func(ctx context.Context) error {
			return (&cluster.Reconciler{Client: c, APIReader: api, ClusterCache: r.clusters, RemoteConnectionGracePeriod: 50 * time.Second}).SetupWithManager(ctx, r.gate, o)
		}},
		{"machine", func(ctx context.Context) error {
			m := &machine.Reconciler{
				Client: c, APIReader: api, ClusterCache: r.clusters, RemoteConditionsGracePeriod: remoteGrace,
				AdditionalSyncMachineLabels: []*regexp.Regexp{}, AdditionalSyncMachineAnnotations: []*regexp.Regexp{},
			}
			defer r.pace.hurry(m)
			return m.SetupWithManager(ctx, r.gate, o)
		}},
		{"machineset", func(ctx context.Context) error {
			return (&machineset.Reconciler{
				Client: c, APIReader: api, ClusterCache: r.clusters,
				PreflightChecks: sets.New(clusterv1.MachineSetPreflightCheckAll),
			}).SetupWithManager(ctx, r.gate, o)
		}},
		{"machinedeployment", func(ctx context.Context) error {
			return (&machinedeployment.Reconciler{Client: c, APIReader: api}).SetupWithManager(ctx, r.gate, o)
		}},
		{"clusterresourceset", func(ctx context.Context) error {
			return (&clusterresourceset.Reconciler{Client: c, ClusterCache: r.clusters}).SetupWithManager(ctx, r.gate, o, r.partial)
		}},
		{"clusterresourcesetbinding", func(ctx context.Context) error {
			return (&clusterresourcesetbinding.Reconciler{Client: c}).SetupWithManager(ctx, r.gate, o)
		}},
		{"machinehealthcheck", func(ctx context.Context) error {
			return (&machinehealthcheck.Reconciler{Client: c, ClusterCache: r.clusters}).SetupWithManager(ctx, r.gate, o)
		}},
		{"kubeadmconfig", func(ctx context.Context) error {
			return (&kubeadmconfig.Reconciler{
				Client: c, SecretCachingClient: r.secrets, APIReader: api, ClusterCache: r.clusters,
				TokenTTL: 15 * time.Minute,
			}).SetupWithManager(ctx, r.gate, o)
		}},
		{"kubeadmcontrolplane", func(ctx context.Context) error {
			o := o
			o.ReconciliationTimeout = 3 * time.Minute
			k := &kubeadmcontrolplane.Reconciler{
				Client: c, APIReader: api, SecretCachingClient: r.secrets, ClusterCache: r.clusters,
				EtcdDialTimeout: 10 * time.Second, EtcdCallTimeout: 15 * time.Second, EtcdLogger: zap.NewNop(),
				RemoteConditionsGracePeriod: remoteGrace,
			}
			defer r.pace.hurry(k)
			return k.SetupWithManager(ctx, r.gate, o)
		}},
	}
}

func (r *reconcilers) devClusters(ctx context.Context, infra *inmemory.Infrastructure) error {
	docker, err := container.NewDockerClient() // asked for, never used: it connects to nothing for in-memory clusters
	if err != nil {
		return fmt.Errorf("make a container client: %w", err)
	}
	return (&devcontrollers.DevClusterReconciler{
		Client: r.mgr.GetClient(), ContainerRuntime: docker,
		InMemoryManager: infra.Manager, APIServerMux: infra.Mux,
	}).SetupWithManager(ctx, r.mgr, r.options())
}

func (r *reconcilers) devMachines(ctx context.Context, infra *inmemory.Infrastructure) error {
	docker, err := container.NewDockerClient()
	if err != nil {
		return fmt.Errorf("make a container client: %w", err)
	}
	o := r.options()
	o.ReconciliationTimeout = 5 * time.Minute
	return (&devcontrollers.DevMachineReconciler{
		Client: r.mgr.GetClient(), ContainerRuntime: docker, ClusterCache: r.clusters,
		InMemoryManager: infra.Manager, APIServerMux: infra.Mux,
	}).SetupWithManager(ctx, r.mgr, o)
}
