package components

import (
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// CoreDNS is the part of kubeadm's CoreDNS that the operator decides: the only object that we apply a part of.
const CoreDNS = "coredns"

// corednsObjects puts CoreDNS where kubernetes_coredns_node_selector says. A node selector is one value to server-side
// apply, so kubeadm's own is in it. kubeadm upgrade takes it away again: applyComponents looks after that.
func corednsObjects(in intent.Intent) []Object {
	if len(in.Kubernetes.CoreDNSNodeSelector) == 0 {
		return nil
	}
	selector := map[string]string{"kubernetes.io/os": "linux"}
	maps.Copy(selector, in.Kubernetes.CoreDNSNodeSelector)
	where := m{}
	for k, v := range selector {
		where[k] = v
	}
	return []Object{{Component: CoreDNS, U: &unstructured.Unstructured{Object: m{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": m{"name": "coredns", "namespace": "kube-system"},
		"spec":     m{"template": m{"spec": m{"nodeSelector": where}}},
	}}}}
}
