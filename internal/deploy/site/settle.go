package site

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// Settle waits until agents have ended what a deployer left them with that was killed or lost them. How a place looks
// before that says nothing about how it will be.
func Settle(ctx context.Context, h Hosts, places []Place, tell func(place, text string)) error {
	return AtOnce(places, func(p Place) error {
		a, err := h.at(p)
		if err != nil {
			return err
		}
		return a.Call(ctx, p.Container, host.OpSettle, nil, nil, func(b json.RawMessage) {
			var e host.Event
			if json.Unmarshal(b, &e) == nil && e.Text != "" {
				tell(p.Name(), e.Text)
			}
		})
	})
}

// Places are the connected hosts.
func (h Hosts) Places() []Place {
	var out []Place
	for name := range h {
		out = append(out, Place{Host: name})
	}
	return out
}

// Leave removes the agents from the hosts.
func (h Hosts) Leave(ctx context.Context) error {
	var errs []error
	for _, p := range h.Places() {
		_, err := Ask[struct{}](ctx, h, p, host.OpLeave, nil)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
