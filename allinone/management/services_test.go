package management_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy/control"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/manifests"
)

// TestServices writes what "jeroboam proxy" writes for a private cluster: this API server has the kinds that the proxy
// and its rights need.
func TestServices(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a management cluster")
	}
	c := start(t, t.TempDir()).client
	for _, o := range slices.Concat(namespaces(), accessObjects(t)) {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatalf("%s %s: %v", o.GetObjectKind().GroupVersionKind().Kind, o.GetName(), err)
		}
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: control.Namespace, Name: "kube-x"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 6443}}, IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicyPreferDualStack)},
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: control.Namespace, Name: "kube-x-host", Labels: map[string]string{discoveryv1.LabelServiceName: "kube-x"}},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.77.0.10"}}},
		Ports: []discoveryv1.EndpointPort{{Port: ptr.To[int32](8443)}},
	}
	for _, o := range []client.Object{service, slice} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.HasPrefix(service.Spec.ClusterIP, "10.") {
		t.Errorf("the Service has the address %q", service.Spec.ClusterIP)
	}
	for _, o := range []client.Object{service, slice} {
		if err := c.Delete(t.Context(), o); err != nil {
			t.Error(err)
		}
	}
}

func namespaces() []client.Object {
	return []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: control.Namespace}}}
}

// accessObjects are what an administrator applies.
func accessObjects(t *testing.T) []client.Object {
	t.Helper()
	var all []client.Object
	for d := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests.Access), 4096); ; {
		o := &unstructured.Unstructured{}
		if err := d.Decode(o); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
}
