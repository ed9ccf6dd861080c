package addon

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/kube/kubetest"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

var (
	idleClusters = flag.Int("idle-clusters", 1000, "how many clusters TestSlowIdleClusters has") //nolint:gochecknoglobals // a flag
	idleTime     = flag.Duration("idle-time", 2*time.Minute, "how long it looks at them")        //nolint:gochecknoglobals // a flag
)

// What one cluster at rest may cost the server. Kinds that are watched are what it grows with: ten here, as Cilium and
// a cloud controller manager have.
const (
	mostGoroutines = 40
	mostMemory     = 1 << 20 // bytes of heap and stacks, caches of the management cluster's objects included
	mostSent       = 2 << 10 // bytes a minute: HTTP/2's pings
)

// TestSlowIdleClusters is the benchmark of a thousand (make bench-idle); make e2e has a few of them.
func TestSlowIdleClusters(t *testing.T) { idle(t, *idleClusters, *idleTime) }

// idle makes clusters in a real management cluster, all of them with one real API server behind them, waits until their
// addons are available, and looks at what they cost while nothing happens.
func idle(t *testing.T, n int, watched time.Duration) {
	t.Helper()
	w := newIdle(t)
	began, before := time.Now(), costOf(w)
	w.make(n)
	t.Logf("%d records after %s", n, time.Since(began).Round(time.Second))
	w.start()
	w.settled(n)
	t.Logf("addons of %d clusters available after %s; load %s", n, time.Since(began).Round(time.Second), load())
	quiet := w.rest()
	time.Sleep(watched)
	after := costOf(w)
	per := func(x int64) int64 { return x / int64(n) }
	minutes := watched.Minutes()
	t.Logf("at rest: %d connections, at most %d; %.1f goroutines, %d KiB for each cluster (%d MiB resident in all); in %s: %d requests to the management "+
		"cluster, %d to the cloud, %d bytes sent to each cluster and minute; load %s", after.open, after.most, float64(after.goroutines-before.goroutines)/float64(n),
		per(after.memory-before.memory)>>10, after.resident>>20, watched, after.requests-quiet.requests, after.cloud-quiet.cloud,
		int64(float64(per(after.sent-quiet.sent))/minutes), load())
	for _, check := range []struct {
		what      string
		got, most int64
	}{
		{"connections", after.most, int64(n)},
		{"goroutines of one cluster", per(after.goroutines - before.goroutines), mostGoroutines},
		{"bytes of one cluster", per(after.memory - before.memory), mostMemory},
		{"requests to the management cluster while nothing happens", after.requests - quiet.requests, 0},
		{"requests to the cloud while nothing happens", after.cloud - quiet.cloud, 0},
		{"bytes sent to one cluster in a minute", int64(float64(per(after.sent-quiet.sent)) / minutes), mostSent},
		{"connections that were made while nothing happened", after.made - quiet.made, 0},
	} {
		if check.got > check.most {
			t.Errorf("%d %s, %d at most", check.got, check.what, check.most)
		}
	}
	if after.open != int64(n) {
		t.Errorf("%d connections are open for %d clusters: the test shows nothing", after.open, n)
	}
}

// idleWorld is a server's addon controller on a real management cluster.
type idleWorld struct {
	t          *testing.T
	config     *rest.Config
	client     client.Client
	kubeconfig []byte

	open, most, made, sent, requests, cloud atomic.Int64
}

func newIdle(t *testing.T) *idleWorld {
	t.Helper()
	clusterAPI, err := kubetest.ModuleDir(t.Context(), kubetest.ClusterAPIModule)
	if err != nil {
		t.Fatal(err)
	}
	management := kubetest.Start(t, kubetest.Options{CRDDirs: []string{
		filepath.Join(clusterAPI, "core/config/crd/bases"), filepath.Join(clusterAPI, "controlplane/kubeadm/config/crd/bases"),
	}})
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	plain := rest.CopyConfig(management.Config)
	plain.QPS = -1
	w := &idleWorld{t: t, config: rest.CopyConfig(management.Config)}
	if w.client, err = client.New(plain, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	if w.kubeconfig, err = os.ReadFile(workloadConfig); err != nil {
		t.Fatal(err)
	}
	w.config.QPS = -1
	w.config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return counted(func(r *http.Request) (*http.Response, error) {
			if !strings.Contains(r.URL.RawQuery, "watch=") {
				w.requests.Add(1)
			}
			return next.RoundTrip(r)
		})
	})
	return w
}

type counted func(r *http.Request) (*http.Response, error)

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) { return c(r) }

