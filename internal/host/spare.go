package host

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// GivesBack is the typed value of a change that gives disk back: nothing that runs, or that the last two bundles have,
// is in it.
type GivesBack struct{}

// spares is a resource whose changes give disk back; gives says in words what.
type spares interface {
	gives(have plan.Facts) string
}

const (
	spare  = "spare"
	record = Directory + "/bundles.json"
	// keptBundles is how many bundles' blobs stay: this one's and the one before, so that going back brings nothing again.
	keptBundles = 2
)

// Kept is a machine's store, with the blobs of the last two bundles. Which those are is written down beside it: a store
// alone does not say what came together.
type Kept struct {
	// Digests are all of the bundle's, whether they have been brought here or not.
	Digests []string `json:"digests"`
}

// kept is a bundle in the record, the latest first.
type kept struct {
	ID      string   `json:"id"`
	Digests []string `json:"digests"`
}

func (k *Kept) id() string {
	sorted := slices.Compact(slices.Sorted(slices.Values(k.Digests)))
	sum := sha256.Sum256([]byte(strings.Join(sorted, "\n")))
	return hex.EncodeToString(sum[:6])
}

func (k *Kept) thing(have plan.Facts) plan.Thing {
	t := plan.Thing{Kind: "store", Name: blobs, Want: plan.Facts{"bundle": k.id()}}
	if have != nil {
		t.Want[spare] = none
	}
	return t
}

func (*Kept) gives(have plan.Facts) string {
	if old := have[spare]; cmp.Or(old, none) != none {
		return "files of this bundle and of the one before stay, " + old + " of older ones are removed"
	}
	return "files of this bundle and of the one before stay"
}

func (k *Kept) observe(_ context.Context, m *Machine) (plan.Facts, error) {
	if !m.exists(record) && !m.exists(store) {
		return nil, nil
	}
	have := plan.Facts{spare: none}
	if all := bundlesKept(m); len(all) > 0 {
		have["bundle"] = all[0].ID
	}
	_, old, err := k.sort(m)
	if err != nil {
		return nil, err
	}
	bytes := int64(0)
	for _, name := range old {
		if info, err := os.Lstat(m.path(filepath.Join(store, name))); err == nil {
			bytes += info.Size()
		}
	}
	if len(old) > 0 {
		have[spare] = fmt.Sprintf("%d files (%d MiB)", len(old), (bytes+1<<20-1)>>20)
	}
	return have, nil
}

// bundlesKept reads the record. One that is damaged is none: then everything that is there counts as the bundle before.
func bundlesKept(m *Machine) []kept {
	var all []kept
	if json.Unmarshal([]byte(m.read(record)), &all) != nil {
		return nil
	}
	return all
}

// sort says which bundles are kept from now on, and which files of the store are nobody's. Where there is no record, an
// earlier version of this program filled the store, and all that is not this bundle's is taken for the one before: it
// goes with the next.
func (k *Kept) sort(m *Machine) (stay []kept, old []string, err error) {
	entries, err := os.ReadDir(m.path(store))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	stay = []kept{{ID: k.id(), Digests: k.Digests}}
	known := bundlesKept(m)
	before := slices.DeleteFunc(slices.Clone(known), func(b kept) bool { return b.ID == stay[0].ID })
	wanted := map[string]bool{}
	for _, b := range append(slices.Clone(stay), before[:min(len(before), keptBundles-1)]...) {
		for _, d := range b.Digests {
			wanted[strings.TrimPrefix(d, "sha256:")] = true
		}
	}
	var unknown kept
	for _, e := range entries {
		switch {
		case wanted[e.Name()]:
		case len(known) == 0 && isDigest.MatchString("sha256:"+e.Name()):
			unknown.ID, unknown.Digests = "unknown", append(unknown.Digests, "sha256:"+e.Name())
		default: // an older bundle's, or the beginning of one whose coming was cut off
			old = append(old, e.Name())
		}
	}
	if unknown.ID != "" {
		before = []kept{unknown}
	}
	return append(stay, before[:min(len(before), keptBundles-1)]...), old, nil
}

// ensure writes the record first: what a killed run leaves is nobody's then, and goes with the next.
func (k *Kept) ensure(ctx context.Context, m *Machine) error {
	stay, old, err := k.sort(m)
	if err != nil {
		return err
	}
	text, err := json.Marshal(stay)
	if err != nil {
		return err
	}
	f := File{Path: record, Content: string(text) + "\n"}
	if err := f.ensure(ctx, m); err != nil {
		return err
	}
	for _, name := range old {
		if err := os.RemoveAll(m.path(filepath.Join(store, name))); err != nil {
			return err
		}
	}
	return nil
}

