// Package inmemory is where the simulated machines live: Cluster API's in-memory infrastructure with what a service on
// a real laptop needs on top.
//
//	what clusters are  Kubernetes' own API server (package workload) in place of the provider's, and what acts in it
//	                   (package simkube); the provider writes into it what kubeadm and kubelets would (manager.go,
//	                   kubeadm.go)
//	who may connect    loopback peers with a client certificate of that very cluster (auth.go, mux.go)
//	which port         chosen when a cluster is created, kept for its life, never one that someone else uses (ports.go)
//	after a restart    everything that was there is there again before any other controller looks (restore.go)
//
// Workload clusters are served by one process on one port each. What is in them is kept in etcd; machines of the cloud
// are kept in memory, and made again from Cluster API's objects.
package inmemory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cloudv1 "sigs.k8s.io/cluster-api/test/infrastructure/inmemory/pkg/cloud/api/v1alpha1"
	inmemoryruntime "sigs.k8s.io/cluster-api/test/infrastructure/inmemory/pkg/runtime"
	inmemoryserver "sigs.k8s.io/cluster-api/test/infrastructure/inmemory/pkg/server"

	"github.com/jeroboam-cloud/jeroboam/allinone/simkube"
	"github.com/jeroboam-cloud/jeroboam/allinone/workload"
)

// host is where workload clusters are served.
const host = "127.0.0.1"

// Options describe a simulation.
type Options struct {
	Secrets client.Reader // authorities of clusters
	Ports   PortRange
	Etcd    string    // address of the etcd that keeps what is in clusters
	Log     io.Writer // what goes wrong on connections

	// NodesNeedAddons keeps nodes as kubeadm leaves them, not Ready and tainted, until a network and a cloud controller
	// manager were applied to their cluster.
	NodesNeedAddons bool
}

// Infrastructure is the running simulation.
type Infrastructure struct {
	Manager inmemoryruntime.Manager
	Mux     *inmemoryserver.WorkloadClustersMux
	Ports   *Ports

	server     *workload.Server
	simulation *simkube.Simulation
	stop       context.CancelFunc
	acting     sync.WaitGroup
	servers    servers
	restored   []machine
}

// New starts the simulation. ctx is its life.
func New(ctx context.Context, o Options) (*Infrastructure, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		cloudv1.AddToScheme, corev1.AddToScheme, appsv1.AddToScheme, rbacv1.AddToScheme,
		storagev1.AddToScheme, apiextensionsv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("make a scheme: %w", err)
		}
	}
	machines := inmemoryruntime.NewManager(scheme)
	if err := machines.Start(ctx); err != nil {
		return nil, fmt.Errorf("start the in-memory cloud: %w", err)
	}
	log := slog.New(slog.NewTextHandler(o.Log, nil))
	i := &Infrastructure{Ports: NewPorts(o.Ports), simulation: simkube.New(o.NodesNeedAddons, log)}
	var m *manager
	server, err := workload.New(workload.Options{
		Etcd: o.Etcd, Changed: i.simulation.Changed,
		Version: func(ctx context.Context, cluster string) string { return m.version(ctx, cluster) },
	})
	if err != nil {
		return nil, err
	}
	m = newManager(machines, server, i.simulation, log)
	i.server, i.Manager = server, m
	if i.Mux, i.servers, err = newMux(m, server, o); err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return i, nil
}

// Act lets the clusters' controllers, schedulers and kubelets act until ctx or the simulation ends. It is called once.
func (i *Infrastructure) Act(ctx context.Context) {
	ctx, i.stop = context.WithCancel(ctx)
	i.acting.Go(func() { i.simulation.Run(ctx, i.server) })
}

// Close ends all workload API servers at once.
func (i *Infrastructure) Close() error {
	err := i.servers.workload.Close()
	if i.stop != nil {
		i.stop()
		i.acting.Wait()
	}
	return errors.Join(err, i.server.Close())
}
