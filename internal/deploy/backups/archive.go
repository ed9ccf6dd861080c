package backups

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/jeroboam-cloud/jeroboam/internal/backup"
	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

// TakeTo makes the archive and fetches it. The file has another name until it is whole, and replaces nothing.
func (b Backup) TakeTo(ctx context.Context) (backup.Taken, error) {
	f, err := whole.Create(b.To)
	if err != nil {
		return backup.Taken{}, fmt.Errorf("write the backup: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // the last name stays
	taken, err := b.Take(ctx, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Link(f.Name(), b.To) // unlike a rename, this replaces nothing
	}
	return taken, err
}

// Open checks all of an archive, and finds the key that opens it alone.
func Open(file, identity string) (Restore, error) {
	r := Restore{Name: filepath.Base(file), Open: func() (io.ReadCloser, error) { return os.Open(file) }}
	keys, err := backup.ReadKeys(identity)
	if err != nil {
		return r, err
	}
	f, err := os.Open(file)
	if err != nil {
		return r, fmt.Errorf("open the backup: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	if r.Key, err = backup.FileKey(f, keys); err != nil {
		return r, fmt.Errorf("%s: %w", file, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return r, fmt.Errorf("read the backup: %w", err)
	}
	sum := sha256.New()
	if r.Manifest, err = backup.Read(io.TeeReader(f, sum), []age.Identity{age.NewInjectedFileKeyIdentity(r.Key)}, nil); err != nil {
		return r, fmt.Errorf("%s: %w", file, err)
	}
	r.Digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	return r, nil
}
