package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"go.yaml.in/yaml/v3"
	"golang.org/x/mod/modfile"

	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// BumpOptions say to which Kubernetes a lock goes.
type BumpOptions struct {
	LockFile string
	// Version is a release ("1.36.4") or a minor version ("1.36"), whose newest release is taken that the module proxy
	// has.
	Version string
	// Add keeps the lock's own Kubernetes beside the new one, or adds an older one beside it.
	Add bool
}

// Bumped is what became of a lock.
type Bumped struct {
	Version  string   // of Kubernetes, in full
	Own      string   // the lock's own Kubernetes now
	Releases []string // what it carries besides
	Diff     string   // of the lock, for people; empty if it is as it was
}

var reWanted = regexp.MustCompile(`^v?(1\.[0-9]+)(\.[0-9]+)?$`)

// Bump edits a lock for another release of Kubernetes: its own one, or one more that clusters go through. Digests of
// what changed are taken out, because they are digests of something else. Nothing but the lines in question changes.
func Bump(ctx context.Context, o BumpOptions) (*Bumped, error) {
	text, err := os.ReadFile(o.LockFile)
	if err != nil {
		return nil, fmt.Errorf("bump: %w", err)
	}
	lock, err := ParseLock(o.LockFile, text)
	if err != nil {
		return nil, fmt.Errorf("bump: %w", err)
	}
	own := lock.kubernetes()
	if own == nil {
		return nil, fmt.Errorf("bump: %s has no module %s", o.LockFile, kubernetesModule)
	}
	source, err := findKubernetes(ctx, lock, o.Version)
	if err != nil {
		return nil, fmt.Errorf("bump: %w", err)
	}
	out, err := bumped(text, lock, source, o.Add)
	if err != nil {
		return nil, fmt.Errorf("bump: %s: %w", o.LockFile, err)
	}
	now, err := ParseLock(o.LockFile, out)
	if err != nil {
		return nil, fmt.Errorf("bump: the lock would be wrong, and stays as it is: %w", err)
	}
	result := &Bumped{Version: source.version, Own: now.kubernetes().Version, Diff: string(diff.Diff(o.LockFile+" (before)", text, o.LockFile, out))}
	for _, r := range now.Releases {
		result.Releases = append(result.Releases, r.Version)
	}
	if result.Diff == "" {
		return result, nil
	}
	return result, writeLock(o.LockFile, out)
}

// source is a release of Kubernetes as the module proxy has it.
type source struct {
	version string
	newest  bool     // of its minor version, and not asked for by number
	staging []string // modules that its go.mod takes from its source tree
}

