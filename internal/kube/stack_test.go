package kube_test

import (
	"testing"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

func TestNamesMachine(t *testing.T) {
	m := &clusterv1.Machine{}
	m.Name, m.Spec.ProviderID, m.Status.NodeRef.Name = "w-1", "openstack:///0f5d-w-1", "node-w-1"
	for node, want := range map[string]bool{"0f5d-w-1": true, "0F5D-W-1": true, "w-1": true, "node-w-1": true, "": false, "w": false, "openstack:///0f5d-w-1": false} {
		if got := kube.NamesMachine(m, node); got != want {
			t.Errorf("%q matches: %v, want %v", node, got, want)
		}
	}
	m.Spec.ProviderID, m.Status.NodeRef.Name = "", ""
	if kube.NamesMachine(m, "") || !kube.NamesMachine(m, "w-1") {
		t.Error("a machine without a server is matched wrongly")
	}
}
