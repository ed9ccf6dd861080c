package kubeadm

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Evict is for the test of drains.
func Evict(ctx context.Context, c client.Client, node string) (bool, string) {
	return evict(ctx, c, node)
}

// TidyScript clears kubeadm's directory, SnapshotScript takes a snapshot.
func TidyScript(dir string) string { return tidyScript(dir) }

func SnapshotScript(s Snapshot, pki string) string { return snapshotScript(s, pki) }

// PassedOver are the flags of "kubeadm upgrade" on a node.
func PassedOver(w Wanted, world World, n intent.Node) []string {
	return (&Run{Wanted: w, World: world}).passedOver(n)
}
