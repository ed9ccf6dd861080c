package site

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// Run is what a run that changes things works with.
type Run struct {
	Hosts Hosts
	// Report is told what happens, from many goroutines.
	Report func(Progress)
	// Random makes secrets; Now is the clock; Poll is how often a gate looks again.
	Random io.Reader
	Now    func() time.Time
	Poll   time.Duration
}

// Progress is one thing that happens.
type Progress struct {
	Time  time.Time `json:"time"`
	Step  string    `json:"step"`
	Place string    `json:"place,omitempty"`
	Text  string    `json:"text"`
	// Took is set when something has ended.
	Took time.Duration `json:"took,omitempty"`
}

// Say reports what happens at a place.
func (r Run) Say(step, place, format string, args ...any) {
	r.Report(Progress{Time: r.Now(), Step: step, Place: place, Text: fmt.Sprintf(format, args...)})
}

// Ended reports that something which began then has ended.
func (r Run) Ended(step, place, text string, began time.Time) {
	r.Report(Progress{Time: r.Now(), Step: step, Place: place, Text: text, Took: r.Now().Sub(began)})
}

// Wait polls until ok says yes, and says every now and then what it waits for.
func (r Run) Wait(ctx context.Context, step, place string, limit time.Duration, ok func() (bool, string)) error {
	began := r.Now()
	told := began
	for {
		done, why := ok()
		if done {
			return nil
		}
		now := r.Now()
		if now.Sub(began) > limit {
			return fmt.Errorf("%s: gave up after %s: %s", place, limit, why)
		}
		if now.Sub(told) > 10*time.Second {
			told = now
			r.Say(step, place, "waiting for %s: %s", now.Sub(began).Round(time.Second), why)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(r.Poll):
		}
	}
}

// Command runs a program at a place; what it prints is only shown when it fails.
func (r Run) Command(ctx context.Context, p Place, limit time.Duration, args ...string) (string, error) {
	out, err := Ask[host.Output](ctx, r.Hosts, p, host.OpRun, host.Command{Args: args, Timeout: limit})
	return out.Out, err
}

// CommandWith runs a program with a file for root alone, which is there for as long as the program runs, whatever
// becomes of us.
func (r Run) CommandWith(ctx context.Context, p Place, limit time.Duration, path, text string, args ...string) error {
	_, err := Ask[host.Output](ctx, r.Hosts, p, host.OpRun, host.Command{
		Args: args, Timeout: limit, Files: []host.File{{Path: path, Content: text, Mode: 0o600, Secret: true}},
	})
	return err
}

// Ensure brings items at a place to where they should be. Files that they need are on the host already, and lent to its
// containers.
func (r Run) Ensure(ctx context.Context, step string, p Place, items ...host.Item) error {
	a, err := r.Hosts.at(p)
	if err != nil || len(items) == 0 {
		return err
	}
	return a.Call(ctx, p.Container, host.OpEnsure, items, nil, func(b json.RawMessage) {
		var e host.Event
		if json.Unmarshal(b, &e) != nil {
			return
		}
		switch {
		case e.Text != "":
			r.Say(step, p.Name(), "%s", e.Text)
		case e.Done:
		case e.Change != nil:
			r.Say(step, p.Name(), "%s %s %s", e.Change.Action, e.Change.Kind, e.Change.Name)
		}
	})
}
