package deploy

import (
	"fmt"
	"io"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

// Keep writes a plan for a later apply. The file is no stream behind a curtain, and is masked as those are; that two
// passwords which look alike then are not the same is for the basis to tell.
func (s *Session) Keep(p plan.Plan, path, by string, now time.Time, random io.Reader) error {
	parts, err := basis(s.Wanted, s.World, s.Copies, s.Services)
	if err != nil {
		return err
	}
	f, err := plan.NewFile(p.Masked(s.Intent.Masker()), parts, by, now, random)
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
func (s *Session) holds(p plan.Plan, reviewed *plan.File) error {
	if reviewed == nil {
		return nil
	}
	parts, err := basis(s.Wanted, s.World, s.Copies, s.Services)
	if err == nil {
		err = reviewed.Holds(p.Masked(s.Intent.Masker()), parts)
	}
	if err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	return nil
}
