package cli

import (
	"context"
	"fmt"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
)

// inspect says how all should be and looks how it is. Where a cluster is minor versions behind, that is once more, for the first step
// of its way.
func (o *deployOptions) inspect(ctx context.Context, s *session, b site.Bundle, settle func(place, text string)) error {
	own := b
	for in := s.intent; ; {
		var err error
		chain := s.wanted.Chain
		s.wanted, err = deploy.Want(in, b, s.facts, o.Replace)
		s.wanted.Serves, s.wanted.Proxies, s.wanted.Chain = s.magnum.Serves, s.proxies.Runs, chain
		if err == nil && settle != nil {
			err = site.Settle(ctx, s.hosts, s.wanted.Running(), settle)
		}
		if err == nil {
			s.world, err = deploy.Inspect(ctx, s.hosts, s.wanted, site.Connect)
		}
		if err != nil {
			return err
		}
		if !o.chain {
			return nil
		}
		if chain.Steps == nil {
			if s.wanted.Chain, err = kubeadm.ChainOf(s.wanted.Wanted, s.world.World, o.until); err != nil {
				return err
			}
		}
		next := s.wanted.Chain.Next()
		if next == in.Versions.Kubernetes {
			s.intent = in
			return nil
		}
		if in, b, err = kubeadm.Step(s.intent, own, next); err != nil {
			return err
		}
	}
}

// goesOn says between two steps of an old cluster's way that there is another one. Here a run can be stopped: all of the cluster has
// one version, and the next run sees what it is.
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
