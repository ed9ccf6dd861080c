// Package phase runs the steps of a reconcile. A reconciler lists its phases in one slice, on one screen; each phase
// does one thing, idempotently, and says how it went with one small value. The first that is not done ends the round:
// the next event, or the time it asked for, starts again from the top, where everything already done is found done.
// That is why a process may be killed at any line.
package phase

import (
	"context"
	"fmt"
	"time"
)

// State is how a phase ended.
type State int

// The states.
const (
	IsDone  State = iota // go on with the next phase
	Waiting              // for what Message says
	Failed               // waiting will not help: the operation has failed for good
)

// Outcome is how a phase went. The zero value is "done, go on".
type Outcome struct {
	State State
	// Message says for people what is waited for, or why it failed; empty when the phase is done.
	Message string
	// After is when to look again although nothing happened; 0 relies on events alone.
	After time.Duration
}

// Done tells whether the next phase may run.
func (o Outcome) Done() bool { return o.State == IsDone }

// Done goes on with the next phase.
func Done() Outcome { return Outcome{} }

// Wait ends the round until an event comes.
func Wait(format string, args ...any) Outcome { return WaitFor(0, format, args...) }

// WaitFor ends the round until an event comes or d has passed, for what sends no events.
func WaitFor(d time.Duration, format string, args ...any) Outcome {
	return Outcome{State: Waiting, Message: fmt.Sprintf(format, args...), After: d}
}

// Fail ends the operation.
func Fail(format string, args ...any) Outcome {
	return Outcome{State: Failed, Message: fmt.Sprintf(format, args...)}
}

// Phase is one named step of a reconcile of a T.
type Phase[T any] struct {
	Name string
	Run  func(ctx context.Context, t T) (Outcome, error)
}

// Run runs phases in order up to the first that is not done. An error names the phase.
func Run[T any](ctx context.Context, phases []Phase[T], t T) (Outcome, error) {
	for _, p := range phases {
		out, err := p.Run(ctx, t)
		if err != nil {
			return Outcome{}, fmt.Errorf("%s: %w", p.Name, err)
		}
		if !out.Done() {
			return out, nil
		}
	}
	return Done(), nil
}
