package cluster

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
)

// serverGroups asks Nova only for groups whose ID the Cluster does not carry yet.
func (r *Reconciler) serverGroups(ctx context.Context, s *scope) (phase.Outcome, error) {
	known := capi.ServerGroups(s.stack.Cluster)
	for _, g := range s.members {
		if id := known[g.DeploymentName()]; id != "" {
			s.servers[g.DeploymentName()] = id
			continue
		}
		cloud, err := r.open(ctx, s)
		if err != nil {
			return phase.Done(), err
		}
		if cloud == nil {
			return phase.Fail("The cluster's application credential is gone."), nil
		}
		id, err := cloud.EnsureServerGroup(ctx, capi.ServerGroupName(s.record.Spec.StackID, g), capi.ServerGroupPolicy(s.words, g))
		if err != nil {
			return phase.Done(), err
		}
		if gone, err := r.goneMeanwhile(ctx, g); gone || err != nil {
			if gone {
				err = cloud.DeleteServerGroup(ctx, capi.ServerGroupName(s.record.Spec.StackID, g))
			}
			return phase.Wait("node group %s is being deleted", g.Name), err
		}
		s.servers[g.DeploymentName()] = id
	}
	return phase.Done(), nil
}

// goneMeanwhile asks the API server whether a node group of the cache is gone or about to go. Its own controller has
// taken its server group away then, or is at it, and nobody would do that again for the one that was just made.
func (r *Reconciler) goneMeanwhile(ctx context.Context, g *magnum.NodeGroup) (bool, error) {
	record := &v1alpha1.MagnumNodeGroup{}
	err := r.Reader.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: g.UUID}, record)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read node group %s: %w", g.Name, err)
	}
	return record.DeletionTimestamp != nil, nil
}
