// Package backup makes, checks and unpacks backups of the management cluster: etcd's snapshot, the authorities' keys,
// and the objects of Cluster API and Magnum as YAML, for people.
//
// An archive is a tar, gzipped, encrypted with age (age-encryption.org/v1) for one or more recipients. What makes it
// has public keys only, so what lies on a host is of no use to who takes it from there. It is made and read as a
// stream. The manifest is its last member: it has the size and digest of every other one, so an archive without it is
// not whole.
//
// [Take] runs on a node, from a timer or for "jeroboam deploy backup". [Read] needs a key, and runs where the operator
// is. [Unpack] runs on the node that a cluster is restored on, with a key that opens this one archive.
package backup

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
)

// Format is the one that Read understands.
const Format = "jeroboam-backup/1"

// The members of an archive. Objects are below objects/, authorities below pki/.
const (
	SnapshotName = "etcd/snapshot.db"
	manifestName = "manifest.json"
	pkiDir       = "pki/"
	objectsDir   = "objects/"
)

// Manifest says what an archive is.
type Manifest struct {
	Format string `json:"format"`
	// Time is when the snapshot was taken, Node the node that it was taken on.
	Time time.Time `json:"time"`
	Node string    `json:"node"`
	// Server is the API's address, Kubernetes the version without v, Authority the hash of the cluster authority's public
	// key as kubeadm pins it.
	Server     string `json:"server"`
	Kubernetes string `json:"kubernetes"`
	Authority  string `json:"authority"`
	Snapshot   Status `json:"snapshot"`
	// Objects is how many objects there are as YAML.
	Objects int `json:"objects"`
	// Missing says what could not be read. Restoring needs none of it.
	Missing []string `json:"missing,omitempty"`
	// Members are by name.
	Members map[string]Member `json:"members"`
}

// Status is what etcdutl says of a snapshot.
type Status struct {
	Hash      uint32 `json:"hash"`
	Revision  int64  `json:"revision"`
	TotalKey  int64  `json:"totalKey"`
	TotalSize int64  `json:"totalSize"`
	Version   string `json:"version"`
}

// Member is one file of an archive.
type Member struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Writer writes an archive.
type Writer struct {
	seal    io.WriteCloser
	zip     *gzip.Writer
	tar     *tar.Writer
	members map[string]Member
}

// NewWriter begins an archive that recipients can open.
func NewWriter(to io.Writer, recipients []age.Recipient) (*Writer, error) {
	seal, err := age.Encrypt(to, recipients...)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	zip, err := gzip.NewWriterLevel(seal, gzip.BestSpeed) // the node has other things to do
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return &Writer{seal: seal, zip: zip, tar: tar.NewWriter(zip), members: map[string]Member{}}, nil
}

// Add writes one file of the given size.
func (w *Writer) Add(name string, size int64, from io.Reader) error {
	if _, twice := w.members[name]; twice || !nameOK(name) {
		return fmt.Errorf("%q cannot be a member of the archive", name)
	}
	h := sha256.New()
	if err := w.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size}); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if n, err := io.Copy(io.MultiWriter(w.tar, h), from); err != nil || n != size {
		return fmt.Errorf("write %s: %d of %d bytes: %w", name, n, size, cmpErr(err, io.ErrUnexpectedEOF))
	}
	w.members[name] = Member{Size: size, SHA256: hex.EncodeToString(h.Sum(nil))}
	return nil
}

func cmpErr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// Close writes the manifest and ends the archive. What it was written to stays open.
func (w *Writer) Close(m Manifest) (Manifest, error) {
	m.Format, m.Members = Format, w.members
	text, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = w.tar.WriteHeader(&tar.Header{Name: manifestName, Mode: 0o600, Size: int64(len(text))})
	}
	if err == nil {
		_, err = w.tar.Write(text)
	}
	for _, c := range []io.Closer{w.tar, w.zip, w.seal} {
		if err == nil {
			err = c.Close()
		}
	}
	if err != nil {
		return m, fmt.Errorf("end the archive: %w", err)
	}
	return m, nil
}

