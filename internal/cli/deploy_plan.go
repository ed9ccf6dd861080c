package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// Agree asks at a terminal whether the plan is meant.
func (c caller) Agree(p plan.Plan) error {
	if !c.asks || !isTerminal(c.streams.In) {
		return nil
	}
	return ask(c.streams, plan.Summary(p)+". Carry this out? [y/N] ")
}

// ask wants a "y" or "yes".
func ask(streams Streams, question string) error {
	if _, err := fmt.Fprint(streams.Err, question); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	answer, err := bufio.NewReader(streams.In).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	if err != nil {
		return fmt.Errorf("nothing was changed: no answer: %w", err)
	}
	return errors.New("nothing was changed")
}

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
