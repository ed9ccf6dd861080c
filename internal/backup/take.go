package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"filippo.io/age"

	"github.com/jeroboam-cloud/jeroboam/internal/backup/offsite"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

// Settings are what a node is told about its backups. They are not secret.
type Settings struct {
	// Node is the node's name, API its own API server ("https://172.29.236.11:6443"), Server the cluster's.
	Node   string `json:"node"`
	API    string `json:"api"`
	Server string `json:"server"`
	// Kubernetes is the version of the cluster.
	Kubernetes string `json:"kubernetes"`
	// Recipients are the public keys to encrypt for.
	Recipients []string `json:"recipients"`
	// Directory is where archives go, Keep how many of this node's stay there; 0 is all.
	Directory string `json:"directory"`
	Keep      int    `json:"keep"`
	// Copies is the file that says where archives are copied to (offsite.Target, a list); "" is nowhere.
	Copies string `json:"copies,omitempty"`
}

// Taken is what Take has made.
type Taken struct {
	// Path is the archive on the node, Digest is "sha256:...".
	Path     string   `json:"path"`
	Size     int64    `json:"size"`
	Digest   string   `json:"digest"`
	Removed  []string `json:"removed,omitempty"`
	Manifest Manifest `json:"manifest"`
	// Copied is what was done at each place that archives are copied to.
	Copied []offsite.Copied `json:"copied,omitempty"`
}

const (
	// ExportDirectory is where an archive stays until it has been fetched.
	ExportDirectory = host.Directory + "/backup-export"
	workDirectory   = host.Directory + "/backup"
	kubernetesDir   = "/etc/kubernetes"
	suffix          = ".tar.gz.age"
	stamp           = "20060102T150405Z"
)

// needed are the files that are the same on every node of the control plane (kubeadm's phase upload-certs has the same
// list). All others are made anew for a node's name and address, by these.
func needed() []string {
	return []string{
		pkiDir + "ca.crt", pkiDir + "ca.key", pkiDir + "front-proxy-ca.crt", pkiDir + "front-proxy-ca.key", pkiDir + "sa.key", pkiDir + "sa.pub",
		pkiDir + "etcd/ca.crt", pkiDir + "etcd/ca.key",
	}
}

// Take makes an archive on this node. Nothing is paused: etcd's snapshot is consistent in itself. An archive is there
// when it is whole, and older ones go only then.
func Take(ctx context.Context, m *host.Machine, s Settings) (Taken, error) {
	recipients, err := Recipients(s.Recipients)
	if err != nil {
		return Taken{}, err
	}
	unlock, err := lock(m)
	if err != nil {
		return Taken{}, err
	}
	defer unlock()
	t := taking{m: m, s: s, recipients: recipients, began: m.Now().UTC()}
	defer func() { _ = os.RemoveAll(at(m, workDirectory)) }() // the next one does it if we are killed
	for _, step := range []func(context.Context) error{t.clean, t.snapshot, t.archive, t.retire, t.copy} {
		if err := step(ctx); err != nil {
			return t.taken, err
		}
	}
	return t.taken, nil
}

// at is the path on disk of a path of the machine.
func at(m *host.Machine, p string) string { return filepath.Join(m.Root, p) }

// lock lets one after the other work here.
func lock(m *host.Machine) (func(), error) {
	path := at(m, "/run/jeroboam-backup.lock")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing unlocks
}

type taking struct {
	m          *host.Machine
	s          Settings
	recipients []age.Recipient
	began      time.Time
	status     Status
	taken      Taken
}

// clean removes what a run that was killed has left, and makes the directories.
func (t *taking) clean(context.Context) error {
	if err := os.RemoveAll(at(t.m, workDirectory)); err != nil {
		return fmt.Errorf("clear: %w", err)
	}
	for _, dir := range []string{workDirectory, t.s.Directory} {
		if err := os.MkdirAll(at(t.m, dir), 0o700); err != nil {
			return fmt.Errorf("make a directory: %w", err)
		}
	}
	left, _ := filepath.Glob(at(t.m, t.s.Directory) + "/.new-*") // the pattern is ours
	for _, f := range left {
		if err := os.Remove(f); err != nil {
			return fmt.Errorf("clear: %w", err)
		}
	}
	return nil
}

// snapshot asks this node's etcd. It lies in clear beside etcd's own data until it is in the archive.
func (t *taking) snapshot(ctx context.Context) error {
	file := at(t.m, workDirectory+"/snapshot.db")
	etcd := at(t.m, kubernetesDir+"/pki/etcd/")
	_, err := t.m.Exec(ctx, host.Command{Args: []string{
		"etcdctl", "snapshot", "save", file, "--endpoints", "https://127.0.0.1:2379",
		"--cacert", etcd + "/ca.crt", "--cert", etcd + "/healthcheck-client.crt", "--key", etcd + "/healthcheck-client.key",
	}, Timeout: 30 * time.Minute})
	if err != nil {
		return fmt.Errorf("take etcd's snapshot: %w", err)
	}
	out, err := t.m.Exec(ctx, host.Command{Args: []string{"etcdutl", "snapshot", "status", file, "-w", "json"}, Timeout: 30 * time.Minute})
	if err == nil {
		err = json.Unmarshal([]byte(out.Out), &t.status)
	}
	if err != nil {
		return fmt.Errorf("check etcd's snapshot: %w", err)
	}
	return nil
}

