package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/registry"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

const (
	indexFile = "bundle.json"
	lockFile  = "bundle.lock.yaml"
)

// Index is bundle.json: what a bundle has.
type Index struct {
	Version    int          `json:"version"` // of the format: 1
	LockDigest string       `json:"lockDigest"`
	Platform   string       `json:"platform"`
	Files      []IndexFile  `json:"files"`
	Images     []IndexImage `json:"images"`
	// Unlocked names what has another digest than the lock's, because it was made with --any-host.
	Unlocked []string `json:"unlocked,omitempty"`
	// LeftOut names what the lock has and this bundle does not, because it cannot be built from source.
	LeftOut []string `json:"leftOut,omitempty"`
}

// IndexFile is a file of the bundle.
type IndexFile struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"` // "file", "package" (of Debian), "manifest", "addon", "catalogue"
	Version string `json:"version"`
	Path    string `json:"path"` // below the directory "files"
	Digest  string `json:"digest"`
	Size    int64  `json:"size"`
	Group   string `json:"group,omitempty"`
	Release string `json:"release,omitempty"` // of Kubernetes, if it is not the bundle's own
}

// IndexImage is an image of the bundle.
type IndexImage struct {
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Reference string   `json:"reference"`
	Aliases   []string `json:"aliases,omitempty"`
	Digest    string   `json:"digest"`
	Size      int64    `json:"size"`
	Group     string   `json:"group,omitempty"`
	Release   string   `json:"release,omitempty"` // of Kubernetes, if it is not the bundle's own
}

// writeIndex completes a bundle.
func (b *builder) writeIndex(context.Context) error {
	images, err := b.layout.Images()
	if err != nil {
		return err
	}
	for i := range b.index.Images {
		for _, have := range images {
			if have.Reference == b.index.Images[i].Reference {
				b.index.Images[i].Size = have.Size
			}
		}
	}
	b.index.Version, b.index.Platform = 1, b.lock.Platform
	if err := whole.Write(filepath.Join(b.Dir, lockFile), b.text, 0o644); err != nil {
		return err
	}
	if b.index.LockDigest, _, err = fileDigest(filepath.Join(b.Dir, lockFile)); err != nil {
		return err
	}
	text, err := json.MarshalIndent(b.index, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if b.Key != nil { // before the list, because the list is what makes a bundle complete
		if err := signBundle(b.Dir, text, b.index.LockDigest, *b.Key); err != nil {
			return err
		}
	}
	return whole.Write(filepath.Join(b.Dir, indexFile), text, 0o644)
}

// Bundle is a complete bundle on disk.
type Bundle struct {
	Dir   string
	Index Index
	text  []byte // of bundle.json, as it was checked
	lock  *Lock  // once it was needed
}

// Open opens a bundle and checks whose it is. It does not look at what is in it: that is Verify, and Read for one file.
func Open(dir string, trust sign.Trust) (*Bundle, error) {
	switch info, err := os.Stat(dir); {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("there is no bundle %s: name the directory that jeroboam bundle build wrote", dir)
	case err == nil && !info.IsDir():
		return nil, fmt.Errorf("%s is no directory: name the one that jeroboam bundle build wrote", dir)
	}
	text, err := trust.CheckFile(os.DirFS(dir), indexFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s is no complete bundle: it has no %s; run jeroboam bundle build again", dir, indexFile)
	}
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", dir, err)
	}
	b := &Bundle{Dir: dir, text: text}
	if err := json.Unmarshal(text, &b.Index); err != nil {
		return nil, fmt.Errorf("bundle %s: %s: %w", dir, indexFile, err)
	}
	if b.Index.Version != 1 {
		return nil, fmt.Errorf("bundle %s: %s has version %d; this program reads version 1", dir, indexFile, b.Index.Version)
	}
	return b, nil
}

// File is where a file of the bundle is; the error says that it has none of that name.
func (b *Bundle) File(name string) (path string, entry IndexFile, err error) {
	for _, f := range b.Index.Files {
		if f.Name == name {
			return filepath.Join(b.Dir, "files", filepath.FromSlash(f.Path)), f, nil
		}
	}
	return "", IndexFile{}, fmt.Errorf("the bundle has no file %q", name)
}

// Read reads a file of the bundle whose content is used here, and compares it with the list.
func (b *Bundle) Read(f IndexFile) ([]byte, error) {
	return readAs(filepath.Join(b.Dir, "files", filepath.FromSlash(f.Path)), f.Digest)
}

// ReadManifest reads an image's manifest, and compares it with the list.
func (b *Bundle) ReadManifest(i IndexImage) ([]byte, error) {
	return readAs(filepath.Join(b.Dir, "oci", "blobs", "sha256", strings.TrimPrefix(i.Digest, "sha256:")), i.Digest)
}

func readAs(file, digest string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the bundle: %w", err)
	}
	if got := textDigest(text); got != digest {
		return nil, fmt.Errorf("the bundle is damaged: %s must have digest %s and has %s; build or copy it again", file, digest, got)
	}
	return text, nil
}

