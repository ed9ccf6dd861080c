package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/backup"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/backups"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// backedUp is the seed with backups on its last node.
func backedUp(t *testing.T) (intent.Intent, map[string]host.Facts) {
	t.Helper()
	in := deploytest.BackedUp(t)
	return in, facts(in)
}

func TestStatusHasTheNewestBackup(t *testing.T) {
	in, f := backedUp(t)
	w := want(t, in, f)
	world := converged(w)
	n := in.Nodes[2] // makes them; the others do not
	state := world.Nodes[n.Name]
	state.Files = []string{n.NodeName + "-20261123T000000Z.tar.gz.age", n.NodeName + "-20261124T000000Z.tar.gz.age", n.NodeName + "-20261125T000000Z.tar.gz.age.part", "other-20261126T000000Z.tar.gz.age"}
	world.Nodes[n.Name] = state
	s := sessionOf(w, world, nil).Status(t.Context(), now)
	if got := s.Nodes[2]; !got.Backups || !got.Backup.Equal(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%s: backups %v, the newest of %s", n.Name, got.Backups, got.Backup)
	}
	if got := s.Nodes[0]; got.Backups || !got.Backup.IsZero() {
		t.Errorf("%s makes no backups, and has %+v", got.Name, got)
	}
}

func theBackup() backups.Restore {
	return backups.Restore{
		Name: "monday.tar.gz.age", Digest: blob("1"),
		Manifest: backup.Manifest{
			Node: "infra3-k8s-container-99b5500c", Server: "https://172.29.236.9:6443", Time: now, Kubernetes: "1.36.4",
			Snapshot: backup.Status{Revision: 42, TotalKey: 3}, Objects: 2,
		},
	}
}

func TestPlanOfARestore(t *testing.T) {
	in, f := backedUp(t)
	w := want(t, in, f).WithoutGone()
	world := empty(w)
	r := theBackup()
	r.Manifest.Server = "https://" + in.Kubernetes.ControlPlaneHost + ":6443"
	p, fresh := deploy.RestorePlan(w, world, r, now)
	p = plan.Judged(p, deploy.RestoreJudges(w, world, r)...)
	var text strings.Builder
	p.Changes = slices.DeleteFunc(p.Changes, func(c plan.Change) bool { return c.Group != "control plane" && c.Place != "cluster" })
	if err := plan.WriteText(&text, p, true); err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, *update, "plan-restore.txt", text.String())
	if len(fresh.Nodes) != 0 || len(fresh.Items) != len(world.Items) {
		t.Error("the world after clearing has nodes, or has lost what is on hosts")
	}
}

