package osa

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

const (
	backupFile = "backup_openstack_inventory.tar"
	keepOld    = 15 // older inventories that stay when a new one is added, as in the original
)

// Lock holds a directory against other runs that write an inventory into it. It locks the directory itself: nothing is
// left behind, whatever happens. The original takes no lock, so do not run it at the same time.
type Lock struct {
	dir *os.File
}

// LockDir waits for the lock.
func LockDir(ctx context.Context, dir string) (*Lock, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("lock the configuration: %w", err)
	}
	for {
		err := tryLock(f)
		if err == nil {
			return &Lock{dir: f}, nil
		}
		if !errors.Is(err, errLocked) {
			_ = f.Close() // only read from
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		select {
		case <-ctx.Done():
			_ = f.Close() // only read from
			return nil, fmt.Errorf("wait for another run that writes into %s: %w", dir, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Release lets others go on.
func (l *Lock) Release() { _ = l.dir.Close() } // closing unlocks

// ConfigDir is the directory that an inventory would be written to.
func ConfigDir(opts Options) (string, error) {
	s := &Source{system: opts.System}
	if s.system == "" {
		s.system = SystemDir
	}
	config := expandHome(opts.Config)
	file, err := s.find(config, InventoryFile, fs.FileMode.IsRegular)
	if err != nil {
		return "", err
	}
	if file != "" {
		return filepath.Dir(file), nil
	}
	dir, err := s.find(config, "", fs.FileMode.IsDir)
	if err == nil && dir == "" {
		return "", fmt.Errorf("there is no directory %s: name the operator's directory with --config", s.candidates(config, "")[0])
	}
	return dir, err
}

// Save writes an inventory. What was there goes into the backup archive first. Both files change at once or not at all.
func Save(dir string, text []byte, now time.Time) error {
	path := filepath.Join(dir, InventoryFile)
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	old, err := os.Stat(path)
	switch {
	case err == nil:
		if err := backup(filepath.Join(dir, backupFile), path, old, now); err != nil {
			return fmt.Errorf("back the inventory up: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("write the inventory: %w", err)
	}
	if err := replace(path, text, old); err != nil {
		return fmt.Errorf("write the inventory: %w", err)
	}
	return nil
}

// backup appends a file to the archive under its name and the time, and drops the oldest beyond what is kept.
func backup(archive, path string, info fs.FileInfo, now time.Time) error {
	text, err := ReadFile(path)
	if err != nil {
		return err
	}
	var members []member
	before, err := os.Stat(archive)
	if err == nil {
		if members, err = readArchive(archive); err != nil {
			return fmt.Errorf("%s cannot be read (move it away to start a new one): %w", archive, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(members) > keepOld {
		members = members[len(members)-keepOld:]
	}
	head, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return err
	}
	head.Name = fmt.Sprintf("%s-%s.json", InventoryFile, now.UTC().Format("20060102_150405"))
	members = append(members, member{head: head, text: text})
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range members {
		if err := w.WriteHeader(m.head); err != nil {
			return err
		}
		if _, err := w.Write(m.text); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return replace(archive, out.Bytes(), before)
}

type member struct {
	head *tar.Header
	text []byte
}

func readArchive(path string) ([]member, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	var out []member
	for r := tar.NewReader(f); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		out = append(out, member{head: head, text: text})
	}
}

// replace writes a file beside the old one and moves it into its place, with the mode and owner the old one had.
func replace(path string, text []byte, old fs.FileInfo) error {
	f, err := whole.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // has another name when all went well
	if _, err = f.Write(text); err == nil {
		err = likeOld(f, old)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return whole.Name(f.Name(), path)
}
