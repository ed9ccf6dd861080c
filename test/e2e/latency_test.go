package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

// How long after the management cluster knows it does a client see it? Nothing polls in between, so it should be
// milliseconds; on a busy machine it is not, and the figure is told rather than judged. It is not in parallel with
// other tests.
func TestLatencyOfStatus(t *testing.T) {
	all := shared(t)
	user := all.as(t, "demo")
	uuid := user.start(t, "timed", user.template(t, "timed", "v1.34.2", nil), nil)
	ctx, cancel := context.WithTimeout(t.Context(), clusterBound)
	defer cancel()
	machines, stack := make(chan time.Time, 1), user.stack(t, uuid)
	go func() {
		at, err := all.conditionsTrue(ctx, stack)
		if err != nil {
			t.Errorf("watch the Cluster: %v", err)
		}
		machines <- at
	}()
	var told time.Time
	for {
		c, ok, err := user.get(ctx, uuid)
		if err != nil || !ok || c.Status == "CREATE_FAILED" {
			t.Fatalf("cluster: %+v, there: %v, error: %v", c, ok, err)
		}
		if c.Status == "CREATE_COMPLETE" {
			told = time.Now()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	knew := <-machines
	if knew.IsZero() {
		t.FailNow()
	}
	// Available may come after the last machine is ready, which is when a cluster is complete: then the figure is
	// negative.
	latency := told.Sub(knew)
	t.Logf("CREATE_COMPLETE was shown %s after Cluster API's conditions were true", latency.Round(time.Millisecond))
	if latency > 30*time.Second {
		t.Errorf("%s is not \"driven by watches\" on any machine", latency)
	}
}

// conditionsTrue watches a Cluster until it is available, its topology reconciled and its workers there, and returns
// when.
func (a *allinone) conditionsTrue(ctx context.Context, stack string) (time.Time, error) {
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(a.stateDir, "management.kubeconfig"))
	if err != nil {
		return time.Time{}, err
	}
	c, err := dynamic.NewForConfig(config)
	if err != nil {
		return time.Time{}, err
	}
	clusters := c.Resource(schema.GroupVersionResource{Group: "cluster.x-k8s.io", Version: "v1beta2", Resource: "clusters"}).Namespace("magnum-system")
	w, err := clusters.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + stack})
	if err != nil {
		return time.Time{}, err
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		o, ok := e.Object.(*unstructured.Unstructured)
		if !ok {
			return time.Time{}, fmt.Errorf("watch: %v", e.Object)
		}
		list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		found := map[string]bool{}
		for _, item := range list {
			if c, ok := item.(map[string]any); ok && c["status"] == "True" {
				found[fmt.Sprint(c["type"])] = true
			}
		}
		if found["Available"] && found["TopologyReconciled"] && found["WorkerMachinesReady"] && found["ControlPlaneMachinesReady"] {
			return time.Now(), nil
		}
	}
	return time.Time{}, fmt.Errorf("the watch ended: %w", context.Cause(ctx))
}
