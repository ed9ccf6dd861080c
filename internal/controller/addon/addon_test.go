package addon

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

// What a tenant changes of ours is put back, and what is theirs stays.
func TestDrift(t *testing.T) {
	w := newWorld(t, catalogueOf(t, needed(nil)))
	if got := w.round(); got.Status.AddonsGeneration != got.Generation || w.state(catalogue.Cilium).State != v1alpha1.AddonAvailable {
		t.Fatalf("addons %+v", got.Status.Addons)
	}
	ctx := t.Context()
	changed := &corev1.ConfigMap{}
	key := client.ObjectKey{Namespace: catalogue.Namespace, Name: "network"}
	if err := workloads.Get(ctx, key, changed); err != nil {
		t.Fatal(err)
	}
	changed.Data["ours"], changed.Data["theirs"] = "changed", "kept"
	changed.Annotations = map[string]string{"tenant": "kept"}
	if err := workloads.Update(ctx, changed); err != nil {
		t.Fatal(err)
	}
	w.until("our field is put back", func() bool { return w.data("network")["ours"] == "a" })
	if err := workloads.Get(ctx, key, changed); err != nil {
		t.Fatal(err)
	}
	if changed.Data["theirs"] != "kept" || changed.Annotations["tenant"] != "kept" {
		t.Errorf("the tenant's fields are %v, %v", changed.Data, changed.Annotations)
	}
	if err := workloads.Delete(ctx, changed); err != nil {
		t.Fatal(err)
	}
	w.until("a deleted object comes again", func() bool { return w.data("network") != nil })
}

// A cluster in which nothing happens is not written to, nor its record.
func TestNothingToDo(t *testing.T) {
	w := newWorld(t, catalogueOf(t, needed(nil)))
	w.round()
	version := func(name string) string {
		m := &corev1.ConfigMap{}
		if err := workloads.Get(t.Context(), client.ObjectKey{Namespace: catalogue.Namespace, Name: name}, m); err != nil {
			t.Fatal(err)
		}
		return m.ResourceVersion
	}
	record, network, inventory := w.record(uuid).ResourceVersion, version("network"), version(inventoryName)
	w.restart(catalogueOf(t, needed(nil)))
	for range 3 {
		w.round()
	}
	if w.record(uuid).ResourceVersion != record || version("network") != network || version(inventoryName) != inventory {
		t.Error("another process with the same catalogue wrote something")
	}
}

// What a catalogue no longer has goes, what a tenant opts out of goes, and what is theirs stays although the inventory
// names it.
func TestPruning(t *testing.T) {
	const three = catalogue.Metrics
	w := newWorld(t, catalogueOf(t, needed(map[string]string{three: configMap("one", "a") + configMap("two", "a")})))
	w.round()
	if w.data("one") == nil || w.data("two") == nil {
		t.Fatal("the addon's objects are not there")
	}
	tenants := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: catalogue.Namespace, Name: "tenants"}, Data: map[string]string{"a": "b"}}
	if err := workloads.Create(t.Context(), tenants); err != nil {
		t.Fatal(err)
	}
	forged := &corev1.ConfigMap{}
	if err := workloads.Get(t.Context(), client.ObjectKey{Namespace: catalogue.Namespace, Name: inventoryName}, forged); err != nil {
		t.Fatal(err)
	}
	forged.Data["objects"] = strings.TrimSuffix(forged.Data["objects"], "]") + `,{"version":"v1","kind":"ConfigMap","namespace":"kube-system","name":"tenants"}]`
	if err := workloads.Update(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	w.restart(catalogueOf(t, needed(map[string]string{three: configMap("one", "a")})))
	w.round()
	if w.data("two") != nil || w.data("one") == nil || w.data("tenants") == nil {
		t.Errorf("two %v, one %v, tenants %v", w.data("two"), w.data("one"), w.data("tenants"))
	}
	if strings.Contains(w.inventory(), `"two"`) || strings.Contains(w.inventory(), "tenants") {
		t.Errorf("the inventory is %s", w.inventory())
	}
	w.edit(func(c *v1alpha1.MagnumCluster) { c.Spec.Labels[label.AddonsExcluded] = three })
	w.round()
	if w.data("one") != nil || w.state(three).State != v1alpha1.AddonSkipped {
		t.Errorf("opted out: %v, %+v", w.data("one"), w.state(three))
	}
	if w.data("network") == nil {
		t.Error("another addon went with it")
	}
}

