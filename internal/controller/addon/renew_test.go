package addon

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
)

// made is an object that somebody else has made before us.
func made(t *testing.T, manager, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	if err := workloads.Create(t.Context(), u, client.FieldOwner(manager)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = workloads.Delete(t.Context(), u) })
	return u
}

// now is the object as it is.
func now(t *testing.T, u *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	out := &unstructured.Unstructured{}
	out.SetGroupVersionKind(u.GroupVersionKind())
	if err := workloads.Get(t.Context(), client.ObjectKeyFromObject(u), out); err != nil {
		t.Fatal(err)
	}
	return out
}

const oldAgent = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: agent, namespace: kube-system}, spec: {
  selector: {matchLabels: {%s}}, template: {metadata: {labels: {%s}}, spec: {containers: [
  {name: a, image: old, env: [{name: OLD, value: x}]}, {name: sidecar, image: old}]}}}}`

func agent(labels string) string { return strings.ReplaceAll(oldAgent, "%s", labels) }

// A workload that magnum-cluster-api made is taken over as it is: it keeps the selector that it was made with, loses
// what only its maker wanted, and no pod goes before its successor is there.
func TestAdoptedWorkload(t *testing.T) {
	w := newWorld(t, catalogueOf(t, needed(map[string]string{catalogue.Metrics: deployment("agent")})))
	before := made(t, "cluster-api-controller-manager", agent("k8s-app: theirs"))
	tenants := now(t, before)
	tenants.SetAnnotations(map[string]string{"tenant": "kept"})
	if err := workloads.Update(t.Context(), tenants, client.FieldOwner("kubectl-edit")); err != nil {
		t.Fatal(err)
	}
	w.round()
	after := &appsv1.Deployment{}
	if err := workloads.Get(t.Context(), client.ObjectKeyFromObject(before), after); err != nil {
		t.Fatal(err)
	}
	if after.UID != before.GetUID() {
		t.Error("it was made anew")
	}
	if diff := cmp.Diff(map[string]string{"k8s-app": "theirs"}, after.Spec.Selector.MatchLabels); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"k8s-app": "theirs", "app": "a"}, after.Spec.Template.Labels); diff != "" {
		t.Errorf("pods are found by the old selector and by our Services: %s", diff)
	}
	if c := after.Spec.Template.Spec.Containers; len(c) != 1 || c[0].Image == "old" || len(c[0].Env) != 0 {
		t.Errorf("its maker's containers are left: %+v", c)
	}
	if after.Annotations["tenant"] != "kept" || after.Labels[catalogue.Label] != catalogue.Metrics {
		t.Errorf("annotations %v, labels %v", after.Annotations, after.Labels)
	}
	if got := w.state(catalogue.Metrics); got.State == v1alpha1.AddonFailed {
		t.Errorf("%+v", got)
	}
	t.Log("another process does the same and writes nothing")
	version := after.ResourceVersion
	w.restart(w.r.Catalogue)
	w.round()
	if got := now(t, before).GetResourceVersion(); got != version {
		t.Errorf("it was written again: %s, then %s", version, got)
	}
}

// What never changes and is to be another: the kind decides whether the object may be made anew.
func TestImmutableFields(t *testing.T) {
	const pod = `{apiVersion: v1, kind: Pod, metadata: {name: set-0, namespace: kube-system, labels: {app: a}}, spec: {containers: [{name: a, image: b}]}}`
	for name, is := range map[string]struct {
		reason, before, release string
		anew, failed            bool
		check                   func(t *testing.T, after *unstructured.Unstructured)
	}{
		"a selector with another value of our label": {
			reason: "nobody would find the pods of one by the other", before: agent("app: theirs"), release: deployment("agent"), anew: true,
			check: func(t *testing.T, after *unstructured.Unstructured) {
				t.Helper()
				if labels, _, _ := unstructured.NestedStringMap(after.Object, "spec", "selector", "matchLabels"); labels["app"] != "a" {
					t.Errorf("selector %v", labels)
				}
			},
		},
		"a set's service": {
			reason: "its pods stay, and the new one finds them",
			before: `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: set, namespace: kube-system}, spec: {serviceName: old, selector: {matchLabels: {app: a}},
				template: {metadata: {labels: {app: a}}, spec: {containers: [{name: a, image: "quay.io/cilium/cilium:v1.0.0"}]}}}}`,
			release: `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: set, namespace: kube-system}, spec: {serviceName: new, selector: {matchLabels: {app: a}},
				template: {metadata: {labels: {app: a}}, spec: {containers: [{name: a, image: "quay.io/cilium/cilium:v1.0.0"}]}}}}`, anew: true,
			check: func(t *testing.T, _ *unstructured.Unstructured) {
				t.Helper()
				p := &corev1.Pod{}
				if err := workloads.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "set-0"}, p); err != nil || p.DeletionTimestamp != nil || len(p.OwnerReferences) > 0 {
					t.Errorf("its pod: %v, %v, owners %v", err, p.DeletionTimestamp, p.OwnerReferences)
				}
			},
		},
		"a storage class's parameters": {
			reason:  "volumes know it by its name only",
			before:  `{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: block-a}, provisioner: cinder.csi.openstack.org, parameters: {type: old}}`,
			release: `{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: block-a}, provisioner: cinder.csi.openstack.org, parameters: {type: new}}`, anew: true,
			check: func(t *testing.T, after *unstructured.Unstructured) {
				t.Helper()
				if p, _, _ := unstructured.NestedString(after.Object, "parameters", "type"); p != "new" {
					t.Errorf("type %q", p)
				}
			},
		},
		"a job": {
			reason: "it is to run again",
			before: `{apiVersion: batch/v1, kind: Job, metadata: {name: job, namespace: kube-system}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: "quay.io/cilium/cilium:v0.9.0"}]}}}}`,
			release: `{apiVersion: batch/v1, kind: Job, metadata: {name: job, namespace: kube-system}, spec: {template: {spec: {restartPolicy: Never,
				containers: [{name: a, image: "quay.io/cilium/cilium:v1.0.0"}]}}}}`, anew: true,
		},
		"a definition's scope": {
			reason: "a tenant's objects would go with it",
			before: `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: things.example.com}, spec: {group: example.com, scope: Cluster,
				names: {kind: Thing, plural: things}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}}`,
			release: `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: things.example.com}, spec: {group: example.com, scope: Namespaced,
				names: {kind: Thing, plural: things}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}}`, failed: true,
		},
		"an object that is wrong by itself": {
			reason: "nothing is deleted for what could not be made", before: agent("app: a"),
			release: strings.Replace(deployment("agent"), "replicas: 1", "replicas: -1", 1), failed: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, catalogueOf(t, needed(map[string]string{catalogue.Metrics: is.release})))
			before := made(t, "theirs", is.before)
			if before.GetKind() == "StatefulSet" {
				p := made(t, "theirs", pod)
				yes := true
				p.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "set", UID: before.GetUID(), Controller: &yes}})
				if err := workloads.Update(t.Context(), p); err != nil {
					t.Fatal(err)
				}
			}
			w.round()
			after := now(t, before)
			if anew := after.GetUID() != before.GetUID(); anew != is.anew {
				t.Errorf("made anew: %t, want %t: %s", anew, is.anew, is.reason)
			}
			if got := w.state(catalogue.Metrics); (got.State == v1alpha1.AddonFailed) != is.failed {
				t.Errorf("%+v: %s", got, is.reason)
			}
			if is.check != nil {
				is.check(t, after)
			}
		})
	}
}

// A mirror that has nothing: the addon says which image, of which pod, and what the registry said; not all of it, if it
// is a novel.
func TestAnImageThatIsNotThere(t *testing.T) {
	w := newWorld(t, catalogueOf(t, needed(map[string]string{catalogue.Metrics: deployment("agent")})))
	p := made(t, "kubelet", `{apiVersion: v1, kind: Pod, metadata: {name: agent-x, namespace: kube-system, labels: {app: a}}, spec: {containers: [{name: a, image: "m:5000/a/agent:v1"}]}}`)
	p.Object["status"] = map[string]any{"containerStatuses": []any{map[string]any{
		"name": "a", "image": "m:5000/a/agent:v1", "imageID": "", "ready": false, "restartCount": int64(0),
		"state": map[string]any{"waiting": map[string]any{"reason": "ImagePullBackOff", "message": "not found" + strings.Repeat(" ä", 50_000)}},
	}}}
	if err := workloads.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	w.round()
	got := w.state(catalogue.Metrics)
	if got.State != v1alpha1.AddonProgressing || !strings.Contains(got.Reason, "pod agent-x: the image m:5000/a/agent:v1 cannot be pulled (ImagePullBackOff): not found") ||
		len(got.Reason) > 700 || strings.ContainsRune(got.Reason, utf8.RuneError) {
		t.Errorf("%+v", got)
	}
}
