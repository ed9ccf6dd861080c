package cluster

import (
	"context"
	"errors"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
)

// apiAddress makes the floating IP of an API without a load balancer before the Cluster, which names it and never
// changes it. A Cluster that was made without one goes on without: the provider has found its own.
func (r *Reconciler) apiAddress(ctx context.Context, s *scope) (phase.Outcome, error) {
	if !capi.MakesAPIAddress(s.words) {
		return phase.Done(), nil
	}
	live := s.stack.Cluster
	if live == nil {
		var err error // a cache may not have heard yet: an address that no Cluster names would be made for nothing
		if live, err = r.liveCluster(ctx, s.record.Spec.StackID, s.record.Name); err != nil {
			return phase.Done(), err
		}
	}
	if live != nil {
		s.address = capi.APIAddress(live)
		return phase.Done(), nil
	}
	cloud, err := r.open(ctx, s)
	if err != nil {
		return phase.Done(), err
	}
	if cloud == nil {
		return phase.Fail("The cluster's application credential is gone."), nil
	}
	s.address, err = cloud.EnsureFloatingIP(ctx, s.words.Resolved.ExternalNetworkID, capi.APIAddressDescription(s.record.Name))
	return phase.Done(), err
}

// dropAPIAddress asks by description and not by what the record says now: whatever was made for this cluster goes.
func (r *Reconciler) dropAPIAddress(ctx context.Context, s *scope) (phase.Outcome, error) {
	cloud, err := r.open(ctx, s)
	if errors.Is(err, openstack.ErrUnauthorized) || err == nil && cloud == nil {
		return phase.Done(), nil // the former was said by dropLoadBalancers
	}
	return r.bounded(ctx, s, "API address", func() ([]string, error) {
		if err != nil {
			return nil, err
		}
		err := cloud.DeleteFloatingIPs(ctx, capi.APIAddressDescription(s.record.Name))
		if errors.Is(err, openstack.ErrNotFound) {
			return nil, nil // no Neutron, no floating IPs
		}
		return nil, err
	})
}
