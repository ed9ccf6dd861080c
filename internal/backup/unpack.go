package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

// Order is what a node is told to restore. It holds a secret, and goes through standard input.
type Order struct {
	// Archive is the digest of the archive, which is in the machine's store; Key opens it and nothing else.
	Archive string `json:"archive"`
	Key     []byte `json:"key"`
	// Node and Peer are name and peer URL of the one member that etcd has from then on.
	Node string `json:"node"`
	Peer string `json:"peer"`
}

const (
	etcdDir = "/var/lib/etcd"
	// bump is how far revisions jump: further than the cluster can have come since the snapshot, so that no watcher and no
	// cache takes an old revision for a new one (etcd's disaster recovery guide, "restoring with revision bump").
	bump = "1000000000"
)

// Unpack puts authorities and etcd's data of an archive where kubeadm init finds them. It can be killed and run again:
// what is last is one rename, and a node that has etcd's data and no mark of this archive is left alone.
func Unpack(ctx context.Context, m *host.Machine, o Order) (Manifest, error) {
	unlock, err := lock(m) // the timer's backup uses the same place
	if err != nil {
		return Manifest{}, err
	}
	defer unlock()
	u := unpacking{m: m, o: o, pki: map[string][]byte{}}
	for _, step := range []func(context.Context) error{u.begin, u.read, u.authorities, u.data, u.end} {
		if err := step(ctx); err != nil {
			return u.manifest, err
		}
	}
	return u.manifest, nil
}

type unpacking struct {
	m        *host.Machine
	o        Order
	pki      map[string][]byte
	manifest Manifest
	done     bool // an earlier run has put the data back
}

func (u *unpacking) snapshotFile() string { return at(u.m, workDirectory+"/snapshot.db") }

// begin marks the node, and refuses one on which there is something.
func (u *unpacking) begin(context.Context) error {
	mark := at(u.m, host.RestoreMark)
	was, err := os.ReadFile(mark)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for an earlier restore: %w", err)
	}
	ours := strings.TrimSpace(string(was)) == u.o.Archive
	_, err = os.Stat(at(u.m, etcdDir+"/member"))
	there := err == nil
	switch {
	case there && ours:
		u.done = true
	case there:
		return fmt.Errorf("there is data of etcd in %s: nothing is restored over it", etcdDir)
	}
	if err := os.MkdirAll(filepath.Dir(mark), 0o755); err != nil {
		return fmt.Errorf("mark the node: %w", err)
	}
	if err := replace(mark, []byte(u.o.Archive+"\n"), 0o644); err != nil {
		return fmt.Errorf("mark the node: %w", err)
	}
	if err := os.RemoveAll(at(u.m, workDirectory)); err != nil {
		return fmt.Errorf("clear: %w", err)
	}
	return os.MkdirAll(at(u.m, workDirectory), 0o700)
}

// maxKey bounds a file of an authority.
const maxKey = 1 << 20

// read checks the whole archive before anything of it is used.
func (u *unpacking) read(context.Context) error {
	f, err := os.Open(at(u.m, host.BlobPath(u.o.Archive)))
	if err != nil {
		return fmt.Errorf("open the backup: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	u.manifest, err = Read(f, []age.Identity{age.NewInjectedFileKeyIdentity(u.o.Key)}, func(name string, size int64, r io.Reader) error {
		switch {
		case name == SnapshotName && !u.done:
			return writeAll(u.snapshotFile(), r)
		case strings.HasPrefix(name, pkiDir):
			if size > maxKey {
				return errors.New("too large for a key")
			}
			text, err := io.ReadAll(r)
			u.pki[name] = text
			return err
		}
		return nil
	})
	return err
}

func writeAll(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// authorities puts the keys there. Certificates that another authority signed go: kubeadm makes new ones.
func (u *unpacking) authorities(context.Context) error {
	dir := at(u.m, kubernetesDir)
	if !u.done {
		if err := os.RemoveAll(filepath.Join(dir, pkiDir)); err != nil {
			return fmt.Errorf("clear authorities: %w", err)
		}
	}
	for _, name := range needed() {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write authorities: %w", err)
		}
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(name, ".key") {
			mode = 0o600
		}
		if err := replace(path, u.pki[name], mode); err != nil {
			return fmt.Errorf("write authorities: %w", err)
		}
	}
	return nil
}

// data makes etcd's data directory beside its place, and moves it there.
func (u *unpacking) data(ctx context.Context) error {
	if u.done {
		return nil
	}
	part := etcdDir + "/restore.new"
	if err := os.RemoveAll(at(u.m, part)); err != nil {
		return fmt.Errorf("clear: %w", err)
	}
	if err := os.MkdirAll(at(u.m, etcdDir), 0o700); err != nil {
		return fmt.Errorf("make etcd's directory: %w", err)
	}
	_, err := u.m.Exec(ctx, host.Command{Args: []string{
		"etcdutl", "snapshot", "restore", u.snapshotFile(), "--data-dir", at(u.m, part), "--name", u.o.Node,
		"--initial-cluster", u.o.Node + "=" + u.o.Peer, "--initial-advertise-peer-urls", u.o.Peer, "--bump-revision", bump, "--mark-compacted",
	}, Timeout: 30 * time.Minute})
	if err != nil {
		return fmt.Errorf("restore etcd's data: %w", err)
	}
	if err := os.Rename(at(u.m, part+"/member"), at(u.m, etcdDir+"/member")); err != nil {
		return fmt.Errorf("restore etcd's data: %w", err)
	}
	return whole.SyncDir(at(u.m, etcdDir))
}

func (u *unpacking) end(context.Context) error {
	return errors.Join(os.RemoveAll(at(u.m, etcdDir+"/restore.new")), os.RemoveAll(at(u.m, workDirectory)))
}

// replace writes a file in one step, and takes away what a killed run has left of it: whoever unpacks is alone there.
func replace(path string, text []byte, mode fs.FileMode) error {
	if err := whole.Sweep(path); err != nil {
		return err
	}
	return whole.Write(path, text, mode)
}
