package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

type deployPlanCommand struct {
	deployOptions
	NoDiff bool   `help:"Leave out the differences of files."`
	Until  string `placeholder:"1.N" help:"As of apply."`
	Out    string `placeholder:"FILE" help:"Keep the plan in a file too, for \"apply FILE\": no secret is in it."`
}

// Run prints what apply would change. The exit status is 0 for nothing, 2 for something.
func (c *deployPlanCommand) Run(ctx context.Context, streams Streams) error {
	c.chain, c.until = true, c.Until
	s, err := c.session(ctx, streams, true)
	if err != nil {
		return err
	}
	defer s.Close()
	p := s.Plan(time.Now())
	if err := writePlan(streams.Out, p, c.Output, !c.NoDiff); err != nil {
		return err
	}
	if c.Out != "" {
		if err := s.Keep(p, c.Out, version.Get().String(), time.Now(), rand.Reader); err != nil {
			return err
		}
	}
	if !p.Empty() {
		return errChanges
	}
	return nil
}

func writePlan(w io.Writer, p plan.Plan, output string, diffs bool) error {
	if output == "json" {
		return writeJSON(w, p)
	}
	return plan.WriteText(w, p, diffs)
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // no browser reads it, and secrets have to be found in it
	e.SetIndent("", "  ")
	return e.Encode(v)
}
