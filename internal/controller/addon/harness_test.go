package addon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/event"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/kube/kubetest"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

// The workload cluster of these tests is a real API server with all of Kubernetes' kinds and its garbage collector, and
// without nodes; the management cluster, of which little is asked here, is a fake.
var (
	workloadConfig string        //nolint:gochecknoglobals // one API server for the package
	workloads      client.Client //nolint:gochecknoglobals // of it
)

func TestMain(m *testing.M) {
	os.Exit(kubetest.Main(m, kubetest.Options{Workload: true}, func(c *kubetest.Cluster) {
		cfg, err := kube.Connect(c.Workload)
		if err == nil {
			workloads, err = client.New(cfg, client.Options{})
		}
		if err == nil {
			err = kube.EnsureNamespace(context.Background(), workloads, catalogue.Namespace)
		}
		if err != nil {
			panic(err)
		}
		workloadConfig = c.Workload
	}))
}

type noCloud struct{}

func (noCloud) HasLoadBalancers() bool { return true }
func (noCloud) HasVolumes() bool       { return false }
func (noCloud) HasShares() bool        { return false }
func (noCloud) ShareTypes(context.Context) ([]string, error) {
	return nil, nil
}

func (noCloud) VolumeTypes(context.Context) ([]openstack.VolumeType, error) {
	return nil, nil
}

// catalogueOf has each addon as plain objects.
func catalogueOf(t *testing.T, addons map[string]string) *catalogue.Catalogue {
	t.Helper()
	files, list := fstest.MapFS{}, catalogue.List{Version: 1}
	for _, name := range catalogue.Names() {
		text, ok := addons[name]
		if !ok {
			continue
		}
		sum := sha256.Sum256([]byte(text))
		files[name+".yaml"] = &fstest.MapFile{Data: []byte(text)}
		list.Addons = append(list.Addons, catalogue.Entry{
			Name: name, Version: "v1.0.0", Kubernetes: ">=1.30.0-0", File: name + ".yaml", Digest: "sha256:" + hex.EncodeToString(sum[:]),
			Images: []string{"quay.io/cilium/cilium:v1.0.0"},
		})
	}
	text := "version: 1\naddons:\n"
	for _, e := range list.Addons {
		text += fmt.Sprintf("- {name: %s, version: %s, kubernetes: %q, file: %s, digest: %q, images: [%q]}\n", e.Name, e.Version, e.Kubernetes, e.File, e.Digest, e.Images[0])
	}
	files[catalogue.CatalogueFile] = &fstest.MapFile{Data: []byte(text)}
	c, err := catalogue.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// configMap is an object of an addon.
func configMap(name, value string) string {
	return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {ours: " + value + "}\n"
}

func deployment(name string) string {
	return "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name + "}\nspec:\n  replicas: 1\n  selector: {matchLabels: {app: a}}\n" +
		"  template: {metadata: {labels: {app: a}}, spec: {containers: [{name: a, image: \"quay.io/cilium/cilium:v1.0.0\"}]}}\n"
}

// needed are the addons without which no cluster is.
func needed(more map[string]string) map[string]string {
	out := map[string]string{catalogue.Cilium: configMap("network", "a"), catalogue.CloudManager: configMap("manager", "a")}
	for k, v := range more {
		out[k] = v
	}
	return out
}

// world is one server's controller with its management cluster.
type world struct {
	t          *testing.T
	r          *Reconciler
	management client.Client
	stop       context.CancelFunc
}

const uuid = "0b5b0e4c-6d5a-4a3b-9d53-3f5a4f9f1a00"

// newWorld begins with an empty workload cluster.
func newWorld(t *testing.T, c *catalogue.Catalogue) *world {
	t.Helper()
	ctx := t.Context()
	for _, o := range []client.Object{&corev1.ConfigMap{}, &corev1.Secret{}, &appsv1.Deployment{}, &appsv1.StatefulSet{}, &corev1.Pod{}} {
		if err := workloads.DeleteAllOf(ctx, o, client.InNamespace(catalogue.Namespace)); err != nil {
			t.Fatal(err)
		}
	}
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	byLabel := func(o client.Object) []string { return []string{o.GetLabels()[clusterv1.ClusterNameLabel]} }
	w := &world{t: t, management: fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.MagnumCluster{}).
		WithIndex(&controlplanev1.KubeadmControlPlane{}, kube.IndexStack, byLabel).
		WithIndex(&clusterv1.MachineDeployment{}, kube.IndexStack, byLabel).
		WithIndex(&clusterv1.Machine{}, kube.IndexStack, byLabel).Build()}
	text, err := os.ReadFile(workloadConfig)
	if err != nil {
		t.Fatal(err)
	}
	w.cluster(uuid, "kube-aaaaa", text)
	w.start(c)
	t.Cleanup(func() { w.stop() })
	return w
}

