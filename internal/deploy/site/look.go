package site

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// Look gathers the facts of all hosts.
func Look(ctx context.Context, h Hosts) (map[string]host.Facts, error) {
	facts, errs := LookAtAll(ctx, h, slices.Sorted(maps.Keys(h)))
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(errs)) {
		failed = append(failed, errs[name])
	}
	return facts, errors.Join(failed...)
}

// LookAtHost gathers the facts of one host, and how its clock differs from ours.
func LookAtHost(ctx context.Context, h Hosts, name string) (host.Facts, error) {
	asked := time.Now()
	f, err := Ask[host.Facts](ctx, h, Place{Host: name}, host.OpFacts, nil)
	f.Clock = clockOf(f, asked, time.Now())
	return f, err
}

// clockOf compares a host's clock with ours. It was read when the request had come there, and the answer left when the host had
// looked around; the two ways in between took the rest, half of it each unless they differ, which is as far as it can be wrong.
func clockOf(f host.Facts, asked, answered time.Time) host.Clock {
	ways := max(answered.Sub(asked)-f.Took, 0)
	return host.Clock{Ahead: f.Now.Sub(asked.Add(ways / 2)), Within: ways / 2}
}

// LookAtAll gathers the facts of the named hosts, and why it failed for each that it failed for.
func LookAtAll(ctx context.Context, h Hosts, names []string) (map[string]host.Facts, map[string]error) {
	facts, errs := map[string]host.Facts{}, map[string]error{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, name := range names {
		if _, light := h.looker(Place{Host: name}); light || h[name] == nil {
			continue // of a host that is looked at without an agent nothing but its items is asked
		}
		all.Go(func() {
			f, err := LookAtHost(ctx, h, name)
			mu.Lock()
			defer mu.Unlock()
			facts[name], errs[name] = f, err
		})
	}
	all.Wait()
	return facts, errs
}

// Outside are the hosts beside the cluster's own: those that answered, with facts, and why the others did not.
type Outside struct {
	Hosts Hosts
	Facts map[string]host.Facts
	Lost  map[string]error
}

// LookOutside gathers the facts of hosts; unreached are those that nobody could log in to.
func LookOutside(ctx context.Context, h Hosts, unreached map[string]error) Outside {
	o := Outside{Hosts: h, Lost: maps.Clone(unreached)}
	if o.Lost == nil {
		o.Lost = map[string]error{}
	}
	facts, errs := LookAtAll(ctx, h, slices.Sorted(maps.Keys(h)))
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
