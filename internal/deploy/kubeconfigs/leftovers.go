package kubeconfigs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Leftovers are what a deployment has left at places that are no part of the cluster: kubeconfigs, and the agents that
// wrote them.
type Leftovers struct {
	// Hosts are agents of all hosts that were reached.
	Hosts site.Hosts
	// Copies are kubeconfigs of the cluster that goes.
	Copies []Copy
	// Entered are containers in which there is an agent now.
	Entered []site.Place
	// Notes say what could not be looked at, and so stays.
	Notes []plan.Finding
}

// LookAtLeftovers finds kubeconfigs that are of no use when the cluster has gone. They are told by the address in them:
// one of another cluster stays. As long as a node stays, because OpenStack-Ansible made its container, its cluster's
// kubeconfigs do too. Entered are containers that were looked into anyway.
func LookAtLeftovers(ctx context.Context, h site.Hosts, unreached map[string]error, all []Copy, server string, stays bool, entered []site.Place) Leftovers {
	l := Leftovers{Hosts: h, Entered: entered}
	facts, errs := site.LookAtAll(ctx, h, Hosts(all))
	for _, one := range all {
		p := one.Place
		running, there := facts[p.Host].Containers[p.Container]
		switch err := cmp.Or(unreached[p.Host], errs[p.Host]); {
		case err != nil:
			l.note(p, fmt.Sprintf("what is left there stays: %v: run destroy again when it answers", err))
		case p.Container != "" && !there:
		case p.Container != "" && !running:
			l.note(p, "what is left there stays: the container does not run: start it, and run destroy again")
		default:
			l.lookAtOne(ctx, one, stays, server)
		}
	}
	return l
}

func (l *Leftovers) lookAtOne(ctx context.Context, one Copy, stays bool, server string) {
	if one.Place.Container != "" && !slices.Contains(l.Entered, one.Place) {
		l.Entered = append(l.Entered, one.Place)
	}
	have, err := site.Ask[host.Observed](ctx, l.Hosts, one.Place, host.OpObserve, []host.Item{{File: one.file("")}})
	if err == nil && len(have) == 1 && have[0] == nil {
		return // there is none
	}
	text := ""
	if err == nil {
		text, err = site.Ask[string](ctx, l.Hosts, one.Place, host.OpRead, one.Path)
	}
	if err != nil {
		l.note(one.Place, fmt.Sprintf("%s stays: %v", one.Path, err))
		return
	}
	cfg, err := clientcmd.Load([]byte(text))
	ours := false
	if err == nil {
		for _, c := range cfg.Clusters {
			ours = ours || c.Server == server
		}
	}
	switch {
	case !ours:
		l.note(one.Place, one.Path+" stays: it belongs to another cluster")
	case stays && one.Admin:
		l.note(one.Place, one.Path+" stays, because its cluster does: OpenStack-Ansible made a container of it")
	default:
		l.Copies = append(l.Copies, one)
	}
}

func (l *Leftovers) note(p site.Place, text string) {
	f := plan.Finding{Judge: group, Where: p.Name(), Text: text}
	if !slices.Contains(l.Notes, f) {
		l.Notes = append(l.Notes, f)
	}
}

// Changes are what is removed.
func (l Leftovers) Changes() []plan.Change {
	var out []plan.Change
	for _, one := range l.Copies {
		out = append(out, plan.Change{Place: one.Place.Name(), Group: group, Kind: "file", Name: one.Path, Action: plan.Delete, Summary: "a kubeconfig of the cluster that goes"})
	}
	return out
}

// Leave removes the agents, in containers before those on their hosts, which are the way there.
func (l Leftovers) Leave(ctx context.Context) error {
	var errs []error
	for _, p := range l.Entered {
		_, err := site.Ask[struct{}](ctx, l.Hosts, p, host.OpLeave, nil)
		errs = append(errs, err)
	}
	return errors.Join(append(errs, l.Hosts.Leave(ctx))...)
}

// Remove takes kubeconfigs away, before their cluster, so that a run that was killed still knows them.
func (l Leftovers) Remove(ctx context.Context, r site.Run) error {
	var errs []error
	for _, one := range l.Copies {
		r.Say("remove kubeconfigs", one.Place.Name(), "remove %s", one.Path)
		_, err := site.Ask[struct{}](ctx, l.Hosts, one.Place, host.OpEnsure, []host.Item{{File: &host.File{Path: one.Path, Gone: true}}})
		if err != nil {
			errs = append(errs, fmt.Errorf("remove %s: %w", one.Path, err))
		}
	}
	return errors.Join(errs...)
}

// Except leaves out what goes with containers that go as a whole, and adds containers that were looked into.
func (l Leftovers) Except(goes, entered []site.Place) Leftovers {
	gone := func(p site.Place) bool { return slices.Contains(goes, p) }
	l.Copies = slices.DeleteFunc(slices.Clone(l.Copies), func(c Copy) bool { return gone(c.Place) })
	l.Entered = slices.Clone(l.Entered)
	for _, p := range entered {
		if !slices.Contains(l.Entered, p) {
			l.Entered = append(l.Entered, p)
		}
	}
	l.Entered = slices.DeleteFunc(l.Entered, gone)
	return l
}
