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

	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

// Directory is where everything of ours on a machine is: the store of blobs, and marks of what we made.
const Directory = "/var/lib/jeroboam"

// store is the content-addressed store of a machine, in the layout of OCI's: a directory for each algorithm, and this
// is ours.
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

// Missing are the digests that the store does not have. A name is no proof: a machine that lost power may have the
// beginning of a blob under it, which goes.
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
	return whole.Name(tmp.Name(), m.path(BlobPath(digest)))
}
