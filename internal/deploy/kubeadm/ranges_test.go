package kubeadm_test

import (
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// A range that is used twice is no way to begin; a cluster that has lived with one is adopted.
func TestOverlappingRanges(t *testing.T) {
	const pool = "10.0.0.0/8"
	seeds := deploytest.Seed(t)
	seeds.Network.PodCIDR, seeds.Network.Others = pool, []intent.NamedCIDR{{Name: "storage", CIDR: "10.2.0.0/16"}, {Name: "management", CIDR: "172.29.236.0/22"}}
	f := deploytest.Facts(seeds)
	one := f[seeds.Nodes[0].PhysicalHost]
	one.Routes = map[string][]string{"lxcbr0": {"10.0.3.0/24"}, "cilium_host": {"10.0.0.0/24"}, "br-mgmt": {"0.0.0.0/0"}}
	f[seeds.Nodes[0].PhysicalHost] = one
	w := deploytest.Want(t, seeds, f)
	const kubeadms = "networking: {podSubnet: 10.0.0.0/8, serviceSubnet: 10.96.0.0/12}"
	tests := []struct {
		reason string
		world  func(*deploy.World)
		blocks bool
	}{
		{"a new cluster", func(world *deploy.World) { *world = deploytest.Empty(w) }, true},
		{"one with another range", func(world *deploy.World) {
			world.Cluster.Shared.Cluster = "networking: {podSubnet: 172.29.200.0/22, serviceSubnet: 10.96.0.0/12}"
		}, true},
		{"kubeadm's own copy says that it has it", func(world *deploy.World) { world.Cluster.Shared.Cluster = kubeadms }, false},
		{"Cilium says so, because the collection tells kubeadm nothing", func(world *deploy.World) {
			world.Cluster.Shared.Cluster, world.Cluster.Shared.Pool = "networking: {serviceSubnet: 10.96.0.0/12}", pool
		}, false},
		{"one that does not answer is there", func(world *deploy.World) { world.Cluster = kubeadm.Cluster{} }, false},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			world := deploytest.Converged(w)
			tt.world(&world)
			p := plan.Judged(plan.Plan{}, kubeadm.Overlaps(w.Wanted, world.World))
			found := 0
			for _, f := range p.Findings {
				if f.Judge != "overlap" {
					continue
				}
				found++
				if strings.Contains(f.Text, "cilium_host") || f.Blocks != tt.blocks {
					t.Errorf("blocks %v: %s", f.Blocks, f.Text)
				}
			}
			// lxcbr0 on each of three hosts, which one of them has a route to as well, services, and the storage network.
			if found != 5 {
				t.Errorf("%d overlaps are told: %v", found, p.Findings)
			}
			if len(p.Blocked([]string{"overlap"})) > 0 {
				t.Errorf("there is no way to allow it: %v", p.Blocked([]string{"overlap"}))
			}
		})
	}
}
