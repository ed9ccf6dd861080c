package cli

import (
	"context"
	"fmt"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
)

// goesOn says between two steps of an old cluster's way that there is another one. Here a run can be stopped: all of
// the cluster has one version, and the next run sees what it is.
func goesOn(ctx context.Context, c kubeadm.Chain, streams Streams) (bool, error) {
	rest := c.Rest()
	if len(rest) == 0 {
		return false, nil
	}
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("stopped between two steps, at Kubernetes %s: running again goes on with %s: %w", c.Next(), rest[0], err)
	}
	if _, err := fmt.Fprintf(streams.Err, "Kubernetes %s is reached; next: %s\n", c.Next(), rest[0]); err != nil {
		return false, fmt.Errorf("write progress: %w", err)
	}
	return true, nil
}
