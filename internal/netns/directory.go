package netns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// DefaultDir is where "ip netns" and Neutron keep namespaces.
const DefaultDir = "/run/netns"

// Namespace is one life of a namespace: one that was deleted and made again has the same name and another Generation.
type Namespace struct {
	Name       string
	Generation uint64
}

// prefixes are the names Neutron gives to a network's namespaces, the likelier one first.
func prefixes() []string { return []string{"qdhcp-", "ovnmeta-"} }

// Directory follows the namespaces of a host.
type Directory struct {
	dir     string
	log     *slog.Logger
	changed func()

	mu    sync.Mutex
	have  map[string]seen
	count uint64 // generations given out
}

type seen struct {
	Namespace

	inode uint64
}

// NewDirectory reads dir once. changed is called by Run, after each change. A directory that does not exist yet is
// empty.
func NewDirectory(dir string, log *slog.Logger, changed func()) (*Directory, error) {
	d := &Directory{dir: filepath.Clean(dir), log: log, changed: changed, have: map[string]seen{}}
	_, _, err := d.scan(nil)
	return d, err
}

// Find returns the namespaces of a network that are on this host, the likelier one first.
func (d *Directory) Find(network string) []Namespace {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []Namespace
	for _, p := range prefixes() {
		if s, ok := d.have[p+network]; ok && network != "" {
			out = append(out, s.Namespace)
		}
	}
	return out
}

// Len is how many namespaces there are.
func (d *Directory) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.have)
}

// A new namespace is a file first and becomes a namespace when it is mounted over, of which inotify says nothing. So
// files that are none yet are looked at again, soon and then less often, for as long as it can still be that.
const (
	mountedSoon = 500 * time.Microsecond
	mountedLate = 5 * time.Second
)

// Run follows the directory until ctx ends.
func (d *Directory) Run(ctx context.Context) error {
	w, err := fsnotify.NewBufferedWatcher(1024)
	if err != nil {
		return fmt.Errorf("watch %s: %w", d.dir, err)
	}
	defer func() { _ = w.Close() }() // nothing to lose
	if err := d.follow(w); err != nil {
		return err
	}
	wait, again := mountedSoon, time.NewTimer(0) // what changed before the watch began
	defer again.Stop()
	gone := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.Errors:
			d.log.WarnContext(ctx, "events of the namespaces' directory were lost; it is read again", "directory", d.dir, "error", err)
			wait = mountedSoon
		case e := <-w.Events:
			if !d.concerns(e) {
				continue
			}
			gone[filepath.Base(e.Name)] = true // a name that comes back is another namespace
			wait = mountedSoon
			if len(w.Events) > 0 {
				continue // many at once are one change
			}
		case <-again.C:
		}
		if err := d.follow(w); err != nil {
			return err
		}
		change, unfinished, err := d.scan(gone)
		if err != nil {
			return err
		}
		clear(gone)
		if change {
			d.changed()
		}
		again.Stop()
		if unfinished && wait < mountedLate {
			again.Reset(wait)
			wait *= 2
		}
	}
}

// concerns leaves out what else happens in the directory above, and everything but coming and going.
func (d *Directory) concerns(e fsnotify.Event) bool {
	return (e.Name == d.dir || filepath.Dir(e.Name) == d.dir) && (e.Has(fsnotify.Create) || e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename))
}

// follow watches the directory, and the one above it for the day the directory is made.
func (d *Directory) follow(w *fsnotify.Watcher) error {
	if err := w.Add(filepath.Dir(d.dir)); err != nil {
		return fmt.Errorf("watch %s: %w", filepath.Dir(d.dir), err)
	}
	if err := w.Add(d.dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("watch %s: %w", d.dir, err)
	}
	return nil
}

// scan reads the directory. Names in gone have been something else since the last time.
func (d *Directory) scan(gone map[string]bool) (change, unfinished bool, err error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, false, fmt.Errorf("read the namespaces: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := map[string]bool{}
	for _, e := range entries {
		name := e.Name()
		if !slices.ContainsFunc(prefixes(), func(p string) bool { return len(name) > len(p) && name[:len(p)] == p }) {
			continue
		}
		inode, ok := isNamespace(filepath.Join(d.dir, name))
		if !ok {
			unfinished = true
			continue
		}
		now[name] = true
		if old, ok := d.have[name]; ok && old.inode == inode && !gone[name] {
			continue
		}
		d.count++
		d.have[name] = seen{Namespace{name, d.count}, inode}
		change = true
	}
	for name := range d.have {
		if !now[name] {
			delete(d.have, name)
			change = true
		}
	}
	return change, unfinished, nil
}

// isNamespace says whether a file is mounted over by a namespace, and by which.
func isNamespace(path string) (inode uint64, ok bool) {
	var fs unix.Statfs_t
	if unix.Statfs(path, &fs) != nil || fs.Type != unix.NSFS_MAGIC {
		return 0, false
	}
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0, false
	}
	return st.Ino, true
}
