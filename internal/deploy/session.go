package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeconfigs"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/preflight"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Options are what a look at a deployment goes by, beside the configuration.
type Options struct {
	Bundle site.Bundle
	// Connect logs in to the cluster's hosts, but for those of nodes that are gone, and says of all that fail why. Reach
	// logs in to those that have only kubeconfigs, Magnum or a proxy, and says of each that fails why.
	Connect func(ctx context.Context, in intent.Intent, gone []string) (site.Hosts, error)
	Reach   func(ctx context.Context, in intent.Intent, have site.Hosts) (site.Hosts, map[string]error)
	Dial    site.Dialer
	// Program is the digest of the program that agents are, Own where the deployer's is: a removal leaves that one.
	Program, Own string

	// Settled says that what earlier runs have left is waited for first, as whoever is going to change something has to.
	// Hold is what such a run calls itself; nil for one that only plans.
	Settled bool
	Hold    *host.Hold
	// StrictVersions refuses every difference between configuration and bundle, SkipUnreachable goes on without hosts of
	// Magnum and the proxy.
	StrictVersions, SkipUnreachable bool
	// Replace are the nodes that are gone for good.
	Replace []string
	// Chain says that an old cluster is brought up one minor version at a time, up to Until.
	Chain bool
	Until string

	// Tell is told what is waited for, Unreached of hosts that a look goes on without; Note what differs between
	// configuration and bundle.
	Tell      func(place, text string)
	Unreached func(error)
	Note      func(text string) error
}

// Session is a deployment as it should be and as it is: what every command works with.
type Session struct {
	Intent   intent.Intent
	Hosts    site.Hosts
	Wanted   Wanted
	World    World
	Copies   kubeconfigs.Copies
	Outside  site.Outside // all hosts that were reached
	Services Services
	// Leftovers are what a deployment that is removed has left at other places.
	Leftovers kubeconfigs.Leftovers

	dial    site.Dialer
	facts   map[string]host.Facts
	magnum  magnum.World
	proxies proxy.World
	more    site.Hosts // hosts that are no part of the cluster
}

// Close ends all connections.
func (s *Session) Close() {
	s.Hosts.Close()
	s.more.Close()
}

// look is one step of a session.
type look func(*Session, context.Context, *Options) error

// Look logs in to the hosts, takes them, if the run changes things, checks them and looks at everything. It changes
// nothing. The connections are the session's, and are closed if it fails.
func Look(ctx context.Context, in intent.Intent, o Options) (*Session, error) {
	return session(ctx, in, o, []look{
		(*Session).decide, (*Session).connect, (*Session).take, (*Session).gather, (*Session).check, (*Session).around,
		(*Session).signable, (*Session).components, (*Session).inspect, (*Session).ours, (*Session).beside,
	})
}

// lookToRemove is Look for a deployment that should not be: it finds what was made, and what was left elsewhere.
func lookToRemove(ctx context.Context, in intent.Intent, o Options) (*Session, error) {
	return session(ctx, in, o, []look{
		(*Session).connect, (*Session).take, (*Session).gather, (*Session).nothing, (*Session).around, (*Session).left,
	})
}

func session(ctx context.Context, in intent.Intent, o Options, steps []look) (*Session, error) {
	s := &Session{Intent: in, dial: o.Dial}
	for _, step := range steps {
		if err := step(s, ctx, &o); err != nil {
			s.Close()
			if o.Hold != nil {
				err = fmt.Errorf("nothing was changed: %w", err)
			}
			return nil, err
		}
	}
	return s, nil
}

// decide takes the bundle's versions, and says where the configuration asks for older ones. It comes first: no host has
// to be asked to refuse what the bundle cannot give.
func (s *Session) decide(_ context.Context, o *Options) error {
	in, notes, err := Decide(o.Bundle, s.Intent, o.StrictVersions)
	_, stops := kubeadm.Carried(o.Bundle, o.Until)
	if err := errors.Join(err, stops); err != nil {
		return err
	}
	s.Intent = in
	for _, n := range notes {
		if err := o.Note(n); err != nil {
			return err
		}
	}
	return nil
}

// connect logs in. Who is going to change something needs all hosts; who only looks says what can be said without some.
func (s *Session) connect(ctx context.Context, o *Options) error {
	var err error
	s.Hosts, err = o.Connect(ctx, s.Intent, o.Replace)
	if err != nil && (o.Settled || len(s.Hosts) == 0) {
		return err
	}
	if err != nil {
		o.Unreached(err)
	}
	return nil
}

// take makes the hosts this run's, and waits until earlier ones have ended there.
func (s *Session) take(ctx context.Context, o *Options) error {
	if !o.Settled {
		return nil
	}
	if o.Hold != nil {
		if err := s.Hosts.Hold(ctx, *o.Hold); err != nil {
			return err
		}
	}
	return site.Settle(ctx, s.Hosts, s.Hosts.Places(), o.Tell)
}

