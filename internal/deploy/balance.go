package deploy

import (
	"context"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
)

// balance changes one load balancer after the other: one of them always serves.
func (d *Deployment) balance(ctx context.Context) error {
	for _, h := range d.Wanted.Intent.HAProxy.Hosts {
		name := site.At(h.Where()).Name()
		if !d.work().Changes(name, balance.Group) {
			continue
		}
		if err := d.work().Bring(ctx, "balance the API", name, balance.Group); err != nil {
			return err
		}
	}
	return nil
}

// balancers are the API's load balancers in this run.
func (d *Deployment) balancers() balance.Balancers {
	return balance.Balancers{Run: d.Run, Balancers: d.Wanted.Intent.HAProxy.Hosts, Port: d.Wanted.Intent.Kubernetes.BackendPort}
}
