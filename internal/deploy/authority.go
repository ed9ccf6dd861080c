package deploy

import (
	"fmt"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// warnAuthority is how long before its end an authority is spoken of: kubeadm's last ten years, and replacing one is work for
// people, on every client of the cluster.
const warnAuthority = 365 * 24 * time.Hour

// authorities says what nothing here can change: authorities that end, and one that is not the configuration's. The time is the
// host's, which is what its clients go by.
func authorities(w Wanted, world World) plan.Judge {
	return func(plan.Plan) []plan.Finding {
		var out []plan.Finding
		for _, n := range w.living() {
			if !world.member(n) {
				continue
			}
			state := world.Nodes[n.Name]
			if custom := w.Intent.CustomCA; custom.Allow && custom.Cert != "" && state.CA != "" && state.CA != pki.PublicKeyHash([]byte(custom.Cert)) {
				out = append(out, plan.Finding{
					Judge: "authority", Where: n.Name,
					Text: "the cluster was made with another authority than kubernetes_custom_ca_cert, and keeps it: a cluster's authority cannot be exchanged",
				})
			}
			for _, c := range state.Certificates {
				if c.CA && c.Until.Before(w.Facts[n.PhysicalHost].Now.Add(warnAuthority)) {
					out = append(out, plan.Finding{
						Judge: "authority", Where: n.Name,
						Text: fmt.Sprintf("%s ends on %s, and everything it has signed with it: it is not renewed, plan its replacement", c.Path, c.Until.Format(time.DateOnly)),
					})
				}
			}
		}
		return out
	}
}
