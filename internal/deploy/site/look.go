package site

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// Look gathers the facts of all hosts, and of containers on them that have some of their own, under their names: what
// runs in a container has its files, addresses and programs there.
func Look(ctx context.Context, h Hosts, inside ...Place) (map[string]host.Facts, error) {
	facts, errs := LookAtAll(ctx, h, slices.Sorted(maps.Keys(h)))
	lookInside(ctx, h, facts, errs, inside)
	return facts, Lost(errs)
}

// lookInside adds the facts of containers that run. One that cannot be looked into counts as its host.
func lookInside(ctx context.Context, h Hosts, facts map[string]host.Facts, errs map[string]error, inside []Place) {
	for _, p := range inside {
		if p.Container == "" || errs[p.Host] != nil || !facts[p.Host].Containers[p.Container] {
			continue
		}
		f, err := lookAt(ctx, h, p)
		if err != nil {
			errs[p.Host] = err
			continue
		}
		facts[p.Container] = f
	}
}

// lookAt gathers the facts of one place, and how its clock differs from ours.
func lookAt(ctx context.Context, h Hosts, p Place) (host.Facts, error) {
	asked := time.Now()
	f, err := Ask[host.Facts](ctx, h, p, host.OpFacts, nil)
	f.Clock = clockOf(f, asked, time.Now())
	return f, err
}

// clockOf compares a host's clock with ours. It was read when the request had come there, and the answer left when the
// host had looked around; the two ways in between took the rest, half of it each unless they differ, which is as far as
// it can be wrong.
func clockOf(f host.Facts, asked, answered time.Time) host.Clock {
	ways := max(answered.Sub(asked)-f.Took, 0)
	return host.Clock{Ahead: f.Now.Sub(asked.Add(ways / 2)), Within: ways / 2}
}

// LookAtAll gathers the facts of the named hosts, and why it failed for each that it failed for.
func LookAtAll(ctx context.Context, h Hosts, names []string) (map[string]host.Facts, map[string]error) {
	facts, errs := map[string]host.Facts{}, map[string]error{}
	var mu sync.Mutex
	_ = AtOnce(names, func(name string) error { // what failed is among the errors
		if _, light := h.looker(Place{Host: name}); light || h[name] == nil {
			return nil // of a host that is looked at without an agent nothing but its items is asked
		}
		f, err := lookAt(ctx, h, Place{Host: name})
		mu.Lock()
		defer mu.Unlock()
		facts[name], errs[name] = f, err
		return nil
	})
	return facts, errs
}

// Outside are the hosts beside the cluster's own: those that answered, with facts, and why the others did not.
type Outside struct {
	Hosts Hosts
	Facts map[string]host.Facts
	Lost  map[string]error
}

// LookOutside gathers the facts of hosts, and of containers as Look does; unreached are hosts that nobody could log in
// to.
func LookOutside(ctx context.Context, h Hosts, unreached map[string]error, inside ...Place) Outside {
	o := Outside{Hosts: h, Lost: maps.Clone(unreached)}
	if o.Lost == nil {
		o.Lost = map[string]error{}
	}
	facts, errs := LookAtAll(ctx, h, slices.Sorted(maps.Keys(h)))
	lookInside(ctx, h, facts, errs, inside)
	o.Facts = map[string]host.Facts{}
	for name, f := range facts { // hosts that are looked at without an agent have none
		if errs[name] != nil {
			o.Lost[name] = errs[name]
			continue
		}
		o.Facts[name] = f
	}
	return o
}
