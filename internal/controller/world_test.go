package controller_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/controller"
	"github.com/jeroboam-cloud/jeroboam/internal/controller/cluster"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

// owner is the cloud of a clusters' owner: it counts what it holds.
type owner struct {
	mu          sync.Mutex
	groups      map[string]string
	balancers   map[string]int // cluster UUID -> load balancers
	credentials map[string]bool
	addresses   map[string]string // description -> floating IP
	made        int
	noAddress   error // what making a floating IP ends with
	dead        bool  // Keystone does not know the credential any more
}

func newOwner() *owner {
	return &owner{groups: map[string]string{}, balancers: map[string]int{}, credentials: map[string]bool{}, addresses: map[string]string{}}
}

func (o *owner) open() (cluster.Cloud, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead {
		return nil, openstack.ErrUnauthorized
	}
	return o, nil
}

func (o *owner) EnsureServerGroup(_ context.Context, name, policy string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if policy != "soft-anti-affinity" {
		return "", fmt.Errorf("unexpected policy %q", policy)
	}
	if o.groups[name] == "" {
		o.made++
		o.groups[name] = fmt.Sprintf("00000000-0000-4000-8000-%012d", o.made)
	}
	return o.groups[name], nil
}

func (o *owner) DeleteServerGroup(_ context.Context, name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.groups, name)
	return nil
}

func (o *owner) DeleteServerGroups(_ context.Context, stack string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.groups, func(name, _ string) bool { return name == stack || strings.HasPrefix(name, stack+"-") })
	return nil
}

func (o *owner) EnsureFloatingIP(_ context.Context, network, description string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.noAddress != nil {
		return "", o.noAddress
	}
	if network == "" {
		return "", errors.New("no external network")
	}
	if o.addresses[description] == "" {
		o.made++
		o.addresses[description] = fmt.Sprintf("198.51.100.%d", o.made)
	}
	return o.addresses[description], nil
}

func (o *owner) DeleteFloatingIPs(_ context.Context, description string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.addresses, description)
	return nil
}

func (o *owner) ServiceAddresses(context.Context, string) ([]string, error) { return nil, nil }

func (o *owner) Works(context.Context) error { return nil }

func (o *owner) ServerFault(context.Context, string) (string, error) { return "", nil }

func (o *owner) ServerConsole(context.Context, string) (string, error) { return "", nil }

func (o *owner) LoadBalancerState(context.Context, string) (string, time.Time, error) {
	return "", time.Time{}, nil
}

func (o *owner) ServerGone(context.Context, string) (bool, error) { return false, nil }

func (o *owner) ServersNamed(context.Context, string) ([]string, error) { return nil, nil }

func (o *owner) FindServerGroup(context.Context, string) (string, error) {
	return "", openstack.ErrNotFound
}

func (o *owner) ProjectID() string { return "" }

// DeleteLoadBalancers takes one away at each call, so that a caller has to come back.
func (o *owner) DeleteLoadBalancers(_ context.Context, uuid string) ([]string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.balancers[uuid] > 0 {
		o.balancers[uuid]--
	}
	return slices.Repeat([]string{"lb"}, o.balancers[uuid]), nil
}

func (o *owner) DeleteApplicationCredential(_ context.Context, _, name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.credentials, name)
	return nil
}

// world is a server's controllers and store, which can be stopped at any moment and started again.
type world struct {
	t     *testing.T
	cloud *owner
	store *store.Store
	class capi.Class
	// addons are what is installed into clusters; the zero value installs nothing.
	addons controller.Addons
	later  atomic.Int64 // how far the controllers' clocks are ahead, in nanoseconds
	stop   func()
}

func (w *world) start() {
	w.t.Helper()
	scheme, err := kube.NewScheme()
	if err != nil {
		w.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("JEROBOAM_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	mgr, err := ctrl.NewManager(management.Config, ctrl.Options{
		Scheme: scheme, Logger: logr.FromSlogHandler(log.Handler()), Metrics: metricsserver.Options{BindAddress: "0"},
		// A panic ends the test: recovered, it would be one more error that the next round forgives.
		Controller:              config.Controller{SkipNameValidation: new(true), RecoverPanic: new(false)},
		GracefulShutdownTimeout: new(time.Duration(0)), // stopping is as rude as it can be within a process
		Cache:                   cache.Options{DefaultNamespaces: map[string]cache.Config{v1alpha1.Namespace: {}}},
		Client:                  client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	view, err := store.NewView(ctx, mgr.GetCache())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := kube.AddIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		w.t.Fatal(err)
	}
	err = controller.Setup(mgr, controller.Options{
		Class: w.class, Keystone: w.cloud, Log: log, Now: func() time.Time { return time.Now().Add(time.Duration(w.later.Load())) }, Concurrency: 10,
		CloudFor: func(context.Context, []byte) (cluster.Cloud, error) { return w.cloud.open() },
		Addons:   w.addons, ManagementCIDRs: []string{"10.9.0.0/16"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = mgr.Start(ctx) }()
	for !view.Synced() {
		time.Sleep(time.Millisecond)
	}
	w.store = store.New(management.Client, view, time.Now, rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano()))))
	w.stop = func() { cancel(); <-ended }
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, controller.Addons{})
}

