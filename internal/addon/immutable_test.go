package addon_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/jeroboam-cloud/jeroboam/internal/addon"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestKeepSelector(t *testing.T) {
	const wanted = "{kind: Deployment, spec: {selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a, more: b}}}}}"
	for name, is := range map[string]struct {
		reason, wanted, live string
		labels, selector     map[string]any // nil: it cannot be kept
	}{
		"other labels": {
			reason: "pods have both, so the old selector and our Services find them", wanted: wanted,
			live:   "{spec: {selector: {matchLabels: {k8s-app: x}}}}",
			labels: map[string]any{"app": "a", "more": "b", "k8s-app": "x"}, selector: map[string]any{"matchLabels": map[string]any{"k8s-app": "x"}},
		},
		"fewer labels": {
			reason: "the one it has is enough", wanted: wanted, live: "{spec: {selector: {matchLabels: {more: b}}}}",
			labels: map[string]any{"app": "a", "more": "b"}, selector: map[string]any{"matchLabels": map[string]any{"more": "b"}},
		},
		"another value of a label of ours": {reason: "our Services would not find the pods", wanted: wanted, live: "{spec: {selector: {matchLabels: {app: x}}}}"},
		"expressions":                      {reason: "labels alone may not fit them", wanted: wanted, live: "{spec: {selector: {matchLabels: {a: b}, matchExpressions: [{key: a, operator: Exists}]}}}"},
		"no selector":                      {reason: "there is none to keep", wanted: wanted, live: "{spec: {}}"},
		"no workload":                      {reason: "a Service's selector changes as it likes", wanted: "{kind: Service, spec: {selector: {app: a}}}", live: "{spec: {selector: {app: b}}}"},
	} {
		t.Run(name, func(t *testing.T) {
			got := addon.KeepSelector(object(t, is.wanted), object(t, is.live))
			if (got == nil) != (is.labels == nil) {
				t.Fatalf("%v: %s", got, is.reason)
			}
			if got == nil {
				return
			}
			labels, _, _ := unstructured.NestedMap(got.Object, "spec", "template", "metadata", "labels")
			selector, _, _ := unstructured.NestedMap(got.Object, "spec", "selector")
			if diff := cmp.Diff(is.labels, labels) + cmp.Diff(is.selector, selector); diff != "" {
				t.Errorf("%s: %s", is.reason, diff)
			}
		})
	}
}

func TestRenewalNeverTakesATenantsThings(t *testing.T) {
	for kind, want := range map[string]addon.Renewal{
		"Deployment": addon.AnewBesidePods, "StatefulSet": addon.AnewBesidePods, "StorageClass": addon.Anew, "RoleBinding": addon.Anew,
		"CustomResourceDefinition": addon.Leave, "Namespace": addon.Leave, "PersistentVolumeClaim": addon.Leave, "Unheard": addon.Leave,
	} {
		if got := addon.RenewalOf(kind); got != want {
			t.Errorf("%s: %d, want %d", kind, got, want)
		}
	}
}
