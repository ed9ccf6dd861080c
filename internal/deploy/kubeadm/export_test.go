package kubeadm

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Evict is for the test of drains.
func Evict(ctx context.Context, c client.Client, node string) (bool, string) {
	return evict(ctx, c, node)
}

// TidyScript clears kubeadm's directory, SnapshotScript takes a snapshot.
func TidyScript(dir string) string { return tidyScript(dir) }

func SnapshotScript(s Snapshot, pki string) string { return snapshotScript(s, pki) }
