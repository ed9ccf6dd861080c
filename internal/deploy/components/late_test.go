package components_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/components"
)

// shelf is an API server that only gives objects by kind and name.
type shelf struct {
	client.Client
	objects map[string]map[string]any
	err     error
}

func (s shelf) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	u, _ := o.(*unstructured.Unstructured)
	content, ok := s.objects[key.Name]
	switch {
	case s.err != nil && key.Name == "kube-proxy":
		return s.err
	case !ok:
		return apierrors.NewNotFound(schema.GroupResource{Resource: "workloads"}, key.Name)
	}
	kind := u.GroupVersionKind()
	u.SetUnstructuredContent(content)
	u.SetGroupVersionKind(kind)
	u.SetName(key.Name)
	return nil
}

// deployment is one with so many pods of two.
func deployment(updated, available int64) map[string]any {
	return map[string]any{
		"metadata": map[string]any{"generation": int64(2)}, "spec": map[string]any{"replicas": int64(2)},
		"status": map[string]any{"observedGeneration": int64(2), "updatedReplicas": updated, "availableReplicas": available},
	}
}

// What a deployment waits for is named with what is missing of it.
func TestLate(t *testing.T) {
	proxy := map[string]any{"status": map[string]any{
		"desiredNumberScheduled": int64(1), "updatedNumberScheduled": int64(1), "numberReady": int64(1), "numberAvailable": int64(1),
	}}
	asked := &unstructured.Unstructured{}
	asked.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("Deployment"))
	asked.SetName("capi-controller-manager")
	asked.SetNamespace("capi-system")
	own := []components.Object{{Component: "cluster-api", U: asked}}
	for name, tc := range map[string]struct {
		reason  string
		objects map[string]map[string]any
		err     error
		noProxy bool
		want    string
	}{
		"all there": {objects: map[string]map[string]any{"coredns": deployment(2, 2), "kube-proxy": proxy, "capi-controller-manager": deployment(2, 2)}},
		"no proxy":  {reason: "Cilium takes its place", noProxy: true, objects: map[string]map[string]any{"coredns": deployment(2, 2), "capi-controller-manager": deployment(2, 2)}},
		"not there": {objects: map[string]map[string]any{"coredns": deployment(2, 2), "kube-proxy": proxy}, want: "capi-controller-manager is not there"},
		"old pods": {
			reason:  "an upgrade goes on, and what serves is the old one",
			objects: map[string]map[string]any{"coredns": deployment(1, 2), "kube-proxy": proxy, "capi-controller-manager": deployment(2, 1)},
			want:    "Deployment coredns: 1 of 2 pods are up to date; Deployment capi-controller-manager: 1 of 2 pods are available",
		},
		"no answer": {
			reason: "the API server is told apart from what it has", err: errors.New("connection refused\nagain"),
			objects: map[string]map[string]any{"coredns": deployment(2, 2), "capi-controller-manager": deployment(2, 2)}, want: "kube-proxy: connection refused",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(components.Late(t.Context(), shelf{objects: tc.objects, err: tc.err}, tc.noProxy, own), "; ")
			if got != tc.want {
				t.Errorf("%s: late is %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}