// findKubernetes asks the module proxy. Only go.mod is fetched: a build compares the sum of the sources.
func findKubernetes(ctx context.Context, lock *Lock, wanted string) (source, error) {
	parts := reWanted.FindStringSubmatch(wanted)
	if parts == nil {
		return source{}, fmt.Errorf("%q is no version of Kubernetes: write 1.36 or 1.36.4", wanted)
	}
	dir, err := os.MkdirTemp("", "jeroboam-bump-")
	if err != nil {
		return source{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // nothing of worth is in it
	b := &builder{Options: Options{Cache: dir, Log: slog.New(slog.DiscardHandler)}, lock: lock}
	have, err := b.goTool(ctx, dir, false, "list", "-m", "-versions", "-json", kubernetesModule)
	if err != nil {
		return source{}, err
	}
	var listed struct{ Versions []string }
	if err := json.Unmarshal(have, &listed); err != nil {
		return source{}, err
	}
	s := source{version: "v" + parts[1] + parts[2], newest: parts[2] == ""}
	if s.newest {
		if s.version = newestOf(listed.Versions, parts[1]); s.version == "" {
			return source{}, fmt.Errorf("the module proxy lists no release of Kubernetes %s; name one in full", parts[1])
		}
	}
	found, err := b.goTool(ctx, dir, false, "list", "-m", "-json", kubernetesModule+"@"+s.version)
	if err != nil {
		return source{}, fmt.Errorf("release %s of Kubernetes: %w", s.version, err)
	}
	var module struct{ GoMod string }
	if err := json.Unmarshal(found, &module); err != nil {
		return source{}, err
	}
	s.staging, err = stagingModules(module.GoMod)
	return s, err
}

func newestOf(versions []string, minor string) string {
	newest := ""
	for _, v := range versions {
		if version.MinorOf(v) == minor && !strings.Contains(v, "-") && (newest == "" || version.Older(newest, v)) {
			newest = v
		}
	}
	return newest
}

// stagingModules are those that Kubernetes' go.mod replaces by directories of its own tree. Each is published as
// v0.MINOR.PATCH.
func stagingModules(goMod string) ([]string, error) {
	text, err := os.ReadFile(goMod)
	if err != nil {
		return nil, err
	}
	file, err := modfile.ParseLax(filepath.Base(goMod), text, nil)
	if err == nil { // lax parsing leaves replacements out
		file, err = modfile.Parse(filepath.Base(goMod), text, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("go.mod of Kubernetes: %w", err)
	}
	var out []string
	for _, r := range file.Replace {
		if strings.HasPrefix(r.New.Path, "./staging/src/") {
			out = append(out, r.Old.Path)
		}
	}
	slices.Sort(out)
	return out, nil
}

// published is the version under which staging modules of a Kubernetes are published: v0.36.4 of v1.36.4.
func published(kubernetes string) string { return "v0" + strings.TrimPrefix(kubernetes, "v1") }

// bumped is the text of a lock with another Kubernetes.
func bumped(text []byte, lock *Lock, to source, add bool) ([]byte, error) {
	own := lock.kubernetes().Version
	has := slices.IndexFunc(lock.Releases, func(r Release) bool { return version.MinorOf(r.Version) == version.MinorOf(to.version) })
	switch {
	case to.version == own, to.newest && version.MinorOf(to.version) == version.MinorOf(own) && version.Older(to.version, own):
		return text, nil // not every module proxy knows all that there is
	case add && has >= 0 && lock.Releases[has].Version == to.version:
		return text, nil
	case add && has >= 0:
		return nil, fmt.Errorf("it carries %s: take that out of releases first, one of each minor version is enough", lock.Releases[has].Version)
	case add && version.MinorOf(to.version) == version.MinorOf(own):
		return nil, fmt.Errorf("its own Kubernetes is %s: there is no need to go through another release of %s; without --add it becomes %s", own, version.MinorOf(own), to.version)
	case add && version.Older(to.version, own):
		return withRelease(text, lock, newRelease(to))
	case version.Minor(to.version) < version.Minor(own) && len(lock.Releases) > 0:
		return nil, fmt.Errorf("its own Kubernetes is %s, and it carries older ones: %s --add carries that as well", own, to.version)
	}
	var err error
	if add {
		if text, err = withRelease(text, lock, lock.ownRelease()); err != nil {
			return nil, err
		}
	}
	e, err := newEditor(text)
	if err != nil {
		return nil, err
	}
	e.bumpModules(lock, own, to)
	e.bumpPrograms(lock, own, to.version)
	e.bumpArtefacts(lock, own, to.version)
	e.bumpReferences(lock, own, to.version)
	return e.text()
}

func newRelease(to source) Release {
	r := Release{Version: to.version, Pins: Pins{}}
	for _, m := range to.staging {
		r.Pins[m] = published(to.version)
	}
	return r
}

// ownRelease is the lock's own Kubernetes as one that is carried beside a newer one, with its digests.
func (l *Lock) ownRelease() Release {
	own := l.kubernetes()
	r := Release{Version: own.Version, Sum: own.Sum, Pins: Pins{}, Digests: map[string]string{}, URLDigests: map[string]string{}}
	for _, set := range own.Pins {
		for m, v := range l.Pins[set] {
			if v == published(own.Version) {
				r.Pins[m] = v
			}
		}
	}
	keep := func(a Artefact) {
		if a.Digest != "" {
			r.Digests[a.Name] = a.Digest
		}
		if a.URLDigest != "" {
			r.URLDigests[a.Name] = a.URLDigest
		}
	}
	for _, f := range l.Files {
		if l.kubernetesFile(f) {
			keep(f.Artefact)
		}
	}
	for _, i := range l.Images {
		if l.kubernetesImage(i) {
			keep(i.Artefact)
		}
	}
	return r
}

// withRelease adds a release to a lock's text, where its version belongs.
func withRelease(text []byte, lock *Lock, r Release) ([]byte, error) {
	e, err := newEditor(text)
	if err != nil {
		return nil, err
	}
	if v := child(e.root, "version"); v != nil && v.Value == "1" {
		e.value(v, "2")
	}
	block := releaseLines(r, lock.kubernetesNames())
	entries := list(e.root, "releases")
	at := slices.IndexFunc(lock.Releases, func(have Release) bool { return version.Older(r.Version, have.Version) })
	switch {
	case len(entries) == 0 && child(e.root, "releases") != nil:
		return nil, errors.New("releases is there and has nothing in it: take the line out")
	case len(entries) == 0:
		head := []string{
			"# Older releases of Kubernetes, which a cluster that is older still goes through: one minor version at a time. What a release consists of",
			"# is written above, for this lock's own Kubernetes; here is what differs. \"bundle bump kubernetes 1.35 --add\" adds one.",
			"releases:",
		}
		modules := keyNode(e.root, "modules")
		e.add(modules.Line-1, slices.Concat(head, block, []string{""})...)
	case at < 0:
		e.add(last(entries[len(entries)-1]), block...)
	default:
		e.add(entries[at].Line-1, block...)
	}
	return e.text()
}

// releaseLines is the text of a release's entry. Every artefact has its lines, so that digests only have to be filled
// in.
func releaseLines(r Release, names []string) []string {
	out := []string{"  - version: " + r.Version, "    sum: " + quotedIfEmpty(r.Sum), "    pins:"}
	for _, m := range slices.Sorted(maps.Keys(r.Pins)) {
		out = append(out, "      "+m+": "+r.Pins[m])
	}
	for _, of := range []struct {
		key     string
		digests map[string]string
	}{{"digests", r.Digests}, {"urlDigests", r.URLDigests}} {
		out = append(out, "    "+of.key+":")
		for _, name := range names {
			out = append(out, "      "+name+": "+quotedIfEmpty(of.digests[name]))
		}
	}
	return out
}

func quotedIfEmpty(s string) string {
	if s == "" {
		return `""`
	}
	return s
}

func keyNode(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i]
		}
	}
	return nil
}
