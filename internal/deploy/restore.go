package deploy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/backups"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/components"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

const (
	restoreStep = "restore the backup"
)

// Restoring is the deployment that a restore makes: nodes that were declared gone are not part of it, for nothing that
// is restored counts on them.
func Restoring(w Wanted) Wanted {
	w.Intent.Nodes = w.Living()
	return w
}

// RestorePlan is what restoring changes. The cluster that the plan ends with is made anew, so it is planned as if
// nothing of a cluster were there; what is there is cleared before, or is an earlier run's of the same restore. Fresh
// is the world as Apply finds it then.
func RestorePlan(w Wanted, world World, r backups.Restore, now time.Time) (p plan.Plan, fresh World) {
	if len(world.Sleeping) > 0 {
		return Diff(w, world, now), world // whatever is in them has to be seen first
	}
	fresh = world
	fresh.Nodes, fresh.Cluster = map[string]host.Node{}, kubeadm.Cluster{Why: "it is restored"}
	fresh.Running, fresh.Objects = nil, nil
	if objects, err := components.NotCompared(w.Intent, w.Bundle, false, fresh.Cluster.Why); err == nil { // Inspect has read the same manifests
		fresh.Objects = objects
	}
	first := w.Intent.Nodes[0]
	for _, n := range w.Intent.Nodes {
		if world.Nodes[n.Name].Touched() && !r.Begun(world.Nodes[n.Name]) {
			p.Changes = append(p.Changes, kubeadm.Reset{Node: n.Name}.Change())
		}
	}
	for _, c := range Diff(w, fresh, now).Changes {
		_, makes := c.What.(kubeadm.Init)
		switch {
		case makes && c.Place == first.Name:
			p.Changes = append(p.Changes, plan.Change{
				Place: first.Name, Group: kubeadm.Group, Kind: "backup", Name: r.Name, Action: plan.Run,
				Summary: "restore authorities and etcd's data, " + r.Manifest.String(),
			}, plan.Change{
				Place: site.Cluster, Group: kubeadm.Group, Kind: "Node", Name: "others than " + first.NodeName, Action: plan.Delete, Summary: "what the backup has of nodes that join again, and of pods that no longer run",
			})
		case c.Place == site.Cluster:
			c.Action, c.Summary = plan.Check, "the backup has one"
		}
		p.Changes = append(p.Changes, c)
	}
	return p, fresh
}

// RestoreJudges say what is dangerous in a restore.
func RestoreJudges(w Wanted, world World, r backups.Restore) []plan.Judge {
	return []plan.Judge{overwrites(w, world, r), otherVersions(w, r), otherCluster(w, r), deletionsBeside(), overlaps(w, world), stillAlive(w, world, nil)}
}

// overwrites: a cluster that is there is lost.
func overwrites(w Wanted, world World, r backups.Restore) plan.Judge {
	return func(plan.Plan) []plan.Finding {
		var out []plan.Finding
		for i, n := range w.Intent.Nodes {
			state := world.Nodes[n.Name]
			switch {
			case state.Restoring != "" && (state.Restoring != r.Digest || i > 0):
				out = append(out, plan.Finding{Judge: "overwrite", Where: n.Name, Blocks: true, Text: "the restore of " + short(state.Restoring) + " has begun here and has not ended: restore that one"})
			case state.Touched() && !r.Begun(world.Nodes[n.Name]):
				out = append(out, plan.Finding{
					Judge: "overwrite", Where: n.Name, Blocks: true,
					Text: fmt.Sprintf("there is a cluster (API server: %s; etcd: %s): everything since the backup is lost. What an interrupted restore left after its cluster was made, deploy apply finishes", cmp.Or(state.Ready, "none"), cmp.Or(state.Etcd, "none")),
				})
			}
		}
		return out
	}
}

func short(digest string) string {
	d := strings.TrimPrefix(digest, "sha256:")
	return d[:min(12, len(d))]
}

// deletionsBeside are those that are no part of restoring.
func deletionsBeside() plan.Judge {
	return func(p plan.Plan) []plan.Finding {
		p.Changes = slices.DeleteFunc(slices.Clone(p.Changes), func(c plan.Change) bool { return c.Group == kubeadm.Group })
		return deletions()(p)
	}
}

// otherVersions: etcd's data is read by API servers of the same or the next minor version.
func otherVersions(w Wanted, r backups.Restore) plan.Judge {
	return func(plan.Plan) []plan.Finding {
		want, have := w.Intent.Versions.Kubernetes, r.Manifest.Kubernetes
		switch {
		case version.Older(want, have):
			return []plan.Finding{{Judge: "downgrade", Where: r.Name, Blocks: true, Text: fmt.Sprintf("the backup is of Kubernetes %s, the configuration asks for %s: restore with the old version", have, want)}}
		case version.Minor(want) > version.Minor(have)+1:
			return []plan.Finding{{Judge: "downgrade", Where: r.Name, Blocks: true, Text: fmt.Sprintf("the backup is of Kubernetes %s, and %s skips a minor version: restore with %[1]s and upgrade then", have, want)}}
		}
		return nil
	}
}

// otherCluster tells what is worth knowing and no reason to stop.
func otherCluster(w Wanted, r backups.Restore) plan.Judge {
	return func(plan.Plan) []plan.Finding {
		var out []plan.Finding
		if want := "https://" + w.Intent.Endpoint(); r.Manifest.Server != want {
			out = append(out, plan.Finding{Judge: "endpoint", Where: r.Name, Text: fmt.Sprintf("the backup is of the cluster at %s, which will be at %s: kubeconfigs name the old address", r.Manifest.Server, want)})
		}
		if !slices.ContainsFunc(w.Intent.Nodes, func(n intent.Node) bool { return n.NodeName == r.Manifest.Node }) {
			out = append(out, plan.Finding{Judge: "endpoint", Where: r.Name, Text: "it was taken on " + r.Manifest.Node + ", which is no node of the configuration"})
		}
		return out
	}
}

// unfinished: apply would make an empty cluster of what an interrupted restore has left, or take it for a whole one.
func unfinished(w Wanted, world World) plan.Judge {
	return func(plan.Plan) []plan.Finding {
		var out []plan.Finding
		for _, n := range w.Living() {
			if d := world.Nodes[n.Name].Restoring; d != "" {
				out = append(out, plan.Finding{Judge: "restore", Where: n.Name, Blocks: true, Text: "the restore of the backup " + short(d) + " has begun here and has not ended: run deploy restore again"})
			}
		}
		return out
	}
}
