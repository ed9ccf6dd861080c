// Package lifecycle runs a list of components as one program.
//
// A component is started, serves, and is stopped:
//
//	Created -> Start -> Running -> Stop -> Stopped
//	                       \-> died(err) -> Stop -> Stopped
//
// Start is the ready gate: it returns when the component serves, so the next one can rely on it. The first component
// that dies ends the whole program with its error. Stopping goes in reverse order, each component within a bound,
// because a component may use those before it until its own end.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Component is something that is started once and stopped once.
type Component interface {
	// Start returns when the component serves, or with the reason why it never will. ctx bounds the start, not the life.
	// A component that ends by itself later calls died with the reason; more than once does no harm.
	Start(ctx context.Context, died func(error)) error
	// Stop ends the component within ctx. It is called once for every component whose Start was called, failed or not.
	Stop(ctx context.Context) error
}

// Step is a component with the name that progress and errors call it by.
type Step struct {
	Name      string
	Component Component
}

// State says where a step is.
type State string

// The states of a step, in the order they are reported.
const (
	Starting State = "starting"
	Running  State = "running"
	Failed   State = "failed"
	Stopping State = "stopping"
	Stopped  State = "stopped"
)

// Event is one change of one step.
type Event struct {
	Step    string
	State   State
	Elapsed time.Duration // since the step began to start or to stop
	Err     error
}

// Runner starts and stops steps.
type Runner struct {
	Steps []Step
	// StopTimeout bounds the stop of each step; zero is 5 s.
	StopTimeout time.Duration
	// Progress is told of every change, on the goroutine that calls Run; nil is silence.
	Progress func(Event)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Run starts all steps, calls main (nil waits for the end of ctx), and stops everything in reverse order. It returns
// when main returns, ctx ends or a component dies; an end that ctx asked for is no error.
func (r Runner) Run(ctx context.Context, main func(context.Context) error) error {
	if main == nil {
		main = func(ctx context.Context) error { <-ctx.Done(); return nil }
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	started, err := r.start(ctx, cancel)
	if err == nil {
		err = main(ctx)
	}
	// A death explains whatever main or a later start complained about.
	if dead := (&deathError{}); errors.As(context.Cause(ctx), &dead) {
		err = dead
	} else if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, r.stop(started))
}

type deathError struct {
	step string
	err  error
}

func (e *deathError) Error() string { return fmt.Sprintf("%s ended: %v", e.step, e.err) }
func (e *deathError) Unwrap() error { return e.err }

func (r Runner) start(ctx context.Context, cancel context.CancelCauseFunc) (started int, err error) {
	for i, s := range r.Steps {
		if ctx.Err() != nil {
			return i, ctx.Err()
		}
		begin := r.now()
		r.report(s, Starting, begin, nil)
		died := func(err error) {
			if err == nil {
				err = errors.New("it stopped serving")
			}
			cancel(&deathError{s.Name, err})
		}
		if err := s.Component.Start(ctx, died); err != nil {
			r.report(s, Failed, begin, err)
			return i + 1, fmt.Errorf("start %s: %w", s.Name, err)
		}
		r.report(s, Running, begin, nil)
	}
	return len(r.Steps), nil
}

func (r Runner) stop(started int) error {
	timeout := r.StopTimeout
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	var errs []error
	for i := started - 1; i >= 0; i-- {
		s, begin := r.Steps[i], r.now()
		r.report(s, Stopping, begin, nil)
		err := stopWithin(s.Component, timeout)
		if err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", s.Name, err))
		}
		r.report(s, Stopped, begin, err)
	}
	return errors.Join(errs...)
}

// stopWithin returns after timeout whatever the component does: the process is about to end, and that ends it too.
func stopWithin(c Component, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.Stop(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("it did not stop within %s", timeout)
	}
}

func (r Runner) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func (r Runner) report(s Step, state State, begin time.Time, err error) {
	if r.Progress != nil {
		r.Progress(Event{Step: s.Name, State: state, Elapsed: r.now().Sub(begin), Err: err})
	}
}

// Func is a component made of two functions; a nil one does nothing.
type Func struct {
	OnStart func(ctx context.Context, died func(error)) error
	OnStop  func(ctx context.Context) error
}

// Start calls OnStart.
func (f Func) Start(ctx context.Context, died func(error)) error {
	if f.OnStart == nil {
		return nil
	}
	return f.OnStart(ctx, died)
}

// Stop calls OnStop.
func (f Func) Stop(ctx context.Context) error {
	if f.OnStop == nil {
		return nil
	}
	return f.OnStop(ctx)
}