// CNI are the paths of the bundle's CNI plugins.
func (b *Bundle) CNI() []string {
	var out []string
	for _, f := range b.Index.Files {
		if f.Kind == "file" && strings.HasPrefix(f.Path, "cni/") {
			out = append(out, filepath.Join(b.Dir, "files", filepath.FromSlash(f.Path)))
		}
	}
	return out
}

// Image is the image with that name ("etcd"); the error says that there is none.
func (b *Bundle) Image(name string) (IndexImage, error) {
	for _, i := range b.Index.Images {
		if i.Name == name {
			return i, nil
		}
	}
	return IndexImage{}, fmt.Errorf("the bundle has no image %q", name)
}

// ChartValues are what a manifest's chart was rendered with, from the lock that the bundle was made from; nil if it has
// none.
func (b *Bundle) ChartValues(name string) (map[string]any, error) {
	if b.lock == nil {
		file := filepath.Join(b.Dir, lockFile)
		text, err := readAs(file, b.Index.LockDigest)
		if err != nil {
			return nil, err
		}
		if b.lock, err = ParseLock(file, text); err != nil {
			return nil, fmt.Errorf("the bundle's lock: %w", err)
		}
	}
	for _, m := range b.lock.Manifests {
		if m.Name == name && m.Chart != nil {
			return m.Chart.Values, nil
		}
	}
	return nil, nil
}

// Images opens the bundle's image layout.
func (b *Bundle) Images() (*registry.Layout, error) {
	return registry.Open(filepath.Join(b.Dir, "oci"))
}

// WriteImages writes images (all, if none is named) as the tar that "ctr images import -" reads.
func (b *Bundle) WriteImages(w io.Writer, references ...string) error {
	layout, err := b.Images()
	if err != nil {
		return err
	}
	return layout.Archive(w, references...)
}

// Verify reads all of the bundle and compares it with its list, and the list with a lock if there is one. The error has
// all that is wrong.
func (b *Bundle) Verify(lock *Lock) error {
	var problems []error
	for _, f := range b.Index.Files {
		got, _, err := fileDigest(filepath.Join(b.Dir, "files", filepath.FromSlash(f.Path)))
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("%s %s: %w", f.Kind, f.Name, err))
		case got != f.Digest:
			problems = append(problems, fmt.Errorf("%s %s is damaged: files/%s must have digest %s and has %s", f.Kind, f.Name, f.Path, f.Digest, got))
		}
	}
	problems = append(problems, b.verifyCatalogue()...)
	problems = append(problems, b.strangers()...)
	layout, err := b.Images()
	if err != nil {
		return errors.Join(append(problems, err)...)
	}
	have, err := layout.Verify()
	if err != nil {
		problems = append(problems, err)
	}
	for _, h := range have {
		if !slices.ContainsFunc(b.Index.Images, func(i IndexImage) bool { return h.Reference == i.Reference && h.Digest == i.Digest }) {
			problems = append(problems, fmt.Errorf("image %s with digest %s is not in the list", h.Reference, h.Digest))
		}
	}
	for _, i := range b.Index.Images {
		if err == nil && !slices.ContainsFunc(have, func(h registry.Image) bool { return h.Reference == i.Reference && h.Digest == i.Digest }) {
			problems = append(problems, fmt.Errorf("image %s: %s with digest %s is missing", i.Name, i.Reference, i.Digest))
		}
	}
	if lock != nil {
		problems = append(problems, b.compare(lock)...)
	}
	return errors.Join(problems...)
}

// compare finds what the lock has otherwise. A downloaded artefact has its own digest; only what is in it is compared.
func (b *Bundle) compare(lock *Lock) []error {
	have := map[string]string{}
	for _, f := range b.Index.Files {
		have[f.Kind+" "+f.Name] = f.Version + " " + f.Digest
	}
	for _, i := range b.Index.Images {
		have["image "+i.Name] = i.Version + " " + i.Digest
	}
	var groups []string // of which it has something; it may be without the others
	for _, f := range b.Index.Files {
		groups = append(groups, f.Group)
	}
	for _, i := range b.Index.Images {
		groups = append(groups, i.Group)
	}
	var problems []error
	lock.every(groups, func(kind string, a *Artefact) {
		key := kind + " " + a.Name
		version, digest, ok := strings.Cut(have[key], " ")
		switch {
		case !ok && slices.Contains(b.Index.LeftOut, key):
		case !ok:
			problems = append(problems, fmt.Errorf("%s is in the lock and not in the bundle", key))
		case version != a.Version:
			problems = append(problems, fmt.Errorf("%s is %s in the lock and %s in the bundle", key, a.Version, version))
		case digest != a.Digest && digest != a.URLDigest && !slices.Contains(b.Index.Unlocked, key):
			problems = append(problems, fmt.Errorf("%s has digest %s in the lock and %s in the bundle", key, a.Digest, digest))
		}
	})
	return problems
}
