// Package inmemory is where the simulated machines live: Cluster API's in-memory infrastructure with what a service on a real
// laptop needs on top.
//
//	who may connect   loopback peers with a client certificate of that very cluster (auth.go, mux.go)
//	what they see     nodes as a table, as kubectl asks for (tables.go)
//	which port        chosen when a cluster is created, kept for its life, never one that someone else uses (ports.go)
//	after a restart   everything that was there is there again before any other controller looks (restore.go)
//
// Workload clusters are served by one process on one port each. What tenants put into them lives in memory and ends with the
// process; what Cluster API put there (nodes, control plane pods, kubeadm's objects) comes back.
package inmemory

import (
	"context"
	"fmt"
	"io"

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
)

// host is where workload clusters are served.
const host = "127.0.0.1"

// Infrastructure is the running simulation.
type Infrastructure struct {
	Manager inmemoryruntime.Manager
	Mux     *inmemoryserver.WorkloadClustersMux
	Ports   *Ports

	servers  servers
	restored []machine
}

// New starts the simulation, empty. ctx is its life. secrets are read to find the authorities of clusters; what goes wrong on
// connections goes to log.
func New(ctx context.Context, secrets client.Reader, ports PortRange, log io.Writer) (*Infrastructure, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		cloudv1.AddToScheme, corev1.AddToScheme, appsv1.AddToScheme, rbacv1.AddToScheme,
		storagev1.AddToScheme, apiextensionsv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("make a scheme: %w", err)
		}
	}
	manager := inmemoryruntime.NewManager(scheme)
	if err := manager.Start(ctx); err != nil {
		return nil, fmt.Errorf("start the in-memory cloud: %w", err)
	}
	mux, servers, err := newMux(manager, ports, secrets, log)
	if err != nil {
		return nil, err
	}
	return &Infrastructure{Manager: manager, Mux: mux, Ports: NewPorts(ports), servers: servers}, nil
}

// Close ends all workload API servers at once.
func (i *Infrastructure) Close() error { return i.servers.workload.Close() }
