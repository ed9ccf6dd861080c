package host

import (
	"context"
	"errors"
	"os"
)

// RunWithFiles runs a command that needs files which are nobody else's business: secrets. They are removed here and not by
// the deployer, which may be dead by then.
func RunWithFiles(ctx context.Context, m *Machine, c Command) (out Output, err error) {
	for _, f := range c.Files {
		defer func() { err = errors.Join(err, os.RemoveAll(m.path(f.Path))) }()
		if err := f.ensure(ctx, m); err != nil {
			return out, err
		}
	}
	c.Files = nil
	return m.Exec(ctx, c)
}

// Leave removes the agents from this machine, the running one among them.
func Leave(m *Machine) error { return os.RemoveAll(m.path(Agents)) }
