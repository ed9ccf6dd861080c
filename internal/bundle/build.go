package bundle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/registry"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

// Options are what a build needs beside the lock.
type Options struct {
	LockFile string
	Dir      string // the bundle
	Cache    string // what was built or fetched, by module version
	// FromSource builds what has a source; otherwise everything is downloaded.
	FromSource bool
	Groups     []string // beside the lock's own choice
	Without    []string // groups of the lock's own choice that are left out
	Jobs       int      // of the Go compiler at once; 0 is its own choice
	// AnyHost accepts other versions of the Debian packages than the lock names. What they go into may then have other
	// digests than the lock; bundle.json says so.
	AnyHost bool
	// Record writes the digests of what was made into the lock, instead of comparing.
	Record bool
	// Values are merged over those of the catalogue's entries, by the addon's name: what one site needs otherwise.
	Values map[string]map[string]any
	// Key signs what was made; nil leaves it unsigned.
	Key      *sign.Key
	HTTP     *http.Client
	Pause    func(try int) <-chan time.Time // before a download is tried again; nil: seconds, longer each time
	Now      func() time.Time
	Progress func(Event)
	Log      *slog.Logger
}

// Event is one artefact finished.
type Event struct {
	Done    int     `json:"done"`
	Total   int     `json:"total"`
	Kind    string  `json:"kind"`
	Name    string  `json:"name"`
	Version string  `json:"version"`
	How     string  `json:"how"` // "built", "cached", "downloaded", "rendered", "packed", "left out"
	Seconds float64 `json:"seconds"`
	Digest  string  `json:"digest"`
	Reason  string  `json:"reason,omitempty"` // of what is left out
}

// Build makes a bundle, or finishes one that was interrupted.
func Build(ctx context.Context, o Options) (*Index, error) {
	b := &builder{Options: o, digests: map[string]string{}}
	defer func() { b.unlock() }()
	for _, s := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"lock", b.readLock},
		{"directories", b.lockDir},
		{"directories", b.makeDirs},
		{"compilers", b.checkHost},
		{"Debian packages", b.makePackages},
		{"files", b.makeFiles},
		{"images", b.makeImages},
		{"manifests", b.makeManifests},
		{"addons", b.makeAddons},
		{"remove what the lock does not name", b.prune},
		{"record digests", b.record},
		{"bundle.json", b.writeIndex},
	} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := s.do(ctx); err != nil {
			return nil, fmt.Errorf("bundle: %s: %w", s.name, err)
		}
	}
	return &b.index, nil
}

type builder struct {
	Options
	lock    *Lock
	text    []byte   // of the lock
	chosen  []string // groups
	layout  *registry.Layout
	index   Index
	done    int
	digests map[string]string // "image NAME" -> what was made, for record
	differs bool              // this host's Debian packages are not the lock's
	held    *os.File          // the directory, locked
}

// lockDir keeps other builds out of the directory: two would remove each other's files. The kernel ends the lock with
// the process, so one that was killed leaves nothing to clear away.
func (b *builder) lockDir(context.Context) error {
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		return err
	}
	dir, err := os.Open(b.Dir)
	if err != nil {
		return err
	}
	for {
		err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = dir.Close() // only opened to be locked
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("another bundle build is writing %s: wait for it, or choose another --output", b.Dir)
		}
		return fmt.Errorf("lock %s: %w", b.Dir, err)
	}
	b.held = dir
	return nil
}

func (b *builder) unlock() {
	if b.held != nil {
		_ = b.held.Close() // nothing was written through it
	}
}