func TestRestorePlans(t *testing.T) {
	in, f := backedUp(t)
	a, b, c := in.Nodes[0], in.Nodes[1], in.Nodes[2]
	r := theBackup()
	r.Manifest.Server = "https://" + in.Kubernetes.ControlPlaneHost + ":6443"
	restored := []string{
		a.Name + ": run backup monday.tar.gz.age", "cluster: delete Node others than " + a.NodeName, a.Name + ": run kubeadm init", a.Name + ": update Node " + a.NodeName,
		b.Name + ": run kubeadm join", b.Name + ": update Node " + b.NodeName, c.Name + ": run kubeadm join", c.Name + ": update Node " + c.NodeName,
		"cluster: check Deployment kube-system/coredns",
	}
	for _, tt := range []struct {
		reason string
		spoil  func(world *deploy.World, r *backups.Restore)
		gone   []string
		clears []string
		want   []string
		blocks []string
		notes  []string
	}{
		{
			reason: "nothing of a cluster is there",
			spoil:  func(world *deploy.World, _ *backups.Restore) { world.Nodes = nil },
			want:   restored,
		},
		{
			reason: "a living cluster is not overwritten unless that is meant",
			clears: []string{a.Name, b.Name, c.Name},
			want:   restored,
			blocks: []string{"overwrite", "overwrite", "overwrite"},
		},
		{
			reason: "one that is there and does not answer may be somebody's only copy as well",
			spoil: func(world *deploy.World, _ *backups.Restore) {
				world.Nodes = map[string]host.Node{b.Name: {EtcdData: true, Etcd: "connection refused"}}
			},
			clears: []string{b.Name}, want: restored, blocks: []string{"overwrite"},
		},
		{
			reason: "a restore that was killed goes on without a further word",
			spoil: func(world *deploy.World, r *backups.Restore) {
				n := world.Nodes[a.Name]
				n.Restoring = r.Digest
				world.Nodes = map[string]host.Node{a.Name: n}
			},
			want: restored,
		},
		{
			reason: "the restore of another backup was killed before its data was there",
			spoil: func(world *deploy.World, _ *backups.Restore) {
				world.Nodes = map[string]host.Node{a.Name: {Restoring: blob("2")}}
			},
			want: restored, blocks: []string{"overwrite"},
		},
		{
			reason: "a node that is gone is no part of it",
			gone:   []string{a.Name},
			spoil:  func(world *deploy.World, _ *backups.Restore) { world.Nodes = nil },
			want: []string{
				b.Name + ": run backup monday.tar.gz.age", "cluster: delete Node others than " + b.NodeName, b.Name + ": run kubeadm init", b.Name + ": update Node " + b.NodeName,
				c.Name + ": run kubeadm join", c.Name + ": update Node " + c.NodeName,
				"cluster: check Deployment kube-system/coredns",
			},
		},
		{
			reason: "data of a newer API server",
			spoil:  func(world *deploy.World, r *backups.Restore) { world.Nodes = nil; r.Manifest.Kubernetes = "1.37.0" },
			want:   restored, blocks: []string{"downgrade"},
		},
		{
			reason: "data that is too old",
			spoil:  func(world *deploy.World, r *backups.Restore) { world.Nodes = nil; r.Manifest.Kubernetes = "1.34.0" },
			want:   restored, blocks: []string{"downgrade"},
		},
		{
			reason: "the backup of another cluster",
			spoil: func(world *deploy.World, r *backups.Restore) {
				world.Nodes = nil
				r.Manifest.Server, r.Manifest.Node = "https://10.0.0.1:6443", "elsewhere"
			},
			want: restored, notes: []string{"endpoint", "endpoint"},
		},
		{
			reason: "a stopped container is looked into first",
			spoil: func(world *deploy.World, _ *backups.Restore) {
				world.Nodes, world.Sleeping = nil, map[string]bool{a.Name: true}
			},
			want: []string{a.Name + ": check node " + a.NodeName},
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			w := want(t, in, f, tt.gone...)
			w.Bundle.Components = nil
			world := converged(w)
			w = w.WithoutGone()
			r := r
			if tt.spoil != nil {
				tt.spoil(&world, &r)
			}
			p, _ := deploy.RestorePlan(w, world, r, now)
			p = plan.Judged(p, deploy.RestoreJudges(w, world, r)...)
			var all []string
			for _, n := range tt.clears {
				all = append(all, n+": delete kubeadm reset")
			}
			if diff := cmp.Diff(append(all, tt.want...), only(p)); diff != "" {
				t.Error(diff)
			}
			var blocks, notes []string
			for _, f := range p.Findings {
				if f.Blocks {
					blocks = append(blocks, f.Judge)
				} else {
					notes = append(notes, f.Judge)
				}
			}
			if diff := cmp.Diff([][]string{tt.blocks, tt.notes}, [][]string{blocks, notes}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestApplyLeavesAnUnfinishedRestoreAlone(t *testing.T) {
	in := seed(t)
	w := want(t, in, facts(in))
	world := converged(w)
	n := world.Nodes[in.Nodes[0].Name]
	n.Restoring = blob("1")
	world.Nodes[in.Nodes[0].Name] = n
	p := plan.Judged(deploy.Diff(w, world, now), deploy.Judges(w, world)...)
	if blocked := p.Blocked([]string{"overwrite", "quorum"}); len(blocked) != 1 || blocked[0].Judge != "restore" {
		t.Errorf("got %+v", p.Findings)
	}
}