// A process that is killed between any two writes leaves nothing that the next one does not know of.
func TestKilledInTheMiddle(t *testing.T) {
	first := catalogueOf(t, needed(map[string]string{catalogue.Metrics: configMap("left", "a") + configMap("never", "a")}))
	w := newWorld(t, first)
	s := &scope{record: w.record(uuid), before: w.record(uuid), failed: map[string]string{}, log: w.r.Log}
	for _, p := range w.r.phases() {
		if p.Name == "apply" {
			break
		}
		if out, err := p.Run(t.Context(), s); err != nil || !out.Done() {
			t.Fatalf("%s: %+v, %v", p.Name, out, err)
		}
	}
	for _, release := range s.releases { // it dies after the first object of each addon
		for _, u := range release.Objects[:min(1, len(release.Objects))] {
			if err := w.r.applyOne(t.Context(), s, u); err != nil {
				t.Fatal(err)
			}
		}
	}
	if w.data("left") == nil || w.data("never") != nil || !strings.Contains(w.inventory(), `"never"`) {
		t.Fatalf("left %v, never %v, inventory %s: the test shows nothing", w.data("left"), w.data("never"), w.inventory())
	}
	t.Log("the next process goes on with the same")
	w.restart(first)
	if w.round(); w.data("never") == nil {
		t.Error("what was not applied is not applied by the next")
	}
	t.Log("one with a newer catalogue takes away what the dead one made")
	w.restart(catalogueOf(t, needed(nil)))
	w.round()
	if w.data("left") != nil || w.data("never") != nil || strings.Contains(w.inventory(), "left") {
		t.Errorf("left %v, never %v, inventory %s", w.data("left"), w.data("never"), w.inventory())
	}
}

// An addon that never becomes available says what it waits for; one that is refused says why, and the others go on.
func TestNeverAvailable(t *testing.T) {
	bad := "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: Not_A_Name}\n"
	w := newWorld(t, catalogueOf(t, needed(map[string]string{catalogue.Cilium: configMap("network", "a") + deployment("agent"), catalogue.Metrics: bad})))
	w.round()
	if got := w.state(catalogue.Cilium); got.State != v1alpha1.AddonProgressing || !strings.Contains(got.Reason, "Deployment agent has just been changed") {
		t.Errorf("%+v", got)
	}
	if got := w.state(catalogue.Metrics); got.State != v1alpha1.AddonFailed || !strings.Contains(got.Reason, "Not_A_Name") {
		t.Errorf("%+v", got)
	}
	if got := w.state(catalogue.CloudManager); got.State != v1alpha1.AddonAvailable {
		t.Errorf("%+v", got)
	}
	t.Log("its status moves, and the watch tells")
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("apps/v1")
	u.SetKind("Deployment")
	if err := workloads.Get(t.Context(), client.ObjectKey{Namespace: catalogue.Namespace, Name: "agent"}, u); err != nil {
		t.Fatal(err)
	}
	u.Object["status"] = map[string]any{"observedGeneration": u.GetGeneration(), "replicas": int64(1), "readyReplicas": int64(1), "updatedReplicas": int64(1), "availableReplicas": int64(1)}
	if err := workloads.Status().Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	w.until("it is available", func() bool { return w.state(catalogue.Cilium).State == v1alpha1.AddonAvailable })
	if err := workloads.Delete(t.Context(), u); err != nil {
		t.Fatal(err)
	}
}

const brokenKubeconfig = `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: %q, insecure-skip-tls-verify: true}}], users: [{name: u, user: {token: t}}]}`

// An API server that accepts and never answers, and one whose errors are megabytes: bounded, told, and nobody else's
// matter.
func TestBrokenAPIServers(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	large := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(strings.Repeat("x", 10<<20)))
	}))
	defer large.Close()
	w := newWorld(t, catalogueOf(t, needed(nil)))
	for name, server := range map[string]string{"silent": "https://" + silent.Addr().String(), "large": large.URL} {
		w.cluster(name, "kube-"+name, fmt.Appendf(nil, brokenKubeconfig, server))
	}
	type ended struct {
		name string
		took time.Duration
		err  error
	}
	results := make(chan ended, 2)
	for _, name := range []string{"silent", "large"} {
		go func() {
			began := time.Now()
			_, err := w.r.Reconcile(context.WithoutCancel(t.Context()), request(name))
			results <- ended{name, time.Since(began), err}
		}()
	}
	began := time.Now()
	w.round() // the healthy one, beside them
	if took := time.Since(began); w.state(catalogue.Cilium).State != v1alpha1.AddonAvailable || took > 10*time.Second {
		t.Errorf("the healthy cluster took %s: %+v", took, w.record(uuid).Status.Addons)
	}
	for range 2 {
		e := <-results
		if e.err == nil || e.took > 45*time.Second {
			t.Errorf("%s: %v after %s", e.name, e.err, e.took)
		}
		addons := w.record(e.name).Status.Addons
		if len(addons) == 0 || addons[0].State != v1alpha1.AddonProgressing || addons[0].Reason == "" || len(addons[0].Reason) > 600 {
			t.Errorf("%s says %+v", e.name, addons)
		}
		if e.name == "silent" && !strings.Contains(addons[0].Reason, "The cluster's API server cannot be reached") {
			t.Errorf("silent says %q", addons[0].Reason)
		}
	}
}

// TestAControlPlaneMadeAnew has the address and the kubeconfig of the one before, and nothing of what was applied.
func TestAControlPlaneMadeAnew(t *testing.T) {
	config, err := os.ReadFile(workloadConfig)
	if err != nil {
		t.Fatal(err)
	}
	all := newSessions(func(string) {})
	t.Cleanup(func() { all.drop(uuid) })
	open := func(life string) *session {
		s, err := all.open(uuid, life, config, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := open("03:00")
	if open("03:00") != first {
		t.Error("a connection is kept")
	}
	if open("04:00") == first || first.ctx.Err() == nil {
		t.Error("what is known of a control plane that is gone is taken for true of the one after it")
	}
}