// cluster is one whose control plane has been initialized.
func (w *world) cluster(uuid, stack string, kubeconfig []byte) {
	w.t.Helper()
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: name, Labels: map[string]string{
			clusterv1.ClusterNameLabel: stack, v1alpha1.LabelClusterUUID: uuid,
		}}
	}
	record := &v1alpha1.MagnumCluster{ObjectMeta: meta(uuid)}
	record.Spec.StackID, record.Spec.MasterCount, record.Spec.Template.NetworkDriver = stack, 1, catalogue.Cilium
	record.Spec.Labels = map[string]string{label.KubeTag: "v1.36.4", label.KeystoneAuthEnabled: "false"}
	made := &clusterv1.Cluster{ObjectMeta: meta(stack)}
	made.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: "192.0.2.1", Port: 6443}
	plane := &controlplanev1.KubeadmControlPlane{ObjectMeta: meta(stack + "-cp")}
	plane.Status.Initialization.ControlPlaneInitialized = new(true)
	for _, o := range []client.Object{
		record, made, plane,
		&corev1.Secret{ObjectMeta: meta(stack + "-kubeconfig"), Data: map[string][]byte{"value": kubeconfig}},
		&corev1.Secret{ObjectMeta: meta(stack + "-cloud-config"), Data: map[string][]byte{"clouds.yaml": []byte(
			"clouds: {default: {auth: {auth_url: 'https://k/v3', application_credential_id: id, application_credential_secret: s3cret}, region_name: R}}")}},
	} {
		if err := w.management.Create(w.t.Context(), o); err != nil {
			w.t.Fatal(err)
		}
	}
}

// start is a process that begins with nothing in memory.
func (w *world) start(c *catalogue.Catalogue) {
	w.r = &Reconciler{
		Client: w.management, Reader: w.management, Catalogue: c, Recorder: events.NewFakeRecorder(1000), Now: time.Now, Log: slog.New(slog.DiscardHandler),
		CloudFor: func(context.Context, []byte) (Cloud, error) { return noCloud{}, nil },
		woken:    make(chan event.GenericEvent, 1024),
	}
	w.r.sessions = newSessions(w.r.wake)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = w.r.sessions.Start(ctx) }()
	w.stop = func() { cancel(); <-ended }
}

// restart is another process, with another catalogue.
func (w *world) restart(c *catalogue.Catalogue) {
	w.stop()
	w.start(c)
}

func request(uuid string) ctrl.Request {
	return ctrl.Request{NamespacedName: client.ObjectKey{Namespace: v1alpha1.Namespace, Name: uuid}}
}

// round runs one, and returns the record as it is then.
func (w *world) round() *v1alpha1.MagnumCluster {
	w.t.Helper()
	if _, err := w.r.Reconcile(w.t.Context(), request(uuid)); err != nil {
		w.t.Fatal(err)
	}
	return w.record(uuid)
}

func (w *world) record(uuid string) *v1alpha1.MagnumCluster {
	w.t.Helper()
	out := &v1alpha1.MagnumCluster{}
	if err := w.management.Get(w.t.Context(), request(uuid).NamespacedName, out); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// edit changes what is asked for.
func (w *world) edit(change func(*v1alpha1.MagnumCluster)) {
	w.t.Helper()
	record := w.record(uuid)
	change(record)
	record.Generation++
	if err := w.management.Update(w.t.Context(), record); err != nil {
		w.t.Fatal(err)
	}
}

// until runs rounds when the controller is woken, as its queue would, until ok.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	late := time.After(time.Minute)
	for !ok() {
		select {
		case <-w.r.woken:
			w.round()
		case <-late:
			w.t.Fatalf("%s: not within a minute; addons %+v", what, w.record(uuid).Status.Addons)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// data is what a ConfigMap of the workload cluster has; nil when it is gone.
func (w *world) data(name string) map[string]string {
	w.t.Helper()
	m := &corev1.ConfigMap{}
	err := workloads.Get(w.t.Context(), client.ObjectKey{Namespace: catalogue.Namespace, Name: name}, m)
	if client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
	return m.Data
}

func (w *world) state(name string) v1alpha1.AddonStatus {
	w.t.Helper()
	for _, a := range w.record(uuid).Status.Addons {
		if a.Name == name {
			return a
		}
	}
	return v1alpha1.AddonStatus{}
}

func (w *world) inventory() string { return strings.TrimSpace(w.data(inventoryName)["objects"]) }
