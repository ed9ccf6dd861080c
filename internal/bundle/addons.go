package bundle

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

// addonDir is where the catalogue is, below the bundle's files.
const addonDir = "addons"

// makeAddons makes the catalogue of workload clusters' addons: charts and objects of modules, and the list of them. A
// server renders them for each cluster; here they are only packed, which needs no helm.
func (b *builder) makeAddons(ctx context.Context) error {
	var entries []addon.Entry
	for i := range b.lock.Addons {
		a := &b.lock.Addons[i]
		if !chosen(a.Group, b.chosen) {
			continue
		}
		entry, err := b.makeAddon(ctx, a)
		if err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
		entries = append(entries, entry)
	}
	if err := unknownAddons(b.Values, entries); err != nil {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	text, err := catalogueText(entries)
	if err != nil {
		return err
	}
	err = b.placeText(text, IndexFile{Name: addon.CatalogueFile, Kind: "catalogue", Version: "1", Path: addonDir + "/" + addon.CatalogueFile})
	if err != nil {
		return err
	}
	return b.lock.rendersAll(os.DirFS(b.files(addonDir)))
}

// rendersAll reads a catalogue as a server does and renders its addons for a cluster with each network driver. A
// template that the chart lacks, or an image that the lock does not name, is found here and not when the first cluster
// is made.
func (l *Lock) rendersAll(files fs.FS) error {
	catalogue, err := addon.Load(files)
	if err != nil {
		return err
	}
	kubernetes := ""
	for _, f := range l.Files {
		if f.Name == "kubelet" {
			kubernetes = f.Version
		}
	}
	if kubernetes == "" {
		return nil // a lock without nodes
	}
	has := func(name string) bool {
		return slices.ContainsFunc(catalogue.Entries(), func(e addon.Entry) bool { return e.Name == name })
	}
	var problems []error
	for _, driver := range []string{addon.Calico, addon.Cilium} {
		for _, r := range catalogue.Releases(addon.Cluster{
			UUID: "00000000-0000-0000-0000-000000000000", Stack: "kube-abc12", NetworkDriver: driver, Kubernetes: kubernetes, Masters: 1,
			Cloud: addon.Cloud{
				AuthURL: "https://keystone.invalid/v3", Region: "RegionOne", LoadBalancers: true, Volumes: true, VolumeTypes: []addon.VolumeType{{Name: "fast"}}, Shares: true,
			},
		}) {
			if r.Problem != "" && has(r.Name) {
				problems = append(problems, fmt.Errorf("%s for Kubernetes %s: %s", r.Name, kubernetes, r.Problem))
			}
		}
	}
	return errors.Join(problems...)
}

// unknownAddons refuses values that would have no effect.
func unknownAddons(values map[string]map[string]any, entries []addon.Entry) error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.ContainsFunc(entries, func(e addon.Entry) bool { return e.Name == name }) {
			problems = append(problems, fmt.Errorf("there are values for the addon %q, and no such addon in the catalogue", name))
		}
	}
	return errors.Join(problems...)
}

func catalogueText(entries []addon.Entry) ([]byte, error) {
	slices.SortStableFunc(entries, func(a, b addon.Entry) int { return cmp.Compare(a.Name, b.Name) })
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	err := enc.Encode(addon.List{Version: 1, Addons: entries})
	return out.Bytes(), errors.Join(err, enc.Close())
}

