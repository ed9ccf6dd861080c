package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// RunWithFiles runs a command that needs files which are nobody else's business: secrets. They are removed here and not
// by the deployer, which may be dead by then.
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

// Leave removes the agents from this machine, the running one among them, and directories of ours in which nothing is
// any more.
func Leave(m *Machine) error {
	errs := []error{os.RemoveAll(m.path(Agents))}
	for _, dir := range []string{Etc, "/usr/local/share/jeroboam"} {
		switch err := syscall.Rmdir(m.path(dir)); {
		case err == nil, errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, syscall.ENOTDIR): // somebody's
		default:
			errs = append(errs, fmt.Errorf("remove %s: %w", dir, err))
		}
	}
	return errors.Join(errs...)
}
