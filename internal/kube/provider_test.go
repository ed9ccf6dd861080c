package kube_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

// The objects are as cluster-api-provider-openstack 0.13 writes them: of a server that Nova has put into ERROR the
// condition has a reason and no message; of one that Nova refused it has the whole error.
const provided = `
apiVersion: infrastructure.cluster.x-k8s.io/v1beta1
kind: OpenStackCluster
metadata: {name: kube-abcde-x7f2k, namespace: magnum-system, labels: {cluster.x-k8s.io/cluster-name: kube-abcde}}
status: {ready: false}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha1
kind: OpenStackServer
metadata: {name: kube-abcde-cp-1, namespace: magnum-system, labels: {cluster.x-k8s.io/cluster-name: kube-abcde}}
status:
  ready: false
  instanceID: 5f1e4c0a-0000-4000-8000-000000000001
  instanceState: ERROR
  conditions:
  - {type: Ready, status: "False", severity: Error, reason: InstanceStateError, lastTransitionTime: "2026-01-02T03:04:05Z"}
  - {type: InstanceReady, status: "False", severity: Error, reason: InstanceStateError, lastTransitionTime: "2026-01-02T03:04:05Z"}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha1
kind: OpenStackServer
metadata: {name: kube-abcde-w-1, namespace: magnum-system, labels: {cluster.x-k8s.io/cluster-name: kube-abcde}}
status:
  ready: false
  instanceState: ERROR
  conditions:
  - {type: InstanceReady, status: "False", severity: Error, reason: InstanceCreateFailed, message: "error creating Openstack instance: no"}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha1
kind: OpenStackServer
metadata: {name: kube-abcde-w-2, namespace: magnum-system, labels: {cluster.x-k8s.io/cluster-name: kube-abcde}}
status: {ready: false}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha1
kind: OpenStackServer
metadata: {name: kube-abcde-w-3, namespace: magnum-system, labels: {cluster.x-k8s.io/cluster-name: kube-abcde}}
status: {ready: true, instanceState: ACTIVE, instanceID: i, conditions: [{type: InstanceReady, status: "True"}]}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha1
kind: OpenStackServer
metadata: {name: kube-other-w-1, namespace: magnum-system, labels: {cluster.x-k8s.io/cluster-name: kube-other}}
status: {instanceState: ERROR}
`

func TestReadProvider(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 14, 0, 0, time.UTC)
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	const group = "infrastructure.cluster.x-k8s.io"
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{{Group: group, Version: "v1beta1"}, {Group: group, Version: "v1alpha1"}})
	for kind, version := range map[string]string{"OpenStackCluster": "v1beta1", "OpenStackServer": "v1alpha1"} {
		mapper.Add(schema.GroupVersionKind{Group: group, Version: version, Kind: kind}, meta.RESTScopeNamespace)
	}
	event := func(name, kind, object, how, text string, ago time.Duration) client.Object {
		return &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "magnum-system", Name: name}, InvolvedObject: corev1.ObjectReference{Kind: kind, Name: object},
			Type: how, Message: text, LastTimestamp: metav1.NewTime(now.Add(-ago)),
		}
	}
	const network = "kube-abcde-x7f2k"
	old := event("old", "OpenStackCluster", network, "Warning", "Failed to create network", 10*time.Minute)
	made := event("made", "OpenStackCluster", network, "Normal", "Created network", 9*time.Minute)
	router := event("router", "OpenStackCluster", network, "Warning", "Failed to create router", time.Minute)
	port := event("port", "OpenStackServer", "kube-abcde-w-2", "Warning", "Failed to create port", time.Minute)
	servers := []kube.ProviderServer{
		{Name: "kube-abcde-cp-1", ID: "5f1e4c0a-0000-4000-8000-000000000001", Failed: true},
		{Name: "kube-abcde-w-1", Failed: true, Message: "error creating Openstack instance: no"},
		{Name: "kube-abcde-w-2"},
		{Name: "kube-abcde-w-3", ID: "i", Ready: true},
	}
	for name, is := range map[string]struct {
		reason string
		events []client.Object
		want   string // warning of the cluster
		port   string // of kube-abcde-w-2
	}{
		"none":             {reason: "events are forgotten after an hour"},
		"it is over":       {reason: "what came after it worked", events: []client.Object{old, made}},
		"the last one":     {reason: "that is what it hangs on", events: []client.Object{old, made, router}, want: "Failed to create router"},
		"long ago":         {reason: "it would have warned again", events: []client.Object{event("x", "OpenStackCluster", network, "Warning", "Failed", 21*time.Minute)}},
		"of a server":      {reason: "no condition tells it", events: []client.Object{port}, port: "Failed to create port"},
		"of another thing": {reason: "a name is not enough", events: []client.Object{event("x", "Machine", network, "Warning", "Failed", 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			index := func(get func(*corev1.Event) string) client.IndexerFunc {
				return func(o client.Object) []string { return []string{get(o.(*corev1.Event))} }
			}
			b := fake.NewClientBuilder().WithScheme(scheme).WithRESTMapper(mapper).WithObjects(is.events...).
				WithIndex(&corev1.Event{}, "involvedObject.kind", index(func(e *corev1.Event) string { return e.InvolvedObject.Kind })).
				WithIndex(&corev1.Event{}, "involvedObject.name", index(func(e *corev1.Event) string { return e.InvolvedObject.Name }))
			for _, text := range strings.Split(provided, "---\n") {
				u := &unstructured.Unstructured{}
				if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
					t.Fatal(err)
				}
				b = b.WithObjects(u)
			}
			cluster := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "kube-abcde"}}
			cluster.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "OpenStackCluster", Name: network}
			got, err := kube.ReadProvider(t.Context(), b.Build(), mapper, cluster, now)
			if err != nil {
				t.Fatal(err)
			}
			want := &kube.Provider{Warning: is.want, Missing: "the network", Servers: append([]kube.ProviderServer{}, servers...)}
			want.Servers[2].Warning = is.port
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", is.reason, diff)
			}
		})
	}
	t.Run("another provider", func(t *testing.T) {
		cluster := &clusterv1.Cluster{}
		cluster.Spec.InfrastructureRef.Kind = "DevCluster"
		if got, err := kube.ReadProvider(t.Context(), nil, nil, cluster, now); got != nil || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	})
	t.Run("no provider yet", func(t *testing.T) {
		cluster := &clusterv1.Cluster{}
		cluster.Spec.InfrastructureRef.Kind = "OpenStackCluster"
		empty := meta.NewDefaultRESTMapper(nil)
		if got, err := kube.ReadProvider(t.Context(), fake.NewClientBuilder().WithScheme(scheme).Build(), empty, cluster, now); err != nil || len(got.Servers) > 0 {
			t.Errorf("%v, %v", got, err)
		}
	})
}