func (b *builder) makeAddon(ctx context.Context, a *Addon) (addon.Entry, error) {
	began := b.Now()
	var src string
	var err error
	if a.Module != "" {
		if src, err = b.sources(ctx, b.lock.module(a.Module)); err != nil {
			return addon.Entry{}, err
		}
	}
	name := cmp.Or(a.Addon, a.Name)
	e := addon.Entry{Name: name, Version: a.Version, Kubernetes: a.Kubernetes, File: name + "-" + a.Version + ".tgz", Images: slices.Clone(a.Images)}
	var text []byte
	if a.Plain != "" {
		e.File = name + "-" + a.Version + ".yaml"
		if text, err = os.ReadFile(filepath.Join(src, filepath.FromSlash(a.Plain))); err == nil {
			text, e.Images, err = a.plainImages(text, b.lock)
		}
	} else {
		text, err = a.pack(src)
	}
	if err != nil {
		return addon.Entry{}, err
	}
	slices.Sort(e.Images)
	e.Values = merged(a.Values, b.Values[name])
	file := IndexFile{Name: a.Name, Kind: "addon", Version: a.Version, Path: addonDir + "/" + e.File, Group: a.Group}
	e.Digest = textDigest(text)
	if err := b.settle("addon", a.Name, a.Version, "packed", a.Digest, e.Digest, began, false); err != nil {
		return addon.Entry{}, err
	}
	return e, b.placeText(text, file)
}

func textDigest(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// placeText puts a text into the bundle.
func (b *builder) placeText(text []byte, entry IndexFile) error {
	file := filepath.Join(b.Dir, ".text")
	defer func() { _ = os.Remove(file) }() // it is in its place
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return err
	}
	entry.Digest, entry.Size = textDigest(text), int64(len(text))
	return b.place(file, entry, 0o644)
}

// plainImages gives the images of plain objects the names they have in the lock, and says which they are.
func (a *Addon) plainImages(text []byte, l *Lock) ([]byte, []string, error) {
	found, used := map[string]bool{}, map[string]bool{}
	var problems []error
	text = reImage.ReplaceAllFunc(text, func(match []byte) []byte {
		parts := reImage.FindSubmatch(match)
		ref := string(parts[2])
		bare := ref
		if i := strings.LastIndexByte(bare, ':'); i > strings.LastIndexByte(bare, '/') {
			bare = bare[:i]
		}
		if to, ok := a.Rename[bare]; ok {
			ref, used[bare] = to, true
		}
		if l.image(ref) == nil {
			problems = append(problems, fmt.Errorf("the objects use the image %s, which the lock does not have", ref))
		}
		found[ref] = true
		return append(slices.Clone(parts[1]), ref...)
	})
	for _, from := range slices.Sorted(maps.Keys(a.Rename)) {
		if !used[from] {
			problems = append(problems, fmt.Errorf("the objects use no image %s", from))
		}
	}
	return text, slices.Sorted(maps.Keys(found)), errors.Join(problems...)
}

// pack makes a chart's archive. It depends on nothing but the files: they are sorted, without times and owners, and
// stored as they are, because compressors change what they write between releases.
func (a *Addon) pack(src string) ([]byte, error) {
	files, err := a.chartFiles(src)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.NoCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: cmp.Or(a.Addon, a.Name) + "/" + name, Mode: 0o644, Size: int64(len(files[name])), Format: tar.FormatPAX}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, err
		}
	}
	err = errors.Join(w.Close(), z.Close())
	return out.Bytes(), err
}

