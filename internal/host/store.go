package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Directory is where everything of ours on a machine is: the store of blobs, and marks of what we made.
const Directory = "/var/lib/jeroboam"

// store is the content-addressed store of a machine, in the layout of OCI's: a directory for each algorithm, and this is ours.
const store = blobs + "/sha256"

const blobs = Directory + "/blobs"

// BlobPath is where a blob is in a machine's store.
func BlobPath(digest string) string {
	return filepath.Join(store, strings.TrimPrefix(digest, "sha256:"))
}

// isDigest is the only form of a digest that becomes part of a path.
var isDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func openBlob(m *Machine, digest string) (*os.File, error) {
	if !isDigest.MatchString(digest) {
		return nil, fmt.Errorf("%q is no digest", digest)
	}
	f, err := os.Open(m.path(BlobPath(digest)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s is not in the store of this machine", digest)
	}
	return f, err
}

// Missing are the digests that the store does not have. A name is no proof: a machine that lost power may have the beginning of
// a blob under it, which goes.
func Missing(m *Machine, digests []string) []string {
	out := []string{}
	for _, d := range digests {
		if !isDigest.MatchString(d) {
			out = append(out, d)
			continue
		}
		if sum, err := fileSum(m.path(BlobPath(d))); err != nil || "sha256:"+sum != d {
			_ = os.Remove(m.path(BlobPath(d))) // storing it says if that cannot be
			out = append(out, d)
		}
	}
	return out
}

// move puts a file in its place, in one step that a loss of power does not divide: its content is on the disk before its name is.
func move(f *os.File, to string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Store takes a blob from r into the store. It is there only when all of it came and it is what it should be.
func Store(m *Machine, digest string, r io.Reader) error {
	if !isDigest.MatchString(digest) {
		return fmt.Errorf("%q is no digest", digest)
	}
	dir := m.path(store)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already when all went well
	defer func() { _ = tmp.Close() }()           // written and synced by then
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(tmp, h), r)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", digest, err)
	}
	if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); got != digest {
		return fmt.Errorf("store %s: what came is %s", digest, got)
	}
	return move(tmp, m.path(BlobPath(digest)))
}

// Lend makes blobs of this machine's store appear in the store below root, the root file system of a container: as hard links
// where that is possible, as copies otherwise.
func Lend(m *Machine, root string, digests []string) error {
	in, err := os.OpenRoot(m.path(root)) // a link inside the container leads nowhere outside
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // a directory handle
	rel := strings.TrimPrefix(store, "/")
	if err := in.MkdirAll(rel, 0o755); err != nil {
		return err
	}
	for _, d := range digests {
		if !isDigest.MatchString(d) {
			return fmt.Errorf("%q is no digest", d)
		}
		name := strings.TrimPrefix(BlobPath(d), "/")
		if _, err := in.Lstat(name); err == nil {
			continue
		}
		if err := lendOne(m, in, root, d, name); err != nil {
			return fmt.Errorf("lend %s: %w", d, err)
		}
	}
	return nil
}

func lendOne(m *Machine, in *os.Root, root, digest, name string) error {
	if os.Link(m.path(BlobPath(digest)), m.path(filepath.Join(root, name))) == nil {
		return nil
	}
	blob, err := openBlob(m, digest)
	if err != nil {
		return err
	}
	defer func() { _ = blob.Close() }() // only read
	out, err := in.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, blob)
	if e := out.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return in.Rename(name+".new", name)
}