// make makes n clusters that look complete.
func (w *idleWorld) make(n int) {
	w.t.Helper()
	var all sync.WaitGroup
	next := make(chan int)
	for range 16 {
		all.Go(func() {
			for i := range next {
				w.one(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
	if w.t.Failed() {
		w.t.FailNow()
	}
}

func (w *idleWorld) one(i int) {
	ctx, uuid, stack := w.t.Context(), fmt.Sprintf("018f3c1e-0000-7000-8000-%012d", i), fmt.Sprintf("kube-%05d", i)
	labels := map[string]string{clusterv1.ClusterNameLabel: stack, v1alpha1.LabelClusterUUID: uuid}
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: name, Labels: labels}
	}
	record := store.ClusterRecord(&magnum.Cluster{
		UUID: uuid, Name: stack, ProjectID: "p", UserID: "u", StackID: stack, ClusterTemplateID: "t", CreateTimeout: 60, MasterCount: 1, NodeCount: 2,
		Labels:   map[string]string{label.KubeTag: "v1.36.4", label.KeystoneAuthEnabled: "false"},
		FlavorID: "m1.small", MasterFlavorID: "m1.small", MasterLBEnabled: true, FloatingIPEnabled: true,
		Template: magnum.ClusterTemplate{TemplateFields: magnum.TemplateFields{
			Name: "t", ProjectID: "p", COE: "kubernetes", ImageID: "ubuntu", ServerType: "vm", NetworkDriver: catalogue.Cilium, ClusterDistro: "ubuntu",
			ExternalNetworkID: "public",
		}},
		Resolved: magnum.Resolved{ImageID: uuid, ImageOSDistro: "ubuntu", FlavorName: "m1.small", MasterFlavorName: "m1.small", ExternalNetworkID: "external"}, // what is applied is the same for all: they share an API server
	})
	made := &clusterv1.Cluster{ObjectMeta: meta(stack)}
	made.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: "192.0.2.1", Port: 6443}
	made.Spec.ControlPlaneRef = clusterv1.ContractVersionedObjectReference{APIGroup: "controlplane.cluster.x-k8s.io", Kind: "KubeadmControlPlane", Name: stack}
	made.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "OpenStackCluster", Name: stack}
	plane := &controlplanev1.KubeadmControlPlane{ObjectMeta: meta(stack)}
	plane.Spec.Version = "v1.36.4"
	plane.Spec.MachineTemplate.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{
		APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "OpenStackMachineTemplate", Name: stack,
	}
	objects := []client.Object{
		made, plane,
		&corev1.Secret{ObjectMeta: meta(stack + "-kubeconfig"), Data: map[string][]byte{"value": w.kubeconfig}},
		&corev1.Secret{ObjectMeta: meta(stack + "-cloud-config"), Data: map[string][]byte{"clouds.yaml": []byte(
			"clouds: {default: {auth: {auth_url: 'https://k/v3', application_credential_id: id, application_credential_secret: s}, region_name: R}}")}},
	}
	for m := range 3 {
		machine := &clusterv1.Machine{ObjectMeta: meta(fmt.Sprintf("%s-%d", stack, m))}
		machine.Spec.ClusterName, machine.Spec.Version = stack, "v1.36.4"
		machine.Spec.Bootstrap.DataSecretName = new("d")
		machine.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "OpenStackMachine", Name: stack}
		objects = append(objects, machine)
	}
	for _, o := range append(objects, record) {
		if err := w.client.Create(ctx, o); err != nil {
			w.t.Errorf("make %T %s: %v", o, o.GetName(), err)
			return
		}
	}
	plane.Status.Initialization.ControlPlaneInitialized = new(true)
	if err := w.client.Status().Update(ctx, plane); err != nil {
		w.t.Errorf("the control plane's status: %v", err)
	}
}

// start starts the controller as a server has it.
func (w *idleWorld) start() {
	w.t.Helper()
	scheme, err := kube.NewScheme()
	if err != nil {
		w.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	mgr, err := ctrl.NewManager(w.config, ctrl.Options{
		Scheme: scheme, Logger: logr.FromSlogHandler(log.Handler()), Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true), RecoverPanic: new(false)},
		Cache:      cache.Options{DefaultNamespaces: map[string]cache.Config{v1alpha1.Namespace: {}}},
		Client:     client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := kube.AddIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		w.t.Fatal(err)
	}
	r := &Reconciler{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Catalogue: catalogueOf(w.t, tenKinds()), Recorder: mgr.GetEventRecorder("test"),
		Now: time.Now, Log: log, Concurrency: 40, Dial: w.dial,
		CloudFor: func(context.Context, []byte) (Cloud, error) { w.cloud.Add(1); return noCloud{}, nil },
	}
	if err := r.Setup(mgr); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = mgr.Start(ctx) }()
	w.t.Cleanup(func() { cancel(); <-ended })
}

// tenKinds are addons with as many kinds as those of a real cluster have.
func tenKinds() map[string]string {
	const role = "rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]\n"
	const subjects = "subjects: [{kind: ServiceAccount, name: idle, namespace: kube-system}]\n"
	rbac := "---\napiVersion: rbac.authorization.k8s.io/v1\n"
	return map[string]string{
		catalogue.Cilium: configMap("network", "a") + deployment("idle") +
			strings.Replace(strings.Replace(deployment("idle"), "Deployment", "DaemonSet", 1), "  replicas: 1\n", "", 1) +
			"---\napiVersion: v1\nkind: Service\nmetadata: {name: idle}\nspec: {selector: {app: a}, ports: [{port: 80}]}\n",
		catalogue.CloudManager: configMap("manager", "a") + "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: idle}\n" +
			rbac + "kind: Role\nmetadata: {name: idle}\n" + role + rbac + "kind: ClusterRole\nmetadata: {name: jeroboam-idle}\n" + role +
			rbac + "kind: RoleBinding\nmetadata: {name: idle}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: idle}\n" + subjects +
			rbac + "kind: ClusterRoleBinding\nmetadata: {name: jeroboam-idle}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: jeroboam-idle}\n" + subjects,
	}
}
