package magnum

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/remote"
)

// World is who serves Magnum's API, and what is at its places.
type World struct {
	Serves string
	Places map[string]Found
	Why    plan.Finding
}

// Inspect asks the places of magnum_all who serves there. Places that are not there, or that nobody reaches, are
// nobody's; a host that does not answer any more is among those that are lost from now on.
func Inspect(ctx context.Context, o site.Outside, in intent.Intent) (World, error) {
	w := World{Places: map[string]Found{}}
	gone := map[string]error{}
	var mu sync.Mutex
	err := site.AtOnce(in.Magnum.Hosts, func(h intent.MagnumHost) error {
		p := site.At(h.Where())
		var seen host.Observed
		var err error
		there := o.Facts[p.Host].Containers[p.Container] || p.Container == "" && o.Lost[p.Host] == nil && o.Hosts[p.Host] != nil
		if there {
			seen, err = site.Ask[host.Observed](ctx, o.Hosts, p, host.OpObserve, witnesses())
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, remote.ErrGone) && ctx.Err() == nil:
			gone[p.Host] = err
		case err != nil:
			return err
		case there:
			w.Places[p.Name()] = foundBy(seen)
			return nil
		}
		w.Places[p.Name()] = Found{}
		return nil
	})
	if err != nil {
		return w, fmt.Errorf("find out who serves Magnum: %w", err)
	}
	maps.Copy(o.Lost, gone)
	w.Serves, w.Why = serves(in, w.Places)
	return w, nil
}

// Ours says whether Jeroboam serves anywhere, or did so before it was stopped.
func (w World) Ours() bool {
	for _, f := range w.Places {
		if f.Ours {
			return true
		}
	}
	return false
}
