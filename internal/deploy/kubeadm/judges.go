package kubeadm

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// warnAuthority is how long before its end an authority is spoken of: kubeadm's last ten years, and replacing one is
// work for people, on every client of the cluster.
const warnAuthority = 365 * 24 * time.Hour

// Authorities says what nothing here can change: authorities that end, and one that is not the configuration's. The
// time is the host's, which is what its clients go by.
func Authorities(w Wanted, world World) plan.Judge {
	return func(p plan.Plan) []plan.Finding {
		var out []plan.Finding
		for _, i := range plan.Of[Init](p) {
			out = append(out, ended(w, i.Node)...)
		}
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

// Downgrades judges that versions go up, and one minor version at a time (Kubernetes' version skew policy): etcd's data
// and the API server's objects do not go back. kubeadm refuses it as well, but only after the first node has been
// drained.
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
				out = append(out, plan.Finding{Judge: "downgrade", Where: n.Name, Blocks: true, Text: fmt.Sprintf("Kubernetes %s -> %s is a downgrade", have, want) + lagging(w, world, have)})
			case version.Minor(want) > version.Minor(have)+1:
				out = append(out, plan.Finding{Judge: "downgrade", Where: n.Name, Blocks: true, Text: fmt.Sprintf("Kubernetes %s -> %s skips a minor version: go through %d.%d first", have, want, version.Numbers(want)[0], version.Minor(have)+1)})
			}
		}
		return out
	}
}

// Lost judges members that nobody has: etcd counts on one that is no longer there. Only the operator knows whether it
// comes back.
func Lost(w Wanted, world World) plan.Judge {
	return func(plan.Plan) []plan.Finding {
		var out []plan.Finding
		for _, n := range w.Living() {
			if world.lost(n) {
				out = append(out, plan.Finding{
					Judge: "lost", Where: n.Name, Blocks: true,
					Text: "etcd has a member of it, and there is nothing of it on " + n.PhysicalHost + ": if it is gone for good, --replace " + n.Name,
				})
			}
		}
		return out
	}
}

// lagging says of a downgrade that it comes from kubelets which are older than the API servers: the way of an old
// cluster begins with the oldest, and API servers do not go back to it. kubelet may be up to three minor versions
// behind (Kubernetes' version skew policy), and goes over them at once.
func lagging(w Wanted, world World, have string) string {
	var late []string
	for _, n := range w.Living() {
		if v := version.Trim(world.Cluster.Nodes[n.NodeName].Status.NodeInfo.KubeletVersion); v != "" && version.Older(v, have) && world.Member(n) {
			late = append(late, n.NodeName+" "+v)
		}
	}
	if len(late) == 0 {
		return ""
	}
	return fmt.Sprintf(", and is planned because kubelets are older than the API servers (%s): do not allow it, but bring these kubelets to %s first, "+
		"with what made the cluster (drain the node, install that kubelet, restart it), and run this again", strings.Join(late, ", "), have)
}

// ended are authorities of the operator's own that a new cluster would begin with, and that have ended: nothing they
// sign is believed.
func ended(w Wanted, node string) []plan.Finding {
	c := w.Intent.CustomCA
	i := slices.IndexFunc(w.Intent.Nodes, func(n intent.Node) bool { return n.Name == node })
	if !c.Allow || i < 0 {
		return nil
	}
	now := w.Facts[w.Intent.Nodes[i].PhysicalHost].Now
	var out []plan.Finding
	for _, a := range []struct{ name, cert string }{
		{"kubernetes_custom_ca_cert", c.Cert}, {"kubernetes_custom_etcd_ca_cert", c.EtcdCert}, {"kubernetes_custom_front_proxy_ca_cert", c.FrontProxyCert},
	} {
		if end, err := pki.End([]byte(a.cert)); err == nil && !now.Before(end) {
			out = append(out, plan.Finding{
				Judge: "authority", Where: node, Blocks: true,
				Text: fmt.Sprintf("%s has ended on %s: nothing that a cluster signs with it would be believed; give another authority", a.name, end.Format(time.DateOnly)),
			})
		}
	}
	return out
}
