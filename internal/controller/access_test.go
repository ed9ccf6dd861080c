package controller_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// TestAccessChangesAtOnce: who may reach a cluster changes without an upgrade and without a new machine, and the
// cluster says when it did.
func TestAccessChangesAtOnce(t *testing.T) {
	w := newWorld(t)
	c := w.create("reached", 1, 1, nil)
	made := w.await(c.UUID, "creation", complete(magnum.CreateComplete))
	if diff := cmp.Diff([]string{label.APIServerAllowedCIDRs, label.NodePortAllowedCIDRs, label.UpgradeChecks}, made.MutableLabels); diff != "" {
		t.Errorf("what may change is not known: %s", diff)
	}
	before := machines(t, c.StackID)
	_, err := w.store.UpdateCluster(t.Context(), system, c.UUID, func(c *magnum.Cluster) error {
		c.Labels[label.APIServerAllowedCIDRs] = "192.0.2.0/24"
		c.Labels[label.BootVolumeSize] = "big" // an earlier release has taken it: it is warned about, and keeps nothing from going on
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.await(c.UUID, "the change", complete(magnum.UpdateComplete))
	live := liveCluster(t, c.StackID)
	at := slices.IndexFunc(live.Spec.Topology.Variables, func(v clusterv1.ClusterVariable) bool { return v.Name == "apiServerAllowedCIDRs" })
	if at < 0 || !strings.Contains(string(live.Spec.Topology.Variables[at].Value.Raw), `["192.0.2.0/24","10.9.0.0/16"]`) {
		t.Errorf("the Cluster does not ask for it: %v", live.Spec.Topology.Variables)
	}
	if diff := cmp.Diff(before, machines(t, c.StackID)); diff != "" {
		t.Errorf("machines were replaced: %s", diff)
	}
}
