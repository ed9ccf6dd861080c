package deploy

import (
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/backups"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Wanted is how everything should be.
type Wanted struct {
	kubeadm.Wanted
	// Serves is who serves Magnum's API, "" if nobody was asked.
	Serves string
	// Proxies is which proxy its hosts have, "" if nobody was asked.
	Proxies string
	// Chain is the way to the bundle's Kubernetes of which this is the first step.
	Chain kubeadm.Chain
}

// Want says how everything should be. Pure: facts only decide what a host's kernel and the files of others make
// necessary.
func Want(in intent.Intent, b site.Bundle, facts map[string]host.Facts, gone []string) (Wanted, error) {
	w := Wanted{Wanted: kubeadm.Wanted{Intent: in, Bundle: b, Facts: facts, List: site.List{Places: map[string]site.Place{}, Gone: gone}}}
	for _, h := range in.HostsWith(intent.RoleNode) {
		w.Place(site.Place{Host: h.Name})
		w.Add(h.Name, node.GroupHost, node.Host(in, h)...)
	}
	for _, n := range in.Nodes {
		w.Place(site.Place{Host: n.PhysicalHost, Container: n.Name})
		w.Add(n.PhysicalHost, node.GroupContainer, node.Container(n, b, facts[n.PhysicalHost])...)
		items, err := node.Inside(in, b, n)
		if err != nil {
			return w, err
		}
		record, err := kubeadm.Record(in, b, n, facts[n.PhysicalHost])
		if err != nil {
			return w, err
		}
		w.Add(n.Name, node.GroupInside, items...)
		w.Add(n.Name, node.GroupKubelet, node.Kubelet(b)...)
		w.Add(n.Name, kubeadm.GroupRecord, record)
		timer, err := backups.Want(in, n, facts[n.PhysicalHost])
		if err != nil {
			return w, err
		}
		w.Add(n.Name, node.GroupInside, timer...)
	}
	for _, h := range in.HAProxy.Hosts {
		p := site.At(h.Where())
		w.Place(p)
		w.Add(p.Name(), balance.Group, balance.Want(h, facts[p.Name()])...)
	}
	w.wantSpare()
	return w, nil
}

// running are the places in containers that run.
func (w Wanted) running() []site.Place {
	var out []site.Place
	for _, p := range w.Places {
		if p.Container != "" && w.Facts[p.Host].Containers[p.Container] {
			out = append(out, p)
		}
	}
	return out
}