// Builds are copies of the agent: of other builds than the one that looks, those go that no process runs. Each build
// that ever looked at a machine leaves one.
type Builds struct{}

func (*Builds) thing(have plan.Facts) plan.Thing { return spareThing("agents", Agents, have) }

// spareThing is something of which there should be nothing spare; where nothing is, nothing is to be done.
func spareThing(kind, name string, have plan.Facts) plan.Thing {
	t := plan.Thing{Kind: kind, Name: name}
	if have != nil {
		t.Want = plan.Facts{spare: none}
	}
	return t
}

func (*Builds) gives(have plan.Facts) string {
	return "removed, because nobody runs them: " + have[spare]
}

func (b *Builds) observe(_ context.Context, m *Machine) (plan.Facts, error) {
	old, err := b.old(m)
	if err != nil || len(old) == 0 {
		return nil, err
	}
	return plan.Facts{spare: strings.Join(old, ", ")}, nil
}

// halfBuild is how old a copy is that is certainly not on its way any more.
const halfBuild = time.Hour

func (*Builds) old(m *Machine) ([]string, error) {
	entries, err := os.ReadDir(m.path(Agents))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || e.Name() == AgentName() || m.runs(info) {
			continue // gone meanwhile, or needed
		}
		if strings.Contains(e.Name(), ".new-") && m.Now().Sub(info.ModTime()) < halfBuild {
			continue
		}
		out = append(out, e.Name())
	}
	return out, nil
}

// runs says whether a process runs a program: by what the file is, for a container's process has other paths.
func (m *Machine) runs(program fs.FileInfo) bool {
	entries, _ := os.ReadDir(m.path("/proc")) // no processes
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		if info, err := os.Stat(m.path("/proc/" + e.Name() + "/exe")); err == nil && os.SameFile(info, program) {
			return true
		}
	}
	return false
}

func (b *Builds) ensure(_ context.Context, m *Machine) error {
	old, err := b.old(m)
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(m.path(filepath.Join(Agents, name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Pins are containerd's images that kubelet must not take: those that a deployment wants, and others' own. One of ours
// that is not wanted any more loses its pin, and kubelet takes it when it needs the room and no container has it.
type Pins struct {
	// Refs are the images that are wanted.
	Refs []string `json:"refs"`
}

func (*Pins) thing(have plan.Facts) plan.Thing { return spareThing("pins", "containerd", have) }

func (*Pins) gives(have plan.Facts) string {
	return "not wanted any more, so that kubelet may take them: " + have[spare]
}

func (p *Pins) observe(ctx context.Context, m *Machine) (plan.Facts, error) {
	old, err := p.old(ctx, m)
	if err != nil || len(old) == 0 {
		return nil, err
	}
	return plan.Facts{spare: strings.Join(old, ", ")}, nil
}

// old are pinned images that a deployment has brought and does not want. It is known by its label; an earlier version
// of this program gave none, so a pinned image of a repository that is wanted with another tag is one too.
func (p *Pins) old(ctx context.Context, m *Machine) ([]string, error) {
	all, err := containerdImages(ctx, m)
	if err != nil {
		return nil, err
	}
	repositories := map[string]bool{}
	for _, ref := range p.Refs {
		repositories[Repository(ref)] = true
	}
	var out []string
	for _, ref := range slices.Sorted(maps.Keys(all)) {
		ours := all[ref].brought || repositories[Repository(ref)]
		if all[ref].pinned && ours && !slices.Contains(p.Refs, ref) {
			out = append(out, ref)
		}
	}
	return out, nil
}

func (p *Pins) ensure(ctx context.Context, m *Machine) error {
	old, err := p.old(ctx, m)
	if err != nil {
		return err
	}
	for _, ref := range old {
		// An empty value removes a label (containerd: metadata/boltutil, WriteLabels).
		if _, err := m.run(ctx, "ctr", "-n", containerdNamespace, "images", "label", ref, pinnedKey+"="); err != nil {
			return err
		}
	}
	return nil
}

// Repository is an image's reference without its tag.
func Repository(ref string) string {
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i]
	}
	return ref
}
