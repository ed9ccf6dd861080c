// Package simkube is what acts in a simulated workload cluster: the controllers, the scheduler, the kubelets and what a
// network and a cloud controller manager do to nodes. Nothing runs; it is simple, and true in what other programs wait
// for:
//
//	workloads.go  DaemonSets, Deployments and StatefulSets have pods, and a status that follows from them
//	schedule.go   a pod goes to a node that its tolerations, selectors and affinities allow, or says why there is none
//	kubelet.go    a pod runs when what it mounts is there, and the network is, unless it uses the host's
//	nodes.go      a node is Ready when a network's pod runs on it, and initialized when a cloud controller manager runs
//	keeping.go    namespaces and custom resource definitions end, disruption budgets count, API services are available
//
// For each cluster one pass reads what there is and takes every step that is due; what it writes causes the next one. A
// cluster in which nothing changes costs nothing. Nothing is remembered between passes.
//
// What is left out: ReplicaSets (pods belong to the Deployment), rolling updates (changed pods are replaced at once),
// probes, resources, jobs, volumes, and images, of which every one is there.
package simkube

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	apiextensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	aggregatorclient "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
)

// API is where the clusters are served: a workload.Server.
type API interface {
	Client(cluster, name string) *rest.Config
	Clusters(ctx context.Context) ([]string, error)
	EndingDefinitions(ctx context.Context, cluster string) ([]string, error) // custom resource definitions that are being deleted
}

// Simulation acts in all clusters.
type Simulation struct {
	// NodesNeedAddons keeps nodes as kubeadm leaves them, until a network and a cloud controller manager run in the
	// cluster.
	NodesNeedAddons bool
	Log             *slog.Logger

	api     API
	queue   workqueue.TypedRateLimitingInterface[string]
	clients sync.Map // cluster -> *clients
}

// settle is how long a change waits for others. An addon is dozens of objects in a row, and a pass looks at all of
// them.
const settle = 50 * time.Millisecond

// workers is how many clusters are looked at at the same time.
const workers = 2

// New makes a simulation. It is told of changes from the beginning, and acts when it runs.
func New(nodesNeedAddons bool, log *slog.Logger) *Simulation {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](50*time.Millisecond, 10*time.Second)
	return &Simulation{NodesNeedAddons: nodesNeedAddons, Log: log, queue: workqueue.NewTypedRateLimitingQueue(limiter)}
}

// Changed is told of every write.
func (s *Simulation) Changed(cluster string, resource schema.GroupResource) {
	switch resource.String() {
	case "nodes", "pods", "namespaces", "serviceaccounts", "configmaps", "secrets", "services",
		"daemonsets.apps", "deployments.apps", "statefulsets.apps", "poddisruptionbudgets.policy",
		"customresourcedefinitions.apiextensions.k8s.io", "apiservices.apiregistration.k8s.io":
		s.queue.AddAfter(cluster, settle)
	}
}

// Forget lets go of a cluster that is gone.
func (s *Simulation) Forget(cluster string) {
	s.clients.Delete(cluster)
	s.queue.Forget(cluster)
}

// Run acts until ctx ends. It is called once.
func (s *Simulation) Run(ctx context.Context, api API) {
	s.api = api
	known, err := api.Clusters(ctx)
	if err != nil && ctx.Err() == nil {
		s.Log.Error("Simulated clusters of an earlier run stand still until something changes in them", "error", err)
	}
	for _, cluster := range known {
		s.queue.Add(cluster)
	}
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for s.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	s.queue.ShutDown()
	running.Wait()
}

func (s *Simulation) next(ctx context.Context) bool {
	cluster, end := s.queue.Get()
	if end {
		return false
	}
	defer s.queue.Done(cluster)
	err := s.pass(ctx, cluster)
	switch {
	case err == nil:
		s.queue.Forget(cluster)
	case ctx.Err() != nil:
	case apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err): // somebody was faster
		s.queue.AddAfter(cluster, settle)
	default:
		s.Log.Warn("A simulated cluster stands still for a moment", "cluster", cluster, "error", err)
		s.queue.AddRateLimited(cluster)
	}
	return true
}

// clients are ways to one cluster.
type clients struct {
	kubernetes.Interface
	custom   apiextensionsclient.Interface
	services aggregatorclient.Interface
	any      metadata.Interface // of any kind
}

func (s *Simulation) client(cluster string) (*clients, error) {
	if c, ok := s.clients.Load(cluster); ok {
		return c.(*clients), nil
	}
	cfg := s.api.Client(cluster, manager)
	hc := &http.Client{Transport: cfg.Transport}
	native, err := kubernetes.NewForConfigAndClient(cfg, hc)
	if err != nil {
		return nil, err
	}
	plain := rest.CopyConfig(cfg) // these kinds have no protobuf
	plain.ContentType, plain.AcceptContentTypes = "application/json", ""
	custom, err := apiextensionsclient.NewForConfigAndClient(plain, hc)
	if err != nil {
		return nil, err
	}
	services, err := aggregatorclient.NewForConfigAndClient(plain, hc)
	if err != nil {
		return nil, err
	}
	objects, err := metadata.NewForConfigAndClient(cfg, hc)
	if err != nil {
		return nil, err
	}
	c, _ := s.clients.LoadOrStore(cluster, &clients{native, custom, services, objects})
	return c.(*clients), nil
}

// pass takes every step that is due in one cluster.
func (s *Simulation) pass(ctx context.Context, cluster string) error {
	c, err := s.client(cluster)
	if err != nil {
		return err
	}
	p := &pass{cluster: cluster, clients: c, api: s.api, needAddons: s.NodesNeedAddons, now: time.Now()}
	if err := p.read(ctx); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"namespaces", p.namespaces},
		{"custom resource definitions", p.definitions},
		{"garbage", p.garbage},
		{"workloads", p.workloads},
		{"scheduler", p.schedule},
		{"kubelet", p.kubelets},
		{"nodes", p.reconcileNodes},
		{"status of workloads", p.statuses},
		{"disruption budgets", p.budgets},
		{"API services", p.apiServices},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	if p.again {
		s.queue.AddAfter(cluster, time.Second)
	}
	return nil
}
