package backups

import (
	"fmt"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// Versions judges what reads the backup: etcd's data is read by API servers of the same or the next minor version.
func (r Restore) Versions(in intent.Intent) plan.Judge {
	return func(plan.Plan) []plan.Finding {
		want, have := in.Versions.Kubernetes, r.Manifest.Kubernetes
		switch {
		case version.Older(want, have):
			return []plan.Finding{{Judge: "downgrade", Where: r.Name, Blocks: true, Text: fmt.Sprintf("the backup is of Kubernetes %s, the configuration asks for %s: restore with the old version", have, want)}}
		case version.Minor(want) > version.Minor(have)+1:
			return []plan.Finding{{Judge: "downgrade", Where: r.Name, Blocks: true, Text: fmt.Sprintf("the backup is of Kubernetes %s, and %s skips a minor version: restore with %[1]s and upgrade then", have, want)}}
		}
		return nil
	}
}

// Cluster tells what is worth knowing and no reason to stop.
func (r Restore) Cluster(in intent.Intent) plan.Judge {
	return func(plan.Plan) []plan.Finding {
		var out []plan.Finding
		if want := "https://" + in.Endpoint(); r.Manifest.Server != want {
			out = append(out, plan.Finding{Judge: "endpoint", Where: r.Name, Text: fmt.Sprintf("the backup is of the cluster at %s, which will be at %s: kubeconfigs name the old address", r.Manifest.Server, want)})
		}
		if !slices.ContainsFunc(in.Nodes, func(n intent.Node) bool { return n.NodeName == r.Manifest.Node }) {
			out = append(out, plan.Finding{Judge: "endpoint", Where: r.Name, Text: "it was taken on " + r.Manifest.Node + ", which is no node of the configuration"})
		}
		return out
	}
}
