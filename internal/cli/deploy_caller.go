package cli

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// caller is the operator, as far as a command that changes things speaks to one.
type caller struct {
	streams Streams
	output  string
	asks    bool // at a terminal
	ready   func(intent.Intent) error
}

func (c caller) Show(p plan.Plan) error { return writePlan(c.streams.Out, p, c.output, false) }

func (c caller) Ready(in intent.Intent) error {
	if c.ready == nil {
		return nil
	}
	return c.ready(in)
}

// Agree asks at a terminal whether the plan is meant.
func (c caller) Agree(p plan.Plan) error {
	if !c.asks || !isTerminal(c.streams.In) {
		return nil
	}
	return ask(c.streams, plan.Summary(p)+". Carry this out? [y/N] ")
}

func (c caller) Reached(version, next string) error {
	if _, err := fmt.Fprintf(c.streams.Err, "Kubernetes %s is reached; next: %s\n", version, next); err != nil {
		return fmt.Errorf("write progress: %w", err)
	}
	return nil
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
