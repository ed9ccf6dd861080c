package registry

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
)

// The annotations under which containerd's importer, and everybody else, look for an image's name.
const (
	annotationName = "io.containerd.image.name"
	annotationRef  = "org.opencontainers.image.ref.name"
)

// Layout is an OCI image layout in a directory.
type Layout struct {
	dir  string
	path layout.Path
}

// Image is one entry of a layout.
type Image struct {
	Reference string `json:"reference"` // full: registry, repository, tag
	Digest    string `json:"digest"`    // of the manifest, "sha256:..."
	Size      int64  `json:"size"`      // bytes of manifest, configuration and layers
}

// Create opens the layout in dir, and makes it first if there is none.
func Create(dir string) (*Layout, error) {
	if l, err := Open(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return l, err
	}
	path, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("make image layout: %w", err)
	}
	return &Layout{dir: dir, path: path}, nil
}

// Open opens the layout in dir. The error is fs.ErrNotExist if there is none.
func Open(dir string) (*Layout, error) {
	if _, err := os.Stat(filepath.Join(dir, "index.json")); err != nil {
		return nil, fmt.Errorf("image layout: %w", err)
	}
	path, err := layout.FromPath(dir)
	if err != nil {
		return nil, fmt.Errorf("image layout: %w", err)
	}
	return &Layout{dir: dir, path: path}, nil
}

// CheckReference says what is wrong with an image's full reference: registry, repository and tag must all be there.
func CheckReference(reference string) error {
	tag, err := name.NewTag(reference, name.StrictValidation)
	if err != nil {
		return err
	}
	if tag.Name() != reference {
		return fmt.Errorf("%s must be written in full: %s", reference, tag.Name())
	}
	return nil
}

// Put stores an image under its reference; an image that had it before loses it.
func (l *Layout) Put(reference string, img v1.Image) error {
	tag, err := name.NewTag(reference, name.StrictValidation)
	if err != nil {
		return err
	}
	err = l.path.ReplaceImage(img, match.Annotation(annotationName, reference), layout.WithAnnotations(map[string]string{
		annotationName: reference, annotationRef: tag.TagStr(),
	}))
	if err != nil {
		return fmt.Errorf("store image %s: %w", reference, err)
	}
	return nil
}

// Keep removes all images but those with the given references, and every blob that no image needs.
func (l *Layout) Keep(references []string) error {
	err := l.path.RemoveDescriptors(func(d v1.Descriptor) bool {
		return !slices.Contains(references, d.Annotations[annotationName])
	})
	if err != nil {
		return fmt.Errorf("image layout: %w", err)
	}
	unused, err := l.path.GarbageCollect()
	if err != nil {
		return fmt.Errorf("image layout: %w", err)
	}
	for _, h := range unused {
		if err := l.path.RemoveBlob(h); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("image layout: %w", err)
		}
	}
	return l.readable()
}

// readable lets everybody read the blobs: there is no secret in them, and who serves them need not be root.
func (l *Layout) readable() error {
	return filepath.WalkDir(filepath.Join(l.dir, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o644)
	})
}

// descriptors are the layout's entries that have a name.
func (l *Layout) descriptors() ([]v1.Descriptor, error) {
	index, err := l.path.ImageIndex()
	if err != nil {
		return nil, fmt.Errorf("image layout: %w", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("image layout: %w", err)
	}
	return slices.DeleteFunc(slices.Clone(manifest.Manifests), func(d v1.Descriptor) bool {
		return d.Annotations[annotationName] == ""
	}), nil
}

// Images lists what the layout has, by name.
func (l *Layout) Images() ([]Image, error) {
	descriptors, err := l.descriptors()
	if err != nil {
		return nil, err
	}
	var out []Image
	for _, d := range descriptors {
		blobs, err := l.blobs(d)
		if err != nil {
			return nil, err
		}
		img := Image{Reference: d.Annotations[annotationName], Digest: d.Digest.String()}
		for _, b := range blobs {
			img.Size += b.Size
		}
		out = append(out, img)
	}
	slices.SortFunc(out, func(a, b Image) int { return strings.Compare(a.Reference, b.Reference) })
	return out, nil
}

// blobs are the descriptors of all an image consists of: manifest, configuration, layers.
func (l *Layout) blobs(d v1.Descriptor) ([]v1.Descriptor, error) {
	text, err := l.path.Bytes(d.Digest)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", d.Annotations[annotationName], err)
	}
	var m v1.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("image %s: manifest: %w", d.Annotations[annotationName], err)
	}
	return append([]v1.Descriptor{d, m.Config}, m.Layers...), nil
}

// Verify reads every blob of every image and compares it with its digest. It returns all that is wrong.
func (l *Layout) Verify() ([]Image, error) {
	descriptors, err := l.descriptors()
	if err != nil {
		return nil, err
	}
	var problems []error
	seen := map[string]bool{}
	for _, d := range descriptors {
		blobs, err := l.blobs(d)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		for _, b := range blobs {
			if seen[b.Digest.String()] {
				continue
			}
			seen[b.Digest.String()] = true
			if err := l.verifyBlob(b); err != nil {
				problems = append(problems, fmt.Errorf("image %s: %w", d.Annotations[annotationName], err))
			}
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return l.Images()
}

func (l *Layout) verifyBlob(d v1.Descriptor) error {
	f, err := l.path.Blob(d.Digest)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	got, n, err := v1.SHA256(f)
	if err != nil {
		return err
	}
	if got != d.Digest || n != d.Size {
		return fmt.Errorf("blob %s of %d bytes is damaged: it has digest %s and %d bytes", d.Digest, d.Size, got, n)
	}
	return nil
}

// Archive writes the images with the given references (all, if there are none) as a tar of an OCI image layout, which
// is what "ctr images import -" reads. The same images give the same bytes.
func (l *Layout) Archive(w io.Writer, references ...string) error {
	all, err := l.descriptors()
	if err != nil {
		return err
	}
	chosen := all
	if len(references) > 0 {
		chosen = nil
		for _, r := range references {
			i := slices.IndexFunc(all, func(d v1.Descriptor) bool { return d.Annotations[annotationName] == r })
			if i < 0 {
				return fmt.Errorf("there is no image %s here", r)
			}
			chosen = append(chosen, all[i])
		}
	}
	index, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: "application/vnd.oci.image.index.v1+json", Manifests: chosen})
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	if err := writeEntry(out, "oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	if err := writeEntry(out, "index.json", index); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, d := range chosen {
		blobs, err := l.blobs(d)
		if err != nil {
			return err
		}
		for _, b := range blobs {
			if seen[b.Digest.Hex] {
				continue
			}
			seen[b.Digest.Hex] = true
			if err := l.archiveBlob(out, b); err != nil {
				return fmt.Errorf("image %s: %w", d.Annotations[annotationName], err)
			}
		}
	}
	return out.Close()
}

func (l *Layout) archiveBlob(out *tar.Writer, d v1.Descriptor) error {
	f, err := l.path.Blob(d.Digest)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	err = out.WriteHeader(&tar.Header{Name: "blobs/" + d.Digest.Algorithm + "/" + d.Digest.Hex, Mode: 0o644, Size: d.Size, Typeflag: tar.TypeReg})
	if err != nil {
		return err
	}
	_, err = io.Copy(out, f)
	return err
}

func writeEntry(out *tar.Writer, name string, text []byte) error {
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err := out.Write(text)
	return err
}
