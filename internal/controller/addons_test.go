package controller_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/controller"
	"github.com/jeroboam-cloud/jeroboam/internal/controller/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

// plainCloud is a cloud with nothing that an addon would be for.
type plainCloud struct{}

func (plainCloud) HasLoadBalancers() bool                                      { return true }
func (plainCloud) HasVolumes() bool                                            { return false }
func (plainCloud) VolumeTypes(context.Context) ([]openstack.VolumeType, error) { return nil, nil }
func (plainCloud) HasShares() bool                                             { return false }
func (plainCloud) ShareTypes(context.Context) ([]string, error)                { return nil, nil }

func addonCloud(context.Context, []byte) (addon.Cloud, error) { return plainCloud{}, nil }

type version struct{ name, version, serves, more string }

// older is a catalogue whose addons have a version for Kubernetes 1.34 and one for 1.35, but for the network, which has
// one for both.
func older() []version {
	return []version{
		{catalogue.Cilium, "v1.0.0", "<1.36.0-0", ""},
		{catalogue.CloudManager, "v1.0.0", "<1.35.0-0", ""},
		{catalogue.CloudManager, "v1.1.0", ">=1.35.0-0", ""},
		{catalogue.Metrics, "v1.0.0", "<1.35.0-0", ""},
		{catalogue.Metrics, "v1.1.0", ">=1.34.0-0", ""},
	}
}

// newer has a newer network as well, with a Deployment that becomes available when the test says so.
func newer() []version {
	return append(older(), version{catalogue.Cilium, "v1.1.0", "<1.36.0-0", `
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: network}, spec: {replicas: 1, selector: {matchLabels: {a: b}},
  template: {metadata: {labels: {a: b}}, spec: {nodeSelector: {ready: for-it}, terminationGracePeriodSeconds: 0, containers: [{name: a, image: "quay.io/cilium/cilium:v1"}]}}}}
`})
}

func catalogueOf(t *testing.T, versions []version) *catalogue.Catalogue {
	t.Helper()
	files, list := fstest.MapFS{}, "version: 1\naddons:\n"
	for _, e := range versions {
		text := fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: {version: %s}}\n%s", e.name, e.version, e.more)
		file := e.name + e.version + ".yaml"
		files[file] = &fstest.MapFile{Data: []byte(text)}
		list += fmt.Sprintf("- {name: %s, version: %s, kubernetes: %q, file: %s, digest: \"sha256:%x\", images: [\"quay.io/cilium/cilium:v1\"]}\n",
			e.name, e.version, e.serves, file, sha256.Sum256([]byte(text)))
	}
	files[catalogue.CatalogueFile] = &fstest.MapFile{Data: []byte(list)}
	c, err := catalogue.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// workloadClient is a cluster's own API server.
func workloadClient(t *testing.T, stack string) client.Client {
	t.Helper()
	s := &corev1.Secret{}
	if err := management.Client.Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: stack + "-kubeconfig"}, s); err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(s.Data["value"])
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cfg, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Addons and nodes change in turn when a cluster is upgraded: the network first, then masters, then what follows them,
// then workers, then the rest.
func TestSlowUpgradeWaitsForTheNetwork(t *testing.T) {
	w := newWorldWith(t, controller.Addons{Catalogue: catalogueOf(t, older()), CloudFor: addonCloud})
	c := w.create("in-turn", 1, 1, func(c *magnum.Cluster) {
		c.Template.NetworkDriver = catalogue.Cilium
		c.Labels[label.KubeTag], c.Labels[label.KeystoneAuthEnabled] = "v1.34.1", "false"
	})
	w.await(c.UUID, "creation", complete(magnum.CreateComplete))
	inside := workloadClient(t, c.StackID)
	version := func(name string) string {
		m := &corev1.ConfigMap{}
		if err := inside.Get(t.Context(), client.ObjectKey{Namespace: catalogue.Namespace, Name: name}, m); err != nil {
			t.Fatal(err)
		}
		return m.Data["version"]
	}
	record := func() *v1alpha1.MagnumCluster {
		r := &v1alpha1.MagnumCluster{}
		if err := management.Client.Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: c.UUID}, r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if v := version(catalogue.Cilium); v != "v1.0.0" {
		t.Fatalf("the network is %s: the test shows nothing", v)
	}

	t.Log("a newer catalogue, and an upgrade at once")
	w.stop()
	w.addons.Catalogue = catalogueOf(t, newer())
	w.start()
	w.upgrade(c, "v1.35.1", imageOne)
	got := w.await(c.UUID, "the reason is told", func(c *magnum.Cluster) bool {
		return strings.Contains(c.StatusReason, "Addon cilium: Deployment network")
	})
	if !strings.Contains(got.StatusReason, "addons that have to be first in an upgrade to Kubernetes v1.35.1") {
		t.Errorf("it says %q", got.StatusReason)
	}
	time.Sleep(2 * time.Second) // time enough for what must not happen
	live := &clusterv1.Cluster{}
	if err := management.Client.Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: c.StackID}, live); err != nil {
		t.Fatal(err)
	}
	if v := live.Spec.Topology.Version; v != "v1.34.1" {
		t.Errorf("Cluster API was told of %s before the network was ready", v)
	}
	if n, m, o := version(catalogue.Cilium), version(catalogue.CloudManager), version(catalogue.Metrics); n != "v1.1.0" || m != "v1.0.0" || o != "v1.1.0" {
		t.Errorf("network %s, cloud controller manager %s, metrics-server %s", n, m, o)
	}
	for _, a := range record().Status.Addons {
		if a.Name == catalogue.CloudManager && (a.State != v1alpha1.AddonProgressing || !strings.Contains(a.Reason, "is not upgraded until every master runs Kubernetes v1.35.1")) {
			t.Errorf("%+v", a)
		}
	}

	t.Log("every node that is there or comes is one that it runs on")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for ; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
			nodes := &corev1.NodeList{}
			_ = inside.List(ctx, nodes)
			for i := range nodes.Items {
				_ = inside.Patch(ctx, &nodes.Items[i], client.RawPatch(types.MergePatchType, []byte(`{"metadata": {"labels": {"ready": "for-it"}}}`)))
			}
		}
	}()
	got = w.await(c.UUID, "upgrade", complete(magnum.UpdateComplete))
	if m, o := version(catalogue.CloudManager), version(catalogue.Metrics); got.COEVersion != "v1.35.1" || m != "v1.1.0" || o != "v1.1.0" {
		t.Errorf("Kubernetes %s, cloud controller manager %s, metrics-server %s", got.COEVersion, m, o)
	}
}
