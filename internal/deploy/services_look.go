package deploy

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/node"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/remote"
)

const judgeUnreachable = "unreachable"

// reachable sorts out the places that cannot be looked at.
func (s *Services) reachable(o site.Outside, skip bool) {
	for _, name := range slices.Sorted(maps.Keys(s.List.Places)) {
		p := s.List.Places[name]
		running := o.Facts[p.Host].Containers[p.Container]
		why := ""
		switch {
		case o.Lost[p.Host] != nil:
			why = o.Lost[p.Host].Error()
		case o.Hosts[p.Host] == nil:
			why = "there is no connection to its host"
		case p.Container != "" && node.Unfinished(o.Facts[p.Host], p.Container):
			s.Seen.Closed[name] = true
		case p.Container != "" && !running:
			why = "the container does not run: start it"
		}
		if why != "" && s.clusterNode(name) {
			s.Seen.Unseen[name] = true // the cluster's own part of the plan tells of it
		} else if why != "" {
			s.Seen.Unseen[name] = true
			s.Notes = append(s.Notes, unreachable(name, why, skip))
		}
	}
}

// unreachable is what the plan says of a place that cannot be looked at.
func unreachable(name, why string, skip bool) plan.Finding {
	return plan.Finding{Judge: judgeUnreachable, Where: name, Blocks: !skip, Text: site.FirstLine(why) + " (--skip-unreachable continues without it)"}
}

// clusterNode says of a place that it is a node of the cluster.
func (s *Services) clusterNode(name string) bool {
	return slices.ContainsFunc(s.Intent.Nodes, func(n intent.Node) bool { return n.Name == name })
}

// observe looks at the items of all places that are there. A host that does not answer any more, or one that has only a
// proxy and cannot be looked at, is noted with what lost says of it, and keeps no run from the others.
func (s *Services) observe(ctx context.Context, h site.Hosts, lost func(name string, err error) plan.Finding) error {
	s.Seen.Items = make([]plan.Facts, len(s.List.Items))
	silent := map[string]error{}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(site.AtOnce)
	for name, p := range s.List.Places {
		if s.Seen.Unseen[name] || s.Seen.Closed[name] {
			continue
		}
		at, items := s.List.All(name)
		g.Go(func() error {
			have, err := site.Observe(gctx, h, p, items)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil && gctx.Err() == nil && (proxy.Alone(s.Intent, p.Host) || errors.Is(err, remote.ErrGone)):
				silent[name] = err
				return nil
			case err != nil:
				return err
			}
			for n, i := range at {
				s.Seen.Items[i] = have[n]
			}
			return nil
		})
	}
	err := g.Wait()
	for _, name := range slices.Sorted(maps.Keys(silent)) {
		s.Seen.Unseen[name], s.Notes = true, append(s.Notes, lost(name, silent[name]))
	}
	return err
}
