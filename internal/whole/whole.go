// Package whole gives files their names when they are whole. Whoever reads a file by its name finds all of what was
// there before or all of what is there now, also after kill -9 or a loss of power in the middle: the content is on the
// disk before the name is, and the name before anybody is told.
//
// A run that was killed may leave a file with another name beside the one that it was to replace. Sweep removes it, for
// those who know that nobody else writes there now.
package whole

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Write puts text into a file, in one step. The file has this mode, whatever it had before.
func Write(path string, text []byte, mode fs.FileMode) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // has another name when all went well
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return Name(f.Name(), path)
}

// Create begins a file beside the one that it is to become, for its owner alone. Whoever called it removes it when it
// came to nothing.
func Create(path string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), begun(path)+"*") // mode 0600
}

// begun is how the names of files begin that are to become this one.
func begun(path string) string { return "." + filepath.Base(path) + ".new-" }

// Sweep removes what killed runs have left of a file.
func Sweep(path string) error {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	problems := []error{err}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), begun(path)) {
			problems = append(problems, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(problems...)
}

// Name gives a file that is written, and on the same file system, the name that it is to have. What had that name is
// replaced.
func Name(file, path string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(file, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a directory last: what was renamed or removed in it stays so after a loss of power.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