// chartFiles are the files of a chart, by their path in it.
func (a *Addon) chartFiles(src string) (map[string][]byte, error) {
	files := map[string][]byte{}
	left := map[string]bool{}
	if a.Chart != "" {
		top := os.DirFS(filepath.Join(src, filepath.FromSlash(a.Chart)))
		err := fs.WalkDir(top, ".", func(at string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case slices.Contains(a.Except, at):
				left[at] = true
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			case d.IsDir():
				return nil
			}
			files[at], err = fs.ReadFile(top, at)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("chart %s: %w", a.Chart, err)
		}
	}
	var problems []error
	for _, except := range a.Except {
		if !left[except] {
			problems = append(problems, fmt.Errorf("%s is to be left out of the chart, and is not there", except))
		}
	}
	for name, text := range a.Files {
		files[path.Clean(name)] = []byte(text)
	}
	if files["Chart.yaml"] == nil {
		problems = append(problems, errors.New("the chart has no Chart.yaml"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return files, a.metadata(files)
}

// metadata changes fields of Chart.yaml, if some are to be changed.
func (a *Addon) metadata(files map[string][]byte) error {
	if len(a.Set) == 0 {
		return nil
	}
	fields := map[string]any{}
	if err := yaml.Unmarshal(files["Chart.yaml"], &fields); err != nil {
		return fmt.Errorf("read Chart.yaml: %w", err)
	}
	for key, value := range a.Set {
		if value == nil {
			delete(fields, key)
			continue
		}
		fields[key] = value
	}
	text, err := yaml.Marshal(fields)
	files["Chart.yaml"] = text
	return err
}

// merged is a tree of values with another over it; neither is changed. Null stays: a chart takes it as "no such value".
func merged(under, over map[string]any) map[string]any {
	if len(over) == 0 {
		return under
	}
	out := maps.Clone(under)
	if out == nil {
		out = map[string]any{}
	}
	for key, value := range over {
		have, isMap := out[key].(map[string]any)
		with, alsoMap := value.(map[string]any)
		if isMap && alsoMap {
			out[key] = merged(have, with)
			continue
		}
		out[key] = value
	}
	return out
}

// Catalogue makes only the catalogue of addons: from module sources, with nothing compiled, in seconds. Its files are
// in o.Dir itself. All groups' entries are in it, unless groups are declined.
func Catalogue(ctx context.Context, o Options) (*Index, error) {
	text, err := os.ReadFile(o.LockFile)
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	lock, err := ParseLock(o.LockFile, text)
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	work, err := os.MkdirTemp("", "jeroboam-catalogue-")
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }() // what is good was copied out of it
	to := o.Dir
	o.Dir, o.FromSource = work, true
	b := &builder{Options: o, lock: lock, text: text, digests: map[string]string{}}
	b.chosen = lock.chosenGroups(lock.groups(), o.Without)
	for _, step := range []func(context.Context) error{b.makeAddons, b.record} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("catalogue: %w", err)
		}
	}
	if o.Key != nil {
		if err := signCatalogueAlone(filepath.Join(work, "files", addonDir), *o.Key); err != nil {
			return nil, fmt.Errorf("catalogue: %w", err)
		}
	}
	return &b.index, copyCatalogue(filepath.Join(work, "files", addonDir), to)
}

// copyCatalogue puts a catalogue in its place. The list is written last and its files are named by version, so a reader
// never sees a list of what is not there yet; what the list does not name goes.
func copyCatalogue(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	list, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	keep := map[string]bool{}
	slices.SortFunc(list, func(a, b fs.DirEntry) int {
		if (a.Name() == addon.CatalogueFile) != (b.Name() == addon.CatalogueFile) {
			if a.Name() == addon.CatalogueFile {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.Name(), b.Name())
	})
	for _, d := range list {
		keep[d.Name()] = true
		if err := copyFile(filepath.Join(from, d.Name()), filepath.Join(to, d.Name()), 0o644); err != nil {
			return fmt.Errorf("catalogue: %w", err)
		}
	}
	have, err := os.ReadDir(to)
	if err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	for _, d := range have {
		if ext := path.Ext(d.Name()); !keep[d.Name()] && (ext == ".tgz" || ext == ".yaml" || ext == sign.Suffix) {
			err = errors.Join(err, os.Remove(filepath.Join(to, d.Name())))
		}
	}
	return err
}

// verifyCatalogue compares the catalogue's list with the bundle's.
func (b *Bundle) verifyCatalogue() []error {
	if !slices.ContainsFunc(b.Index.Files, func(f IndexFile) bool { return f.Kind == "catalogue" }) {
		return nil
	}
	if _, err := addon.Load(os.DirFS(filepath.Join(b.Dir, "files", addonDir))); err != nil {
		return []error{fmt.Errorf("the catalogue of addons: %w", err)}
	}
	return nil
}
