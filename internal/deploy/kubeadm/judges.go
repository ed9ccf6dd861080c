package kubeadm

import (
	"fmt"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// warnAuthority is how long before its end an authority is spoken of: kubeadm's last ten years, and replacing one is work for
// people, on every client of the cluster.
const warnAuthority = 365 * 24 * time.Hour

// Authorities says what nothing here can change: Authorities that end, and one that is not the configuration's. The time is the
// host's, which is what its clients go by.
func Authorities(w Wanted, world World) plan.Judge {
	return func(plan.Plan) []plan.Finding {
		var out []plan.Finding
		for _, n := range w.Living() {
			if !world.Member(n) {
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

// Downgrades judges that versions go up, and one minor version at a time (Kubernetes' version skew policy): etcd's data and the API
// server's objects do not go back. kubeadm refuses it as well, but only after the first node has been drained.
func Downgrades(w Wanted, world World) plan.Judge {
	return func(plan.Plan) []plan.Finding {
		var out []plan.Finding
		want := w.Intent.Versions.Kubernetes
		for _, n := range w.Intent.Nodes {
			have := version.Trim(world.Nodes[n.Name].StaticPods["kube-apiserver"])
			if have == "" || have == want || !world.Member(n) {
				continue
			}
			switch {
			case version.Older(want, have):
				out = append(out, plan.Finding{Judge: "downgrade", Where: n.Name, Blocks: true, Text: fmt.Sprintf("Kubernetes %s -> %s is a downgrade", have, want)})
			case version.Minor(want) > version.Minor(have)+1:
				out = append(out, plan.Finding{Judge: "downgrade", Where: n.Name, Blocks: true, Text: fmt.Sprintf("Kubernetes %s -> %s skips a minor version: go through %d.%d first", have, want, version.Numbers(want)[0], version.Minor(have)+1)})
			}
		}
		return out
	}
}

// Lost judges members that nobody has: etcd counts on one that is no longer there. Only the operator knows whether it comes back.
func Lost(w Wanted, world World) plan.Judge {
	return func(plan.Plan) []plan.Finding {
		var out []plan.Finding
		for _, n := range w.Living() {
			if world.Lost(n) {
				out = append(out, plan.Finding{
					Judge: "lost", Where: n.Name, Blocks: true,
					Text: "etcd has a member of it, and there is nothing of it on " + n.PhysicalHost + ": if it is gone for good, --replace " + n.Name,
				})
			}
		}
		return out
	}
}