// archive writes everything into one file, which gets its name when it is whole.
func (t *taking) archive(ctx context.Context) error {
	dir := at(t.m, t.s.Directory)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("make the archive: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // has another name when all went well
	h := sha256.New()
	w, err := NewWriter(io.MultiWriter(f, h), t.recipients)
	if err == nil {
		t.taken.Manifest, err = t.fill(ctx, w)
	}
	info, e := f.Stat()
	if err = errors.Join(err, e, f.Close()); err != nil {
		return fmt.Errorf("make the archive: %w", err)
	}
	name := t.s.Node + "-" + t.began.Format(stamp) + suffix
	if err := whole.Name(f.Name(), filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("make the archive: %w", err)
	}
	t.taken.Path, t.taken.Size, t.taken.Digest = filepath.Join(t.s.Directory, name), info.Size(), "sha256:"+hex.EncodeToString(h.Sum(nil))
	return nil
}

func (t *taking) fill(ctx context.Context, w *Writer) (Manifest, error) {
	man := Manifest{Time: t.began, Node: t.s.Node, Server: t.s.Server, Kubernetes: t.s.Kubernetes, Snapshot: t.status}
	add := func(name string, text []byte) error { return w.Add(name, int64(len(text)), bytes.NewReader(text)) }
	for _, name := range needed() {
		text, err := os.ReadFile(at(t.m, kubernetesDir+"/"+name))
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s/%s is not there: without the authority's own key a cluster cannot be restored", kubernetesDir, name)
		}
		if err == nil {
			err = add(name, text)
		}
		if err != nil {
			return man, err
		}
		if name == pkiDir+"ca.crt" {
			man.Authority = pki.PublicKeyHash(text)
		}
	}
	if text, err := os.ReadFile(at(t.m, kubernetesDir+"/kubeadm.yaml")); err == nil { // for people: restoring makes its own
		if err := add("kubernetes/kubeadm.yaml", text); err != nil {
			return man, err
		}
	}
	if err := addFile(w, SnapshotName, at(t.m, workDirectory+"/snapshot.db")); err != nil {
		return man, err
	}
	kubeconfig, err := os.ReadFile(at(t.m, kubernetesDir+"/admin.conf"))
	if err != nil {
		return man, fmt.Errorf("read the administrator's kubeconfig: %w", err)
	}
	if man.Objects, man.Missing, err = objects(ctx, kubeconfig, t.s.API, add); err != nil {
		return man, err
	}
	return w.Close(man)
}

func addFile(w *Writer, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return w.Add(name, info.Size(), f)
}

// retire removes this node's oldest archives. Files with other names are nobody's business.
func (t *taking) retire(context.Context) error {
	if t.s.Keep <= 0 {
		return nil
	}
	names, err := t.m.Files(t.s.Directory)
	if err != nil {
		return fmt.Errorf("list backups: %w", err)
	}
	mine := ofNode(names, t.s.Node)
	for _, name := range mine[:max(0, len(mine)-t.s.Keep)] {
		if err := os.Remove(filepath.Join(at(t.m, t.s.Directory), name)); err != nil {
			return fmt.Errorf("remove an old backup: %w", err)
		}
		t.taken.Removed = append(t.taken.Removed, name)
	}
	return nil
}

// copyWithin is how long one place may take: less than the unit's TimeoutStartSec, so that the place is named and not
// the unit killed.
const copyWithin = 50 * time.Minute

// copy brings each place up to what is here, also with what it missed while it was away. One that fails, or hangs,
// keeps no other from its copy: all are given theirs at the same time. The backup itself stands: it is here.
func (t *taking) copy(ctx context.Context) error {
	if t.s.Copies == "" {
		return nil
	}
	text, err := os.ReadFile(at(t.m, t.s.Copies))
	if err != nil {
		return fmt.Errorf("read where backups are copied to: %w", err)
	}
	var targets []offsite.Target
	if err := json.Unmarshal(text, &targets); err != nil {
		return fmt.Errorf("read %s: it is not what the deployer wrote", t.s.Copies) // an error of the decoder may show what it read
	}
	names, err := t.m.Files(t.s.Directory)
	if err != nil {
		return fmt.Errorf("list backups: %w", err)
	}
	mine := func(names []string) []string { return ofNode(names, t.s.Node) }
	ctx, cancel := context.WithTimeout(ctx, copyWithin)
	defer cancel()
	failed := make([]error, len(targets))
	t.taken.Copied = make([]offsite.Copied, len(targets))
	var all sync.WaitGroup
	for i, target := range targets {
		all.Go(func() {
			done, err := offsite.Copy(ctx, target, at(t.m, t.s.Directory), mine(names), mine)
			if err != nil {
				failed[i] = fmt.Errorf("copy backups to %w", err)
			}
			t.taken.Copied[i] = done
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// ofNode are the names that are archives of a node, the oldest first.
func ofNode(names []string, node string) []string {
	ours := regexp.MustCompile(`^` + regexp.QuoteMeta(node) + `-\d{8}T\d{6}Z` + regexp.QuoteMeta(suffix) + `$`)
	out := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !ours.MatchString(name) })
	slices.Sort(out)
	return out
}

// Newest is when the newest of a node's archives was begun, by the names of files; the zero time if there is none.
func Newest(names []string, node string) time.Time {
	ours := ofNode(names, node)
	if len(ours) == 0 {
		return time.Time{}
	}
	name := ours[len(ours)-1]
	at, err := time.Parse(stamp, strings.TrimSuffix(strings.TrimPrefix(name, node+"-"), suffix))
	if err != nil { // eight digits that are no date
		return time.Time{}
	}
	return at
}

// String is one line for people.
func (m Manifest) String() string {
	text := fmt.Sprintf("taken on %s at %s: Kubernetes %s, etcd's revision %d with %d keys, %d objects", m.Node, m.Time.Format(time.RFC3339), m.Kubernetes, m.Snapshot.Revision, m.Snapshot.TotalKey, m.Objects)
	if len(m.Missing) > 0 {
		text += "; not as YAML: " + strings.Join(m.Missing, "; ")
	}
	return text
}
