package capi_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/kube/kubetest"
)

// TestOpenStackObjectsAreAdmitted gives the OpenStack class and every golden cluster to a real API server with Cluster
// API's webhooks and controllers and the real definitions of its OpenStack provider. No provider runs, so no machine
// comes; but the topology controller renders every object of the provider, and the API server judges it.
func TestOpenStackObjectsAreAdmitted(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a management cluster with Cluster API")
	}
	m := kubetest.Start(t, kubetest.Options{
		ClusterAPI: true, CRDDirs: []string{filepath.Join(moduleDir(t, kubetest.OpenStackModule), "config", "crd", "bases")},
	})
	ctx := t.Context()
	class := capi.ClusterClass(capi.OpenStack())
	for _, o := range class.Objects {
		if err := m.Client.Create(ctx, o); err != nil {
			t.Fatalf("create %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	stacks := map[string]string{}
	for name, tc := range clusters() {
		c, groups := aCluster()
		c.StackID = fmt.Sprintf("kube-%05d", len(stacks))
		groups = tc.change(c, groups)
		tc.opts.Class = class.Name
		cluster, err := capi.Cluster(c, groups, tc.opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Client.Create(ctx, cluster.Cluster); err != nil {
			t.Errorf("%s (%s): %v", name, tc.reason, err)
			continue
		}
		stacks[name] = c.StackID
	}
	for name, stack := range stacks {
		t.Run(name, func(t *testing.T) {
			awaitTopology(t, m.Client, stack)
			for _, kind := range []string{"OpenStackClusterList", "OpenStackMachineTemplateList"} {
				list := &unstructured.UnstructuredList{}
				list.SetAPIVersion("infrastructure.cluster.x-k8s.io/v1beta1")
				list.SetKind(kind)
				err := m.Client.List(ctx, list, client.InNamespace(capi.Namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: stack})
				if err != nil || len(list.Items) == 0 {
					t.Errorf("%s of %s: %d objects, %v", kind, stack, len(list.Items), err)
				}
			}
		})
	}
}

// awaitTopology waits until the topology controller has rendered all of a cluster.
func awaitTopology(t *testing.T, c client.Client, stack string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for {
		cluster := &clusterv1.Cluster{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: capi.Namespace, Name: stack}, cluster); err != nil {
			t.Fatal(err)
		}
		message := "no condition yet"
		for _, cond := range cluster.Status.Conditions {
			if cond.Type == clusterv1.ClusterTopologyReconciledCondition {
				if cond.Status == metav1.ConditionTrue {
					return
				}
				message = cond.Message
			}
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("topology of %s: %s", stack, message)
		}
	}
}
