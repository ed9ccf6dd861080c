package kubeadm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// oldestDriven is the oldest minor version of Kubernetes whose kubeadm this program drives: it is the first that reads
// kubeadmAPI.
const oldestDriven = 31

// Chain is the way of a cluster to a bundle's Kubernetes. API servers, and etcd's objects with them, go through every
// minor version (Kubernetes' version skew policy), so an old cluster needs as many runs as there are minor versions,
// each with all its gates. A run looks at what is there and takes the first step; nothing else has to be remembered
// between two of them.
type Chain struct {
	Have  string   // the oldest that runs; "" if there is no cluster yet
	Steps []string // what it becomes, one after the other; the last is where it stays. Never empty
}

// Next is what the cluster becomes in this run.
func (c Chain) Next() string { return c.Steps[0] }

// Rest are the steps after this run.
func (c Chain) Rest() []string { return c.Steps[min(1, len(c.Steps)):] }

// String is "1.34.4 -> 1.35.4 -> 1.36.4".
func (c Chain) String() string {
	all := c.Steps
	if c.Have != "" && c.Have != c.Steps[0] {
		all = append([]string{c.Have}, all...)
	}
	return strings.Join(all, " -> ")
}

// Carried are the versions of Kubernetes that a bundle brings a cluster through, in their order, up to the one of the
// minor version to stop at ("1.35"); "" stops at none.
func Carried(b site.Bundle, until string) ([]string, error) {
	carried := []string{b.Versions["kubernetes"]}
	for _, r := range b.Releases {
		carried = append(carried, r.Version)
	}
	slices.SortFunc(carried, func(a, b string) int { return version.Minor(a) - version.Minor(b) })
	carried = slices.Compact(carried)
	if until == "" {
		return carried, nil
	}
	last := slices.IndexFunc(carried, func(v string) bool { return version.MinorOf(v) == version.MinorOf(until) })
	if last < 0 {
		return nil, fmt.Errorf("--until %s: the bundle carries no such Kubernetes to stop at; it carries %s", until, strings.Join(carried, ", "))
	}
	return carried[:last+1], nil
}

// ChainOf finds the way from what runs to the bundle's own Kubernetes, or to where it is to stop. Pure.
func ChainOf(w Wanted, world World, until string) (Chain, error) {
	carried, err := Carried(w.Bundle, until)
	if err != nil {
		return Chain{}, err
	}
	c := Chain{Have: oldestRunning(w, world)}
	if c.Have == "" {
		c.Steps = carried[len(carried)-1:]
		return c, nil
	}
	for i, v := range carried {
		last := i == len(carried)-1
		if last || version.Minor(v) > version.Minor(c.Have) {
			c.Steps = append(c.Steps, v)
		}
	}
	return c, c.broken(carried)
}

// broken says where a way has a gap that no run can take.
func (c Chain) broken(carried []string) error {
	at := c.Have
	for _, v := range c.Steps {
		gap := version.Minor(v) - version.Minor(at)
		switch {
		case gap <= 1:
		case version.Minor(at)+1 < oldestDriven:
			return fmt.Errorf("the cluster runs Kubernetes %s and cannot be adopted: the next minor version is 1.%d, and this program drives kubeadm from 1.%d on (%s); bring the cluster to 1.%d first, with what made it",
				c.Have, version.Minor(at)+1, oldestDriven, kubeadmAPI, oldestDriven-1)
		default:
			return fmt.Errorf("the cluster cannot go from Kubernetes %s to %s: minor versions are gone through one by one, and the bundle carries %s; make one with %s as well (jeroboam bundle bump kubernetes 1.%d --add)",
				at, v, strings.Join(carried, ", "), missing(at, v), version.Minor(at)+1)
		}
		at = v
	}
	return nil
}

// missing are the minor versions between two.
func missing(from, to string) string {
	var out []string
	for minor := version.Minor(from) + 1; minor < version.Minor(to); minor++ {
		out = append(out, fmt.Sprintf("%d.%d", version.Numbers(to)[0], minor))
	}
	return strings.Join(out, " and ")
}

// oldestRunning is the oldest version of an API server, or of a kubelet that an upgrade has not come to yet, of the
// nodes that belong to the cluster.
func oldestRunning(w Wanted, world World) string {
	oldest := ""
	for _, n := range w.Living() {
		if !world.Member(n) {
			continue
		}
		for _, v := range []string{world.Nodes[n.Name].StaticPods["kube-apiserver"], world.Cluster.Nodes[n.NodeName].Status.NodeInfo.KubeletVersion} {
			if v = version.Trim(v); v != "" && (oldest == "" || version.Older(v, oldest)) {
				oldest = v
			}
		}
	}
	return oldest
}

// Step gives configuration and bundle with another Kubernetes that the bundle carries. Everything else is the bundle's
// own in every step: etcd, CoreDNS and the components support Kubernetes of some minor versions before them, and not
// the other way round.
func Step(in intent.Intent, b site.Bundle, to string) (intent.Intent, site.Bundle, error) {
	in.Versions.Kubernetes = to
	if to == b.Versions["kubernetes"] {
		return in, b, nil
	}
	b, err := b.With(to)
	return in, b, err
}

// Judge tells of the way, so that nobody takes one step of it for the whole.
func (c Chain) Judge() plan.Judge {
	return func(plan.Plan) []plan.Finding {
		if len(c.Rest()) == 0 {
			return nil
		}
		text := fmt.Sprintf("Kubernetes goes %s, one minor version at a time: this is the plan of the first step, and apply continues with the next (--until %s stops after this one)",
			c, version.MinorOf(c.Next()))
		return []plan.Finding{{Judge: "chain", Where: site.Cluster, Text: text}}
	}
}
