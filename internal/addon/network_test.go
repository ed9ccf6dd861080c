package addon

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

// TestCalicoUsesTunnels: nodes share a subnet whose ports let no pod's address out, and the manifest would send it bare
// there.
func TestCalicoUsesTunnels(t *testing.T) {
	u := &unstructured.Unstructured{Object: m{
		"kind": "DaemonSet", "metadata": m{"name": "calico-node"},
		"spec": m{"template": m{"spec": m{"containers": []any{m{"name": "calico-node", "env": []any{
			m{"name": "CALICO_IPV4POOL_VXLAN", "value": "CrossSubnet"}, m{"name": "FELIX_HEALTHENABLED", "value": "true"},
		}}}}}},
	}}
	calicoPool(Cluster{NetworkDriver: Calico, Labels: label.Of(map[string]string{label.CalicoPool: "10.200.0.0/16"})}, []*unstructured.Unstructured{u})
	containers, _, err := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
	if err != nil {
		t.Fatal(err)
	}
	want := []any{m{"name": "calico-node", "env": []any{
		m{"name": "CALICO_IPV4POOL_VXLAN", "value": "Always"},
		m{"name": "FELIX_HEALTHENABLED", "value": "true"},
		m{"name": "CALICO_IPV4POOL_CIDR", "value": "10.200.0.0/16"},
	}}}
	if diff := cmp.Diff(want, containers); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
}