func newWorldWith(t *testing.T, addons controller.Addons) *world {
	t.Helper()
	w := &world{t: t, cloud: newOwner(), class: capi.ClusterClass(capi.InMemory(0)), addons: addons}
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

const cloudsYAML = "clouds: {default: {auth: {auth_url: 'https://k/v3', application_credential_id: id, application_credential_secret: s}, region_name: R}}"

var system = policy.System("test")

// create does what the API does for a cluster.
func (w *world) create(name string, masters, nodes int, edit func(*magnum.Cluster)) *magnum.Cluster {
	w.t.Helper()
	c := magnum.Cluster{
		Name: name, ProjectID: "p", UserID: "u", ClusterTemplateID: "t", CreateTimeout: 60, MasterLBEnabled: true, FloatingIPEnabled: true,
		Template: magnum.ClusterTemplate{TemplateFields: magnum.TemplateFields{
			Name: "t", ProjectID: "p", COE: "kubernetes", ImageID: "ubuntu", ServerType: "vm", NetworkDriver: "calico", ClusterDistro: "ubuntu",
			ExternalNetworkID: "public",
		}},
		MasterCount: masters, NodeCount: nodes, Labels: map[string]string{label.KubeTag: "v1.34.2"},
		FlavorID: "m1.small", MasterFlavorID: "m1.small",
		Resolved: magnum.Resolved{
			ImageID: "7f3c9d9e-4b1c-4a43-9d6a-111111111111", ImageOSDistro: "ubuntu", FlavorName: "m1.small", MasterFlavorName: "m1.small",
			ExternalNetworkID: "7f3c9d9e-4b1c-4a43-9d6a-222222222222",
		},
	}
	if edit != nil {
		edit(&c)
	}
	made, err := w.store.CreateCluster(w.t.Context(), system, c, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	w.cloud.mu.Lock()
	w.cloud.credentials[made.UUID] = true
	w.cloud.mu.Unlock()
	if err := w.store.PutCloudConfig(w.t.Context(), system, made.UUID, []byte(cloudsYAML), nil); err != nil {
		w.t.Fatal(err)
	}
	return made
}

// await waits until ok says so of the cluster, and returns it. It fails with what the cluster says of itself.
func (w *world) await(uuid, what string, ok func(c *magnum.Cluster) bool) *magnum.Cluster {
	w.t.Helper()
	deadline, said := time.Now().Add(3*time.Minute), ""
	for {
		c, err := w.store.Cluster(w.t.Context(), system, uuid)
		if err == nil && ok(c) {
			return c
		}
		if err == nil && c.StatusReason != said {
			said = c.StatusReason
			w.t.Logf("%s: %s", c.Status, said)
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not within bounds; cluster %+v, error %v", what, c, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (w *world) awaitGone(uuid string) {
	w.t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for {
		c, err := w.store.Cluster(w.t.Context(), system, uuid)
		if err != nil && strings.Contains(err.Error(), "could not be found") {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("cluster is not gone: %+v, error %v", c, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func complete(s magnum.Status) func(*magnum.Cluster) bool {
	return func(c *magnum.Cluster) bool { return c.Status == s }
}

// nothingLeft waits until a cluster has left nothing in the management cluster: the garbage collector is not in a
// hurry.
func nothingLeft(t *testing.T, stack string) {
	t.Helper()
	var left []string
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if left = leftovers(t, stack); len(left) == 0 {
			return
		}
	}
	t.Errorf("left of %s in the management cluster: %q", stack, left)
}

// leftovers lists what a cluster has left in the management cluster.
func leftovers(t *testing.T, stack string) []string {
	t.Helper()
	var out []string
	for _, list := range []client.ObjectList{
		&clusterv1.ClusterList{}, &clusterv1.MachineList{}, &clusterv1.MachineDeploymentList{}, &clusterv1.MachineSetList{},
		&corev1.SecretList{}, &v1alpha1.MagnumNodeGroupList{}, &v1alpha1.MagnumClusterList{},
	} {
		if err := management.Client.List(t.Context(), list, client.InNamespace(v1alpha1.Namespace)); err != nil {
			t.Fatal(err)
		}
		err := meta.EachListItem(list, func(r runtime.Object) error {
			o, err := meta.Accessor(r)
			if err == nil && (strings.HasPrefix(o.GetName(), stack) || o.GetLabels()[clusterv1.ClusterNameLabel] == stack) {
				out = append(out, fmt.Sprintf("%T %s", r, o.GetName()))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}