// gather asks for the hosts' facts.
func (s *Session) gather(ctx context.Context, _ *Options) (err error) {
	s.facts, err = site.Look(ctx, s.Hosts, balance.Inside(s.Intent)...)
	return err
}

func (s *Session) check(context.Context, *Options) error { return preflight.Check(s.Intent, s.facts) }

// around logs in to hosts that are no part of the cluster, and finds out who serves Magnum there. One that is not
// reached is no reason to fail: the plan says so.
func (s *Session) around(ctx context.Context, o *Options) error {
	var lost map[string]error
	s.more, lost = o.Reach(ctx, s.Intent, s.Hosts)
	all := maps.Clone(s.Hosts)
	maps.Copy(all, s.more)
	s.Outside = site.LookOutside(ctx, all, lost, balance.Inside(s.Intent)...)
	var err error
	if s.magnum, err = magnum.Inspect(ctx, s.Outside, s.Intent); err != nil {
		return err
	}
	s.proxies = proxy.Inspect(ctx, s.Outside, s.Intent, s.magnum.Serves)
	return nil
}

// signable refuses servers of Magnum whose certificates nobody can make.
func (s *Session) signable(_ context.Context, o *Options) error {
	if o.Settled && s.magnum.Serves == intent.ImplementationJeroboam {
		return magnum.Signable(s.Intent)
	}
	return nil
}

// components adds what the cluster must hold for the services beside it to what the bundle has.
func (s *Session) components(_ context.Context, o *Options) error {
	more, err := serviceComponents(s.magnum.Serves, s.proxies.Runs)
	o.Bundle.Components = slices.Concat(o.Bundle.Components, more) // the caller's own list is another look's, too
	return err
}

// inspect says how all should be and looks how it is. Where a cluster is minor versions behind, that is once more, for
// the first step of its way.
func (s *Session) inspect(ctx context.Context, o *Options) error {
	b := o.Bundle
	for in := s.Intent; ; {
		var err error
		chain := s.Wanted.Chain
		s.Wanted, err = Want(in, b, s.facts, o.Replace)
		s.Wanted.Serves, s.Wanted.Proxies, s.Wanted.Chain = s.magnum.Serves, s.proxies.Runs, chain
		if err == nil && o.Settled {
			err = site.Settle(ctx, s.Hosts, s.Wanted.running(), o.Tell)
		}
		if err == nil {
			s.World, err = Inspect(ctx, s.Hosts, s.Wanted, o.Dial)
		}
		if err != nil {
			return err
		}
		if !o.Chain {
			return nil
		}
		if chain.Steps == nil {
			if s.Wanted.Chain, err = kubeadm.ChainOf(s.Wanted.Wanted, s.World.World, o.Until); err != nil {
				return err
			}
		}
		next := s.Wanted.Chain.Next()
		if next == in.Versions.Kubernetes {
			s.Intent = in
			return nil
		}
		if in, b, err = kubeadm.Step(s.Intent, o.Bundle, next); err != nil {
			return err
		}
	}
}

func (s *Session) ours(context.Context, *Options) error {
	return kubeadm.Foreign(s.Wanted.Wanted, s.World.World)
}

// beside looks at what is beside the cluster: kubeconfigs for others, and services.
func (s *Session) beside(ctx context.Context, o *Options) error {
	s.Copies = kubeconfigs.Look(ctx, s.Outside.Hosts, s.Outside.Lost, CopiesFrom(s.Outside.Hosts, s.Wanted, s.World, o.Dial))
	var err error
	s.Services, err = LookAtServices(ctx, s.Outside, s.Wanted, s.World, s.magnum, ServiceOptions{
		Program: o.Program, Skip: o.SkipUnreachable, Proxies: s.proxies, Dial: o.Dial,
	})
	return err
}

// nothing looks at what the cluster's hosts should not have.
func (s *Session) nothing(ctx context.Context, o *Options) (err error) {
	s.Wanted = nothing(s.Intent, s.facts)
	s.World, err = Inspect(ctx, s.Hosts, s.Wanted, o.Dial)
	return err
}

// left looks at what is to be removed of Magnum's servers and the proxies, and at kubeconfigs.
func (s *Session) left(ctx context.Context, o *Options) (err error) {
	if s.Services, err = noServices(ctx, s.Outside, s.Wanted, s.magnum, s.proxies, o.Own); err != nil {
		return err
	}
	s.Leftovers = s.Services.except(lookAtLeftovers(ctx, s.Outside.Hosts, s.Outside.Lost, s.Wanted))
	return nil
}

// Plan compares and judges.
func (s *Session) Plan(now time.Time) plan.Plan {
	p := Diff(s.Wanted, s.World, now)
	p = s.Services.Plan(s.Copies.Plan(p, kubeadm.Fresh(p)))
	return plan.Judged(p, Judges(s.Wanted, s.World)...)
}
