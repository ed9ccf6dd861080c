package balance

import (
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Others judges what is not ours: haproxy.cfg is one file of everybody's fragments. To put ours in force is to do that
// with theirs, which they may not be ready for, and to undo what somebody wrote into the file by hand.
func Others(l site.List, seen site.Seen) plan.Judge {
	return func(p plan.Plan) []plan.Finding {
		var out []plan.Finding
		for i, item := range l.Items {
			if item.HAProxy == nil || len(seen.Items) == 0 || seen.Items[i]["others"] != "differ" || !p.Touches(item.Place, "haproxy", "") {
				continue
			}
			out = append(out, plan.Finding{
				Judge: "others", Where: item.Place, Blocks: true,
				Text: item.HAProxy.Config + " is not what the fragments of other services say (plan shows the difference): it becomes so; run OpenStack-Ansible's haproxy-install if that is meant, or look who changed what",
			})
		}
		return out
	}
}
