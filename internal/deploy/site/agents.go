package site

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/remote"
)

// Agent is a host's agent, as a deployment uses it. The one implementation is remote.Conn; tests have others.
type Agent interface {
	Call(ctx context.Context, container, op string, in, out any, event func(json.RawMessage)) error
	Upload(ctx context.Context, digest string, r io.Reader) error
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	Close() error
}

// Hosts are the agents by physical host.
type Hosts map[string]Agent

// at gives the agent of a place.
func (h Hosts) at(p Place) (Agent, error) {
	a, ok := h[p.Host]
	if !ok {
		return nil, fmt.Errorf("there is no connection to host %s", p.Host)
	}
	return a, nil
}

// LogIn logs in to hosts, many at once, and says of each that fails why.
func LogIn(ctx context.Context, to []remote.Target, one func(context.Context, remote.Target) (Agent, error)) (Hosts, map[string]error) {
	hosts, errs := Hosts{}, map[string]error{}
	var mu sync.Mutex
	_ = Bounded(logins, to, func(t remote.Target) error { // what failed is among the errors
		a, err := one(ctx, t)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			errs[t.Name] = err
			return nil
		}
		hosts[t.Name] = a
		return nil
	})
	return hosts, errs
}

// Lost is one error of those of hosts, in their order.
func Lost(errs map[string]error) error {
	var out []error
	for _, name := range slices.Sorted(maps.Keys(errs)) {
		out = append(out, errs[name])
	}
	return errors.Join(out...)
}

// Close ends all connections.
func (h Hosts) Close() {
	var all sync.WaitGroup
	for _, a := range h {
		all.Go(func() { _ = a.Close() }) // the agents end by themselves
	}
	all.Wait()
}

// Ask calls an agent at a place.
func Ask[R any](ctx context.Context, h Hosts, p Place, op string, in any) (R, error) {
	var out R
	a, err := h.at(p)
	if err != nil {
		return out, err
	}
	return out, a.Call(ctx, p.Container, op, in, &out, nil)
}

// looker is a host that can be looked at without an agent: nothing is brought there before something is to be done.
// There may be hundreds of them, and on most of them nothing changes in a run.
type looker interface {
	Script(ctx context.Context, script string) (string, error)
}

// looker says whether a place is looked at so.
func (h Hosts) looker(p Place) (looker, bool) {
	l, ok := h[p.Host].(looker)
	return l, ok && p.Container == ""
}

// Observe looks at items of a place.
func Observe(ctx context.Context, h Hosts, p Place, items []host.Item) ([]plan.Facts, error) {
	if l, ok := h.looker(p); ok && host.Glanceable(items) {
		return host.Glance(ctx, items, l.Script)
	}
	have, err := Ask[host.Observed](ctx, h, p, host.OpObserve, items)
	if err == nil && len(have) != len(items) {
		err = errors.New("the agent of " + p.Name() + " did not answer for everything")
	}
	return have, err
}

// Read reads a small file.
func Read(ctx context.Context, h Hosts, p Place, path string) (string, error) {
	if _, light := h.looker(p); !light {
		return Ask[string](ctx, h, p, host.OpRead, path)
	}
	have, err := Observe(ctx, h, p, []host.Item{{File: &host.File{Path: path}}})
	if err != nil {
		return "", err
	}
	return have[0]["content"], nil
}

// Answers asks a URL from a place. Where it does not say 200, what it said instead is told.
func Answers(ctx context.Context, h Hosts, from Place, url string) (bool, string) {
	code, err := Ask[int](ctx, h, from, host.OpAnswers, url)
	if err != nil {
		return false, FirstLine(err.Error())
	}
	return code == 200, fmt.Sprintf("%s answers %d", url, code)
}
