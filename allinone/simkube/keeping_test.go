package simkube

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	aggregatorv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	aggregatorclient "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
)

func things() *apiextensionsv1.CustomResourceDefinition {
	yes := true
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "things.example.com"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "example.com", Scope: apiextensionsv1.NamespaceScoped, Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "things", Kind: "Thing"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &yes}},
			}},
		},
	}
}

// A namespace ends when all in it ended, and a definition when all its objects did: finalizers are waited for.
func TestEndings(t *testing.T) {
	w := newWorld(t, false)
	cfg := w.server.Client(testCluster, "test")
	cfg.ContentType, cfg.AcceptContentTypes = "application/json", ""
	crds := apiextensionsclient.NewForConfigOrDie(cfg).ApiextensionsV1().CustomResourceDefinitions()
	w.must(crds.Create(t.Context(), things(), metav1.CreateOptions{}))
	all := dynamic.NewForConfigOrDie(cfg).Resource(schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "things"})
	thing := func(namespace string, finalizers ...any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "example.com/v1", "kind": "Thing", "metadata": map[string]any{"name": "x", "namespace": namespace, "finalizers": finalizers},
		}}
	}
	w.must(w.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{}))
	w.must(all.Namespace("shop").Create(t.Context(), thing("shop", "example.com/wait"), metav1.CreateOptions{}))
	w.must(all.Namespace("default").Create(t.Context(), thing("default"), metav1.CreateOptions{}))
	w.must(w.CoreV1().ConfigMaps("shop").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}}, metav1.CreateOptions{}))

	w.must(nil, w.CoreV1().Namespaces().Delete(t.Context(), "shop", metav1.DeleteOptions{}))
	w.eventually("what has no finalizer goes", func() string {
		if _, err := w.CoreV1().ConfigMaps("shop").Get(t.Context(), "m", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Sprint(err)
		}
		return ""
	})
	_, err := w.CoreV1().ConfigMaps("shop").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "new"}}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("nothing is made in a namespace that ends: %v", err)
	}
	w.settled()
	if _, err := w.CoreV1().Namespaces().Get(t.Context(), "shop", metav1.GetOptions{}); err != nil {
		t.Errorf("the namespace did not wait for a finalizer: %v", err)
	}
	w.must(all.Namespace("shop").Patch(t.Context(), "x", "application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}))
	w.eventually("the namespace ends", func() string {
		if _, err := w.CoreV1().Namespaces().Get(t.Context(), "shop", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Sprint(err)
		}
		return ""
	})

	w.must(nil, crds.Delete(t.Context(), "things.example.com", metav1.DeleteOptions{}))
	w.eventually("the definition ends", func() string {
		if _, err := crds.Get(t.Context(), "things.example.com", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Sprint(err)
		}
		return ""
	})
	w.must(crds.Create(t.Context(), things(), metav1.CreateOptions{}))
	if list, err := all.List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 0 {
		t.Errorf("objects of a definition that ended: %v, %v", list, err)
	}
}

// An API service is available when a pod runs behind it.
func TestAPIService(t *testing.T) {
	w := newWorld(t, false)
	cfg := w.server.Client(testCluster, "test")
	cfg.ContentType, cfg.AcceptContentTypes = "application/json", ""
	services := aggregatorclient.NewForConfigOrDie(cfg).ApiregistrationV1().APIServices()
	w.must(services.Create(t.Context(), &aggregatorv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: "v1.metrics.example.com"},
		Spec: aggregatorv1.APIServiceSpec{
			Service: &aggregatorv1.ServiceReference{Namespace: "default", Name: "metrics"}, Group: "metrics.example.com", Version: "v1",
			InsecureSkipTLSVerify: true, GroupPriorityMinimum: 100, VersionPriority: 100,
		},
	}, metav1.CreateOptions{}))
	is := func(status aggregatorv1.ConditionStatus, reason string) {
		t.Helper()
		w.eventually("API service", func() string {
			s, err := services.Get(t.Context(), "v1.metrics.example.com", metav1.GetOptions{})
			if err != nil || len(s.Status.Conditions) != 1 || s.Status.Conditions[0].Status != status || s.Status.Conditions[0].Reason != reason {
				return fmt.Sprint(s.Status, err)
			}
			return ""
		})
	}
	is(aggregatorv1.ConditionFalse, "ServiceNotFound")
	w.must(w.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "metrics"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "metrics"}, Ports: []corev1.ServicePort{{Port: 443}}},
	}, metav1.CreateOptions{}))
	is(aggregatorv1.ConditionFalse, "MissingEndpoints")
	w.node("n", false, false)
	w.deployment("metrics", 1, nil)
	is(aggregatorv1.ConditionTrue, "Passed")
}
