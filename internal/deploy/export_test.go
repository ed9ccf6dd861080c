package deploy

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Evict is for the test of drains.
func Evict(ctx context.Context, c client.Client, node string) (bool, string) {
	return evict(ctx, c, node)
}