func (b *builder) readLock(context.Context) error {
	text, err := os.ReadFile(b.LockFile)
	if err != nil {
		return err
	}
	b.text = text
	if b.lock, err = ParseLock(b.LockFile, text); err != nil {
		return err
	}
	var problems []error
	b.chosen = b.lock.chosenGroups(b.Groups, b.Without)
	b.lock.every(b.chosen, func(kind string, a *Artefact) {
		switch {
		case b.FromSource && kind == "image" && b.lock.skips(a.Name):
		case b.FromSource && a.Digest == "" && !b.Record:
			problems = append(problems, fmt.Errorf("%s %s has no digest: build once with --record and check what it writes", kind, a.Name))
		case !b.FromSource && !rendered(kind) && a.URL == "":
			problems = append(problems, fmt.Errorf("%s %s is published nowhere: build it with --from-source", kind, a.Name))
		case !b.FromSource && !rendered(kind) && a.URLDigest == "":
			problems = append(problems, fmt.Errorf("%s %s: the lock does not say what digest %s must have (urlDigest); ask the publisher (bundle lock --update), or use --from-source", kind, a.Name, a.URL))
		}
	})
	for _, g := range slices.Concat(b.Groups, b.Without) {
		if !slices.Contains(b.lock.groups(), g) {
			problems = append(problems, fmt.Errorf("the lock has no group %q; it has %q", g, b.lock.groups()))
		}
	}
	return errors.Join(problems...)
}

func (l *Lock) groups() []string {
	var out []string
	add := func(g string) {
		if g != "" && !slices.Contains(out, g) {
			out = append(out, g)
		}
	}
	for _, f := range l.Files {
		add(f.Group)
	}
	for _, i := range l.Images {
		add(i.Group)
	}
	for _, m := range l.Manifests {
		add(m.Group)
	}
	for _, a := range l.Addons {
		add(a.Group)
	}
	for _, p := range l.Packages {
		add(p.Group)
	}
	slices.Sort(out)
	return out
}

func (b *builder) makeDirs(context.Context) error {
	for _, dir := range []string{b.files(), filepath.Join(b.Cache, "programs"), filepath.Join(b.Cache, "modules"), filepath.Join(b.Cache, "debs")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	// From here on this is no complete bundle until the new list is written.
	if err := os.Remove(filepath.Join(b.Dir, indexFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := b.unsign(); err != nil {
		return err
	}
	layout, err := registry.Create(filepath.Join(b.Dir, "oci"))
	b.layout = layout
	return err
}

func (b *builder) files(parts ...string) string {
	return filepath.Join(append([]string{b.Dir, "files"}, parts...)...)
}

// total is how many artefacts there are to make.
func (b *builder) total() int {
	n := 0
	b.lock.every(b.chosen, func(string, *Artefact) { n++ })
	for _, p := range b.lock.Packages {
		if b.needed(p) {
			n++
		}
	}
	return n
}

// settle compares what was made with what the lock says, remembers it, and reports it.
func (b *builder) settle(kind, name, version, how, want, got string, began time.Time, host bool) error {
	b.done++
	b.digests[kind+" "+name] = got
	if want != got && !b.Record {
		if !host || !b.differs {
			return fmt.Errorf("%s %s %s is not what the lock says: it must have digest %s and has %s; nothing was changed there; check both before you trust either",
				kind, name, version, want, got)
		}
		b.Log.Warn("other digest than the lock's, because this host has other Debian packages", "kind", kind, "name", name, "digest", got)
		b.index.Unlocked = append(b.index.Unlocked, kind+" "+name)
	}
	if b.Progress != nil {
		b.Progress(Event{
			Done: b.done, Total: b.total(), Kind: kind, Name: name, Version: version, How: how,
			Seconds: b.Now().Sub(began).Seconds(), Digest: got,
		})
	}
	return nil
}

// prune removes files and images of an earlier lock or of other groups.
func (b *builder) prune(context.Context) error {
	var references []string
	for _, i := range b.index.Images {
		references = append(references, i.Reference)
	}
	if err := b.layout.Keep(references); err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, f := range b.index.Files {
		keep[f.Path] = true
	}
	return filepath.WalkDir(b.files(), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(b.files(), path)
		if err == nil && !keep[filepath.ToSlash(rel)] {
			err = os.Remove(path)
		}
		return err
	})
}
