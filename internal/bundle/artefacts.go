package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/registry"
	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

func (b *builder) makeFiles(ctx context.Context) error {
	for i := range b.lock.Files {
		f := &b.lock.Files[i]
		if !chosen(f.Group, b.chosen) {
			continue
		}
		if err := b.makeFile(ctx, f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

func (b *builder) makeFile(ctx context.Context, f *File) error {
	began := b.Now()
	var file, how string
	var err error
	host := false
	if b.FromSource && f.Program != "" {
		file, how, err = b.make(ctx, f.Program)
		host = b.lock.program(f.Program).native()
	} else {
		file, how, err = b.download(ctx, f.Artefact, f.Member)
	}
	if err != nil {
		return err
	}
	digest, size, err := fileDigest(file)
	if err != nil {
		return err
	}
	want := f.Digest
	if !b.FromSource || f.Program == "" {
		want = digest // download has compared it
	}
	if err := b.settle("file", f.Name, f.Version, how, want, digest, began, host); err != nil {
		return err
	}
	return b.place(file, IndexFile{Name: f.Name, Kind: "file", Version: f.Version, Path: f.Path, Digest: digest, Size: size, Group: f.Group, Release: f.release}, 0o755)
}

func (p *Program) native() bool { return p.Cgo || p.C != "" }

// place puts a file into the bundle, if it is not there already, and into the list.
func (b *builder) place(file string, entry IndexFile, mode fs.FileMode) error {
	b.index.Files = append(b.index.Files, entry)
	target := b.files(filepath.FromSlash(entry.Path))
	if digest, _, err := fileDigest(target); err == nil && digest == entry.Digest {
		return os.Chmod(target, mode)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return copyFile(file, target, mode)
}

func copyFile(from, to string, mode fs.FileMode) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	out, err := whole.Create(to)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }() // renamed if all went well
	if _, err = io.Copy(out, in); err == nil {
		err = out.Chmod(mode)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return whole.Name(out.Name(), to)
}

func fileDigest(file string) (digest string, size int64, err error) {
	in, err := os.Open(file)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = in.Close() }() // only read
	h := sha256.New()
	size, err = io.Copy(h, in)
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), size, err
}

func (b *builder) makeImages(ctx context.Context) error {
	for i := range b.lock.Images {
		img := &b.lock.Images[i]
		if !chosen(img.Group, b.chosen) {
			continue
		}
		if b.FromSource && img.skipped() {
			b.leaveOut("image", img.Name, img.Version, img.Unbuilt)
			continue
		}
		if err := b.makeImage(ctx, img); err != nil {
			return fmt.Errorf("%s: %w", img.Name, err)
		}
	}
	return nil
}

// skipped says whether a build from source has no way to the image.
func (i *Image) skipped() bool { return i.Unbuilt != "" && i.URLDigest == "" }

func (l *Lock) skips(image string) bool {
	return slices.ContainsFunc(l.Images, func(i Image) bool { return i.Name == image && i.skipped() })
}

// leaveOut tells that something is not in this bundle, and why.
func (b *builder) leaveOut(kind, name, version, reason string) {
	b.done++
	b.index.LeftOut = append(b.index.LeftOut, kind+" "+name)
	if b.Progress != nil {
		b.Progress(Event{Done: b.done, Total: b.total(), Kind: kind, Name: name, Version: version, How: "left out", Reason: reason})
	}
}

func (b *builder) makeImage(ctx context.Context, img *Image) error {
	began := b.Now()
	layer := filepath.Join(b.Dir, ".layer")
	defer func() { _ = os.Remove(layer) }() // it is in the layout
	var made v1.Image
	var how, want string
	var err error
	host := len(img.Packages) > 0
	if b.FromSource && img.buildable() {
		want = img.Digest
		for _, name := range img.Programs {
			host = host || b.lock.program(name).native()
		}
		made, how, err = b.assemble(ctx, img, layer)
	} else {
		want, how = "", "downloaded"
		made, err = registry.Pull(ctx, b.HTTP.Transport, img.Reference, img.URLDigest, b.lock.Platform)
	}
	if err != nil {
		return err
	}
	digest, err := made.Digest()
	if err != nil {
		return err
	}
	if how == "downloaded" {
		want = digest.String() // asked for by digest
	}
	if err := b.settle("image", img.Name, img.Version, how, want, digest.String(), began, host); err != nil {
		return err
	}
	if err := b.layout.Put(img.Reference, made); err != nil {
		return err
	}
	b.index.Images = append(b.index.Images, IndexImage{
		Name: img.Name, Version: img.Version, Reference: img.Reference, Aliases: img.Aliases, Digest: digest.String(), Group: img.Group, Release: img.release,
	})
	return nil
}

func (b *builder) assemble(ctx context.Context, img *Image, layer string) (v1.Image, string, error) {
	unpacked := filepath.Join(b.Dir, ".packages")
	defer func() { _ = os.RemoveAll(unpacked) }() // it is in the layer
	files, err := b.unpack(ctx, img, unpacked)
	if err != nil {
		return nil, "", err
	}
	for _, s := range img.Sources {
		more, err := b.sourceFiles(ctx, s)
		if err != nil {
			return nil, "", err
		}
		files = append(files, more...)
	}
	how := "cached"
	for _, at := range slices.Sorted(maps.Keys(img.Programs)) {
		file, done, err := b.make(ctx, img.Programs[at])
		if err != nil {
			return nil, "", err
		}
		if done == "built" {
			how = done
		}
		files = append(files, registry.File{Path: at, Source: file, Mode: 0o755})
	}
	for _, at := range slices.Sorted(maps.Keys(img.Links)) {
		files = append(files, registry.File{Path: at, Link: img.Links[at]})
	}
	for _, at := range img.Writable {
		files = append(files, registry.File{Path: at, Directory: true})
	}
	made, err := registry.Build(registry.Spec{
		Files: files, Entrypoint: img.Entrypoint, Command: img.Command, User: img.User, Platform: b.lock.Platform,
		Labels: map[string]string{"org.opencontainers.image.version": img.Version},
	}, layer)
	return made, how, err
}
