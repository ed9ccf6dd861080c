package node

import (
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Waiting finds containers that may not be restarted and have a configuration that is not in force.
func Waiting(l site.List, seen site.Seen) plan.Judge {
	return func(p plan.Plan) []plan.Finding {
		var out []plan.Finding
		for i, item := range l.Items {
			if item.Container == nil || !item.Container.NoRestarts || seen.Items[i] == nil || seen.Items[i]["state"] != "running" {
				continue
			}
			changes := slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Kind == "container" && c.Name == item.Container.Name })
			if changes || seen.Items[i]["current"] == "no" {
				out = append(out, plan.Finding{Judge: "waiting", Where: item.Container.Name, Text: "its configuration is newer than it is and not in force: lxc_container_allow_restarts is false, so restart it yourself when it suits"})
			}
		}
		return out
	}
}
