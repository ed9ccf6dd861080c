package deploy

import (
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/backups"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// The parts of a deployment beside those of nodes.
const (
	groupRecord  = "record" // the settings a node has, written when they are in force
	groupControl = "control plane"
)

// Wanted is how everything should be.
type Wanted struct {
	site.List
	Intent intent.Intent
	Bundle site.Bundle
	// Facts are the physical hosts'.
	Facts map[string]host.Facts
	// Serves is who serves Magnum's API, "" if nobody was asked.
	Serves string
	// Proxies is which proxy its hosts have, "" if nobody was asked.
	Proxies string
	// Chain is the way to the bundle's Kubernetes of which this is the first step.
	Chain Chain
}

// Want says how everything should be. Pure: facts only decide what a host's kernel and the files of others make necessary.
func Want(in intent.Intent, b site.Bundle, facts map[string]host.Facts, gone []string) (Wanted, error) {
	w := Wanted{Intent: in, Bundle: b, Facts: facts, List: site.List{Places: map[string]site.Place{}, Gone: gone}}
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
		record, err := initDocuments(in, b, n, traitsOf(facts[n.PhysicalHost]))
		if err != nil {
			return w, err
		}
		w.Add(n.Name, node.GroupInside, items...)
		w.Add(n.Name, node.GroupKubelet, node.Kubelet(b)...)
		// Not shown: the one of a node that the original collection made has what let it join.
		w.Add(n.Name, groupRecord, host.Item{File: &host.File{Path: host.KubeadmConfig, Content: host.Mark + record, Mode: 0o640, Secret: true}})
		timer, err := backups.Want(in, n, facts[n.PhysicalHost])
		if err != nil {
			return w, err
		}
		w.Add(n.Name, node.GroupInside, timer...)
	}
	for _, h := range in.HAProxy.Hosts {
		p := site.At(h.Where())
		w.Place(p)
		w.Add(p.Name(), balance.Group, balance.Want(h, facts[h.PhysicalHost])...)
	}
	w.wantSpare()
	return w, nil
}

// Running are the places in containers that run.
func (w Wanted) Running() []site.Place {
	var out []site.Place
	for _, p := range w.Places {
		if p.Container != "" && w.Facts[p.Host].Containers[p.Container] {
			out = append(out, p)
		}
	}
	return out
}

func traitsOf(f host.Facts) traits { return traits{cgroupV1: f.Kernel != "" && !f.CgroupV2} }
