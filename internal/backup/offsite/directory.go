package offsite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// directory is one of the node's own file system, mounted from elsewhere. It is never made: where nothing is mounted, a
// copy would fill the host's own disk and be no copy.
type directory string

func (d directory) list(context.Context) ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (d directory) put(ctx context.Context, name string, from io.Reader, size int64) error {
	f, err := os.OpenFile(filepath.Join(string(d), partial+name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, until(ctx, from))
	if err == nil && n != size {
		err = fmt.Errorf("wrote %d of %d bytes", n, size)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(string(d), name))
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the next copy writes over it
	}
	return err
}

func (d directory) remove(_ context.Context, name string) error {
	return os.Remove(filepath.Join(string(d), name))
}

func (directory) close() error { return nil }
