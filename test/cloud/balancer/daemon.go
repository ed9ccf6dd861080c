// Package balancer does what amphorae do in other clouds. Octavia's API, with a provider driver that takes everything,
// writes its tables; the daemon follows them, runs one haproxy for each load balancer in a network namespace on the
// VIP's port, says in the tables that it is done, and then how members fare.
package balancer

import (
	"context"
	"database/sql"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

// Daemon follows Octavia's tables.
type Daemon struct {
	DB      *sql.DB
	Network *gophercloud.ServiceClient
	Host    string // what Neutron calls this host
	Dir     string // where configuration and sockets stand
	Log     *slog.Logger
}

// patience is how long a load balancer that cannot be made is tried before it is in ERROR: Neutron may be starting.
const patience = time.Minute

// Run does one turn a second until it is told to stop.
func (d *Daemon) Run(ctx context.Context) error {
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		return err
	}
	since := map[string]time.Time{} // load balancers that fail
	for n := 0; ; n++ {
		all, err := load(ctx, d.DB)
		if err != nil {
			d.Log.Warn("reading Octavia's tables", "error", err)
		}
		for _, l := range all {
			if err := d.turn(ctx, l, n); err != nil {
				d.failed(ctx, l, err, since)
				continue
			}
			delete(since, l.ID)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// turn brings one load balancer forward. Every third turn it looks at the members of one that is ACTIVE.
func (d *Daemon) turn(ctx context.Context, l *LoadBalancer, n int) error {
	if leaving(l.Provisioning) {
		if err := d.remove(ctx, l); err != nil {
			return err
		}
		d.Log.Info("load balancer removed", "id", l.ID)
		return settle(ctx, d.DB, l)
	}
	if l.VIP.Port == "" || l.Provisioning == "ERROR" {
		return nil // the API has not made the port yet; or somebody deletes it
	}
	pending := strings.HasPrefix(l.Provisioning, "PENDING")
	if !pending && n%3 != 0 {
		return nil
	}
	if err := d.plug(ctx, l); err != nil {
		return err
	}
	if err := d.serve(ctx, l); err != nil {
		return err
	}
	if pending {
		if err := settle(ctx, d.DB, l); err != nil {
			return err
		}
		bad := Unsupported(l)
		for _, id := range slices.Sorted(maps.Keys(bad)) {
			d.Log.Warn("not supported here", "id", id, "what", bad[id])
		}
		d.Log.Info("load balancer applied", "id", l.ID, "listeners", len(l.Listeners), "pools", len(l.Pools))
	}
	stats, err := asked(ctx, d.file(l.ID, ".sock"))
	if err != nil {
		stats = nil // no listener, no haproxy
	}
	return report(ctx, d.DB, l, Judge(l, stats))
}

func (d *Daemon) failed(ctx context.Context, l *LoadBalancer, err error, since map[string]time.Time) {
	d.Log.Warn("load balancer", "id", l.ID, "error", err)
	if _, known := since[l.ID]; !known {
		since[l.ID] = time.Now()
	}
	if time.Since(since[l.ID]) < patience || leaving(l.Provisioning) || !strings.HasPrefix(l.Provisioning, "PENDING") {
		return
	}
	if err := fail(ctx, d.DB, l); err != nil {
		d.Log.Warn("load balancer", "id", l.ID, "error", err)
	}
}
