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

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

// keep writes a plan for a later apply. The file is no stream behind the curtain, and is masked as those are; that two passwords which
// look alike then are not the same is for the basis to tell.
func (s *session) keep(p plan.Plan, path string) error {
	basis, err := deploy.Basis(s.wanted, s.world, s.copies, s.services)
	if err != nil {
		return err
	}
	f, err := plan.NewFile(p.Masked(s.intent.Masker()), basis, version.Get().String(), time.Now(), rand.Reader)
	if err != nil {
		return err
	}
	text, err := f.Text()
	if err != nil {
		return err
	}
	if err := whole.Write(path, text, 0o600); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return nil
}

// holds refuses a plan that is not the reviewed one, if one was.
func (s *session) holds(p plan.Plan, reviewed *plan.File) error {
	if reviewed == nil {
		return nil
	}
	basis, err := deploy.Basis(s.wanted, s.world, s.copies, s.services)
	if err == nil {
		err = reviewed.Holds(p.Masked(s.intent.Masker()), basis)
	}
	if err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	return nil
}

// agreed asks at a terminal whether the plan is meant. A plan that was reviewed in a file is.
func (c *deployApplyCommand) agreed(streams Streams, p plan.Plan, reviewed bool) error {
	if c.Yes || reviewed || !isTerminal(streams.In) {
		return nil
	}
	return ask(streams, plan.Summary(p)+". Carry this out? [y/N] ")
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
	s, err := c.look(ctx, streams, true)
	if err != nil {
		return err
	}
	defer s.close()
	p := s.plan()
	if err := writePlan(streams.Out, p, c.Output, !c.NoDiff); err != nil {
		return err
	}
	if c.Out != "" {
		if err := s.keep(p, c.Out); err != nil {
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
