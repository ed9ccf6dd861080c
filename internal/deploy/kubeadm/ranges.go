package kubeadm

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Overlaps finds ranges of the cluster's own that something else of the cloud uses: what is sent there never arrives,
// or arrives at a pod. A cluster that is not there yet is not made so, unless the operator allows it. One that lives
// has its ranges for good, the collection's default 10.0.0.0/8 among them, and is adopted with a note.
func Overlaps(w Wanted, world World) plan.Judge {
	return func(plan.Plan) []plan.Finding {
		var out []plan.Finding
		living := livingRanges(w, world)
		for _, own := range []struct{ name, cidr string }{
			{"pods (cilium_ipv4_cidr)", w.Intent.Network.PodCIDR}, {"services", w.Intent.Network.ServiceCIDR},
		} {
			ours, err := netip.ParsePrefix(own.cidr)
			if err != nil {
				continue // Read has told
			}
			for _, o := range takenBy(w, own.cidr, ours) {
				f := plan.Finding{Judge: "overlap", Where: o.where, Blocks: true, Text: fmt.Sprintf("the range of %s, %s, overlaps %s", own.name, own.cidr, o.what)}
				if slices.Contains(living, own.cidr) || len(living) == 1 && living[0] == anyRange {
					f.Blocks = false
					f.Text += ": the cluster that is there has it for good; what is in both is not reached from nodes and pods"
				}
				out = append(out, f)
			}
		}
		return out
	}
}

// anyRange stands for the ranges of a cluster that is there and cannot be asked.
const anyRange = "any"

// livingRanges are those of the cluster that is there.
func livingRanges(w Wanted, world World) []string {
	if s := world.Cluster.Shared; s.Cluster != "" {
		return s.ranges()
	}
	if slices.ContainsFunc(w.Intent.Nodes, world.Member) {
		return []string{anyRange}
	}
	return nil
}

type other struct{ where, what string }

// takenBy are what overlaps a range: routes and addresses of hosts, and networks of the configuration.
func takenBy(w Wanted, cidr string, ours netip.Prefix) []other {
	var out []other
	add := func(where, text, name string) {
		theirs, err := netip.ParsePrefix(text)
		o := other{where, text + " " + name}
		if err == nil && theirs.Bits() > 0 && ours.Overlaps(theirs.Masked()) && !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	if services := w.Intent.Network.ServiceCIDR; services != cidr {
		add(site.Cluster, services, "of services")
	}
	for _, n := range w.Intent.Network.Others {
		add(site.Cluster, n.CIDR, "of the network "+n.Name)
	}
	for _, h := range w.Intent.HostsWith(intent.RoleNode) {
		f := w.Facts[h.Name]
		told := map[string]bool{}
		for _, from := range []map[string][]string{f.Routes, f.Interfaces} {
			for _, iface := range slices.Sorted(maps.Keys(from)) {
				for _, r := range from[iface] {
					if before := len(out); !podInterface(iface) && !told[iface] {
						add(h.Name, r, "on "+iface)
						told[iface] = len(out) > before
					}
				}
			}
		}
	}
	return out
}

// podInterface are interfaces that the network of pods makes.
func podInterface(name string) bool {
	return slices.ContainsFunc([]string{"cilium", "lxc", "cni", "vxlan", "geneve"}, func(p string) bool {
		return strings.HasPrefix(name, p) && name != "lxcbr0"
	})
}
