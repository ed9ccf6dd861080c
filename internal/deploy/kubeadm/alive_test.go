package kubeadm_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/backups"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// A host that the deployer does not reach may still serve: a cluster made beside it would be a second one at the same
// address.
func TestANodeThatIsDeclaredGoneAndAnswers(t *testing.T) {
	in := deploytest.Seed(t)
	dead := in.Nodes[2]
	refused, certificate := host.Life{Why: "connection refused"}, host.Life{Answers: true, Why: "tls: certificate required"}
	gone := errors.New("host infra1: dial tcp 172.29.236.11:22: Timeout") // whatever its words are
	for _, tt := range []struct {
		reason    string
		api, etcd host.Life // as a load balancer sees it
		fail      error     // of the load balancer itself
		lost      bool      // no load balancer but its own
		says      string
	}{
		{reason: "nothing answers", api: refused, etcd: host.Life{Why: "deadline exceeded"}},
		{reason: "its API server answers", api: host.Life{Answers: true}, etcd: refused, says: "its API server, to infra1; its API server, to infra2"},
		{reason: "its etcd does, which wants a certificate", api: refused, etcd: certificate, says: "its etcd, to infra1; its etcd, to infra2"},
		{reason: "nobody could be asked", lost: true, says: "no load balancer on another host could be asked"},
		{reason: "those who are asked do not answer themselves", fail: gone, says: "could be asked"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			hosts := site.Hosts{}
			for _, h := range in.Hosts {
				if tt.lost && h.Name != dead.PhysicalHost {
					continue
				}
				hosts[h.Name] = &deploytest.Agent{Host: h.Name, Answer: func(_, op string, raw json.RawMessage) (any, error) {
					if op != host.OpAlive || !strings.Contains(string(raw), dead.NodeIP+":") || h.Name == dead.PhysicalHost {
						t.Errorf("%s was asked for %s of %s", h.Name, op, raw)
					}
					if strings.Contains(string(raw), ":2379") {
						return tt.etcd, tt.fail
					}
					return tt.api, tt.fail
				}}
			}
			w := deploytest.Want(t, in, deploytest.Facts(in), dead.Name)
			world := deploytest.Converged(w)
			delete(world.Nodes, dead.Name)
			world.Alive = kubeadm.LookForLife(t.Context(), hosts, w.Wanted)
			check := func(name string, judges []plan.Judge) {
				var found []string
				for _, f := range plan.Judged(plan.Plan{}, judges...).Blocked(nil) {
					if f.Judge == "alive" {
						found = append(found, f.Where+": "+f.Text)
					}
				}
				switch {
				case tt.says == "" && len(found) > 0:
					t.Errorf("%s: %v", name, found)
				case tt.says != "" && (len(found) != 1 || !strings.Contains(found[0], dead.Name+": it is declared gone") || !strings.Contains(found[0], tt.says)):
					t.Errorf("%s: %v, want %q", name, found, tt.says)
				}
			}
			check("apply", deploy.Judges(w, world))
			check("restore", deploy.RestoreJudges(w.WithoutGone(), world, backups.Restore{}))
		})
	}
}
