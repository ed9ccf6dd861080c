// Package datadir is the directory an all-in-one lives in: one process at a time, readable by its owner only, and files
// in it are there whole or not at all.
package datadir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	lockName = "jeroboam.lock"
	// etcd reserves its write-ahead log in pieces of 64 MB; below this it cannot start, and says so less clearly.
	minFree = 160 << 20
)

// Dir is an open data directory, locked for this process.
type Dir struct {
	path string
	lock *os.File
	ours bool // it was ours before, or empty: Clear may delete in it
}

// Open makes the directory if need be, and locks it. The lock ends with the process, however that ends.
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the data directory: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("read the data directory: %w", err)
	}
	d := &Dir{path: path, ours: len(entries) == 0}
	if _, err := os.Lstat(d.Path(lockName)); err == nil {
		d.ours = true
	}
	if err := d.acquire(); err != nil {
		return nil, err
	}
	if err := d.checkSpace(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Dir) acquire() error {
	f, err := os.OpenFile(d.Path(lockName), os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("open the lock of the data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid, _ := io.ReadAll(io.LimitReader(f, 32))
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("the data directory %s is in use by process %s: stop that process or choose another directory",
				d.path, strings.TrimSpace(string(pid)))
		}
		return fmt.Errorf("lock the data directory %s: %w", d.path, err)
	}
	d.lock = f
	// The number is for the message above only; on a full disk it is missing, and the space check says why.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(fmt.Sprintln(os.Getpid())), 0)
	}
	return nil
}

func (d *Dir) checkSpace() error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(d.path, &fs); err != nil {
		return fmt.Errorf("ask for the free space of %s: %w", d.path, err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < minFree {
		return fmt.Errorf("the disk of the data directory %s has %d MB free, and %d MB are needed: free some space or choose another directory",
			d.path, free>>20, minFree>>20)
	}
	return nil
}

// Path is a path inside the directory.
func (d *Dir) Path(elem ...string) string {
	return filepath.Join(append([]string{d.path}, elem...)...)
}

// Clear deletes everything in the directory but the lock. It refuses in a directory that was somebody else's.
func (d *Dir) Clear() error {
	if !d.ours {
		return fmt.Errorf("%s held other files before it became a data directory: delete it yourself, or choose another directory", d.path)
	}
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("read the data directory: %w", err)
	}
	for _, e := range entries {
		if e.Name() == lockName {
			continue
		}
		if err := os.RemoveAll(d.Path(e.Name())); err != nil {
			return fmt.Errorf("clear the data directory: %w", err)
		}
	}
	return nil
}

// Close gives the directory up.
func (d *Dir) Close() error { return d.lock.Close() }

// WriteFile writes a file so that readers and a crash see the old content or the new one, never a part. perm holds from
// the first byte.
func WriteFile(path string, data []byte, perm os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the directory of %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // after the rename there is nothing to remove
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(perm), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