// maxManifest bounds the one member that is read into memory here.
const maxManifest = 64 << 20

// Read reads an archive to its end and checks all of it. Each member goes through take, which may be nil; what it is
// given is trustworthy only when Read has returned without an error.
func Read(from io.Reader, keys []age.Identity, take func(name string, size int64, r io.Reader) error) (Manifest, error) {
	plain, err := age.Decrypt(from, keys...)
	if err != nil {
		return Manifest{}, explain(err)
	}
	zip, err := gzip.NewReader(plain)
	if err != nil {
		return Manifest{}, fmt.Errorf("this is no backup, or a damaged one: %w", err)
	}
	m, seen, err := members(tar.NewReader(zip), take)
	if err != nil {
		return m, err
	}
	for _, r := range []io.Reader{zip, plain} { // a cut end is noticed by who reads to the end
		if _, err := io.Copy(io.Discard, r); err != nil {
			return m, fmt.Errorf("the backup is damaged: %w", err)
		}
	}
	return m, m.check(seen)
}

func explain(err error) error {
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return errors.New("the backup was not made for this key")
	}
	return fmt.Errorf("this is no backup, or a damaged one: %w", err)
}

func members(t *tar.Reader, take func(string, int64, io.Reader) error) (Manifest, map[string]Member, error) {
	var m Manifest
	seen := map[string]Member{}
	for {
		head, err := t.Next()
		if errors.Is(err, io.EOF) {
			return m, seen, nil
		}
		if err != nil {
			return m, seen, fmt.Errorf("the backup is damaged: %w", err)
		}
		if _, twice := seen[head.Name]; twice || head.Typeflag != tar.TypeReg || m.Format != "" || head.Name != manifestName && !nameOK(head.Name) {
			return m, seen, fmt.Errorf("the backup has a member that cannot be in one: %q", head.Name)
		}
		if head.Name == manifestName {
			if m, err = readManifest(t); err != nil {
				return m, seen, err
			}
			continue
		}
		h := sha256.New()
		member := io.TeeReader(t, h)
		if take != nil {
			if err := take(head.Name, head.Size, member); err != nil {
				return m, seen, fmt.Errorf("%s: %w", head.Name, err)
			}
		}
		if _, err := io.Copy(io.Discard, member); err != nil {
			return m, seen, fmt.Errorf("the backup is damaged at %s: %w", head.Name, err)
		}
		seen[head.Name] = Member{Size: head.Size, SHA256: hex.EncodeToString(h.Sum(nil))}
	}
}

func readManifest(r io.Reader) (Manifest, error) {
	var m Manifest
	text, err := io.ReadAll(io.LimitReader(r, maxManifest))
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return m, fmt.Errorf("the backup's manifest: %w", err)
	}
	if m.Format != Format {
		return m, fmt.Errorf("the backup has format %q, this program reads %s", m.Format, Format)
	}
	return m, nil
}

// check compares the manifest with what was there, and finds what no restore can do without.
func (m Manifest) check(seen map[string]Member) error {
	if m.Format == "" {
		return errors.New("the backup has no manifest: making it did not end")
	}
	for _, name := range slices.Sorted(maps.Keys(m.Members)) {
		if have, ok := seen[name]; !ok || have != m.Members[name] {
			return fmt.Errorf("the backup is damaged: %s is not what the manifest says", name)
		}
	}
	for name := range seen {
		if _, ok := m.Members[name]; !ok {
			return fmt.Errorf("the backup is damaged: the manifest does not know %s", name)
		}
	}
	for _, name := range append([]string{SnapshotName}, needed()...) {
		if _, ok := seen[name]; !ok {
			return fmt.Errorf("nothing can be restored from this backup: %s is not in it", name)
		}
	}
	return nil
}

// nameOK says whether a name can be a member: nothing that leads out of a directory.
func nameOK(name string) bool {
	return fs.ValidPath(name) && path.Dir(name) != "." && !strings.ContainsAny(name, "\\\x00")
}
