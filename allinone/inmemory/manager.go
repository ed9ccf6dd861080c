package inmemory

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cloudv1 "sigs.k8s.io/cluster-api/test/infrastructure/inmemory/pkg/cloud/api/v1alpha1"
	inmemoryruntime "sigs.k8s.io/cluster-api/test/infrastructure/inmemory/pkg/runtime"
	inmemoryclient "sigs.k8s.io/cluster-api/test/infrastructure/inmemory/pkg/runtime/client"
	"sigs.k8s.io/cluster-api/test/infrastructure/inmemory/pkg/runtime/resourcegroup"

	"github.com/jeroboam-cloud/jeroboam/allinone/simkube"
	"github.com/jeroboam-cloud/jeroboam/allinone/workload"
)

// manager is what Cluster API's in-memory provider keeps everything in: machines in the cloud in its own manager, and
// what is in workload clusters in their API server, as kubeadm and kubelets would write it (kubeadm.go).
type manager struct {
	inmemoryruntime.Manager
	server     *workload.Server
	simulation *simkube.Simulation
	mapper     meta.RESTMapper
	needAddons bool
	log        *slog.Logger

	clients sync.Map // name of the cluster -> client.Client
}

// dropTimeout is how long it may take to delete what a cluster had.
const dropTimeout = 10 * time.Second

func newManager(inner inmemoryruntime.Manager, server *workload.Server, simulation *simkube.Simulation, log *slog.Logger) *manager {
	return &manager{
		Manager: inner, server: server, simulation: simulation, mapper: mapperOf(inner.GetScheme()),
		needAddons: simulation.NodesNeedAddons, log: log,
	}
}

// mapperOf knows the kinds of a scheme without asking anybody.
func mapperOf(scheme *runtime.Scheme) meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(scheme.PrioritizedVersionsAllGroups())
	for gvk := range scheme.AllKnownTypes() {
		scope := meta.RESTScopeNamespace
		switch gvk.Kind {
		case "Node", "Namespace", "ClusterRole", "ClusterRoleBinding", "PersistentVolume", "StorageClass", "CustomResourceDefinition":
			scope = meta.RESTScopeRoot
		}
		mapper.Add(gvk, scope)
	}
	return mapper
}

// DeleteResourceGroup implements Cluster API's runtime.Manager: the cluster is gone.
func (m *manager) DeleteResourceGroup(name string) {
	m.Manager.DeleteResourceGroup(name)
	m.clients.Delete(name)
	m.simulation.Forget(name)
	ctx, cancel := context.WithTimeout(context.Background(), dropTimeout)
	defer cancel()
	if err := m.server.Drop(ctx, name); err != nil { // the next start tries again
		m.log.Warn("What a deleted cluster had is left until the next start", "cluster", name, "error", err)
	}
}

// GetResourceGroup implements Cluster API's runtime.Manager.
func (m *manager) GetResourceGroup(name string) resourcegroup.ResourceGroup { return group{m, name} }

// client is a way to a cluster's objects.
func (m *manager) client(cluster string) (client.Client, error) {
	if c, ok := m.clients.Load(cluster); ok {
		return c.(client.Client), nil
	}
	cfg := m.server.Client(cluster, "kubeadm")
	made, err := client.New(cfg, client.Options{Scheme: m.GetScheme(), Mapper: m.mapper})
	if err != nil {
		return nil, fmt.Errorf("make a client of cluster %s: %w", cluster, err)
	}
	c, _ := m.clients.LoadOrStore(cluster, made)
	return c.(client.Client), nil
}

// version is the Kubernetes version of a cluster's API server: the oldest that its control plane has, in the middle of
// an upgrade.
func (m *manager) version(ctx context.Context, cluster string) string {
	c, err := m.client(cluster)
	if err != nil {
		return ""
	}
	nodes := &corev1.NodeList{}
	if err := c.List(ctx, nodes, client.HasLabels{controlPlaneLabel}); err != nil {
		return ""
	}
	return oldest(nodes.Items)
}

// group is the client of one cluster.
type group struct {
	manager *manager
	name    string
}

// GetClient implements Cluster API's resourcegroup.ResourceGroup.
func (g group) GetClient() inmemoryclient.Client { return g }

// inCloud tells machines of the cloud from what is in a cluster.
func inCloud(o runtime.Object) bool {
	switch o.(type) {
	case *cloudv1.CloudMachine, *cloudv1.CloudMachineList:
		return true
	}
	return false
}

// of is who keeps an object.
func (g group) of(o runtime.Object) (inmemoryclient.Client, error) {
	if inCloud(o) {
		return g.manager.Manager.GetResourceGroup(g.name).GetClient(), nil
	}
	c, err := g.manager.client(g.name)
	if err != nil {
		return nil, err
	}
	return cluster{c, g.manager.needAddons}, nil
}

// Get implements Cluster API's runtime.Client.
func (g group) Get(ctx context.Context, key client.ObjectKey, o client.Object) error {
	c, err := g.of(o)
	if err != nil {
		return err
	}
	return c.Get(ctx, key, o)
}

// List implements Cluster API's runtime.Client.
func (g group) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	c, err := g.of(list)
	if err != nil {
		return err
	}
	return c.List(ctx, list, opts...)
}

// Create implements Cluster API's runtime.Client.
func (g group) Create(ctx context.Context, o client.Object) error {
	c, err := g.of(o)
	if err != nil {
		return err
	}
	return c.Create(ctx, o)
}

// Delete implements Cluster API's runtime.Client.
func (g group) Delete(ctx context.Context, o client.Object) error {
	c, err := g.of(o)
	if err != nil {
		return err
	}
	return c.Delete(ctx, o)
}

// Update implements Cluster API's runtime.Client.
func (g group) Update(ctx context.Context, o client.Object) error {
	c, err := g.of(o)
	if err != nil {
		return err
	}
	return c.Update(ctx, o)
}

// Patch implements Cluster API's runtime.Client.
func (g group) Patch(ctx context.Context, o client.Object, patch client.Patch) error {
	c, err := g.of(o)
	if err != nil {
		return err
	}
	return c.Patch(ctx, o, patch)
}

// cluster writes into a cluster's API server.
type cluster struct {
	client.Client
	needAddons bool
}

// Get implements Cluster API's runtime.Client.
func (c cluster) Get(ctx context.Context, key client.ObjectKey, o client.Object) error {
	return c.Client.Get(ctx, key, o)
}

// Create makes an object of what the provider has of it, complete as an API server wants it.
func (c cluster) Create(ctx context.Context, o client.Object) error {
	complete(o, c.needAddons)
	return c.Client.Create(ctx, o)
}

// Delete ends an object at once: the provider's machines do not stop, they are gone.
func (c cluster) Delete(ctx context.Context, o client.Object) error {
	return c.Client.Delete(ctx, o, client.GracePeriodSeconds(0))
}

// Update implements Cluster API's runtime.Client.
func (c cluster) Update(ctx context.Context, o client.Object) error { return c.Client.Update(ctx, o) }

// Patch implements Cluster API's runtime.Client.
func (c cluster) Patch(ctx context.Context, o client.Object, patch client.Patch) error {
	return c.Client.Patch(ctx, o, patch)
}
