package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/jeroboam-cloud/jeroboam/allinone/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// actor is a component that follows a script.
type actor struct {
	startErr error
	dies     error         // reported right after the start of the whole program
	stopFor  time.Duration // how long Stop takes
	died     func(error)
}

func (a *actor) Start(_ context.Context, died func(error)) error {
	a.died = died
	return a.startErr
}

func (a *actor) Stop(ctx context.Context) error {
	select {
	case <-time.After(a.stopFor):
	case <-ctx.Done():
	}
	return nil
}

func TestRun(t *testing.T) {
	boom := errors.New("boom")
	cases := map[string]struct {
		reason  string
		actors  map[string]*actor
		mainErr error
		want    []string
		wantErr error
	}{
		"clean": {
			reason: "components start in order and stop in reverse",
			actors: map[string]*actor{"a": {}, "b": {}},
			want:   []string{"a starting", "a running", "b starting", "b running", "b stopping", "b stopped", "a stopping", "a stopped"},
		},
		"start fails": {
			reason:  "a failed start stops what was started, itself too, and nothing after it is started",
			actors:  map[string]*actor{"a": {}, "b": {startErr: boom}, "c": {}},
			want:    []string{"a starting", "a running", "b starting", "b failed", "b stopping", "b stopped", "a stopping", "a stopped"},
			wantErr: boom,
		},
		"death": {
			reason:  "a component that dies ends the program with its error",
			actors:  map[string]*actor{"a": {dies: boom}, "b": {}},
			want:    []string{"a starting", "a running", "b starting", "b running", "b stopping", "b stopped", "a stopping", "a stopped"},
			wantErr: boom,
		},
		"main fails": {
			reason:  "the error of main is the error of the program",
			actors:  map[string]*actor{"a": {}},
			mainErr: boom,
			want:    []string{"a starting", "a running", "a stopping", "a stopped"},
			wantErr: boom,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			r := lifecycle.Runner{Progress: func(e lifecycle.Event) { got = append(got, fmt.Sprint(e.Step, " ", e.State)) }}
			for _, n := range []string{"a", "b", "c"} {
				if a := tc.actors[n]; a != nil {
					r.Steps = append(r.Steps, lifecycle.Step{Name: n, Component: a})
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			err := r.Run(ctx, func(ctx context.Context) error {
				for _, a := range tc.actors {
					if a.dies != nil {
						a.died(a.dies)
						a.died(errors.New("said twice"))
						<-ctx.Done()
						return ctx.Err()
					}
				}
				cancel()
				return tc.mainErr
			})
			cancel()
			if !errors.Is(err, tc.wantErr) {
				t.Errorf("%s: error %v, want %v", tc.reason, err, tc.wantErr)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestStopIsBounded(t *testing.T) {
	release := make(chan struct{})
	defer close(release) // after Run has returned without it
	r := lifecycle.Runner{StopTimeout: 20 * time.Millisecond, Steps: []lifecycle.Step{
		{Name: "quick", Component: &actor{}},
		{Name: "stuck", Component: lifecycle.Func{OnStop: func(context.Context) error { <-release; return nil }}},
	}}
	err := r.Run(t.Context(), func(context.Context) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "stop stuck") {
		t.Errorf("a stop that takes too long must be told, got %v", err)
	}
}

func TestCancelledWhileStarting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := lifecycle.Runner{Steps: []lifecycle.Step{{Name: "slow", Component: lifecycle.Func{
		OnStart: func(ctx context.Context, _ func(error)) error { cancel(); <-ctx.Done(); return ctx.Err() },
	}}}}
	if err := r.Run(ctx, nil); err != nil {
		t.Errorf("an interrupted start is a clean end, got %v", err)
	}
}
