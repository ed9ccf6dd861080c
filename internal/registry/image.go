package registry

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"unicode"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// File is one file of an image that is made here.
type File struct {
	Path   string // absolute, in the image
	Source string // the file on disk whose content it has
	Link   string // or the target of a symbolic link
	Mode   os.FileMode
	// Directory is an empty directory in its place, which every user may write to, as /tmp.
	Directory bool
}

// Spec is an image made of files, without a base.
type Spec struct {
	Files      []File
	Entrypoint []string
	Command    []string // arguments of the entrypoint that a pod may replace
	User       string   // "65532:65532"; "" is root
	Platform   string   // "linux/amd64"
	Labels     map[string]string
}

// Build makes an image of one uncompressed layer. Its digest depends on the contents and nothing else: no times, no
// owners, no order of a directory, no compressor. layerFile is where the layer is kept while the image is used.
func Build(s Spec, layerFile string) (v1.Image, error) {
	layer, err := writeLayer(s.Files, layerFile)
	if err != nil {
		return nil, err
	}
	system, arch, _ := strings.Cut(s.Platform, "/")
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(base, layer)
	if err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = system, arch
	config.History = nil
	config.Config = v1.Config{
		Entrypoint: s.Entrypoint, Cmd: s.Command, User: s.User, Labels: s.Labels,
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}
	img, err = mutate.ConfigFile(img, config)
	if err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	return img, nil
}

// fileLayer is a layer that is an uncompressed tar on disk.
type fileLayer struct {
	file string
	hash v1.Hash
	size int64
}

func (l fileLayer) Digest() (v1.Hash, error)             { return l.hash, nil }
func (l fileLayer) DiffID() (v1.Hash, error)             { return l.hash, nil }
func (l fileLayer) Compressed() (io.ReadCloser, error)   { return os.Open(l.file) }
func (l fileLayer) Uncompressed() (io.ReadCloser, error) { return os.Open(l.file) }
func (l fileLayer) Size() (int64, error)                 { return l.size, nil }
func (l fileLayer) MediaType() (types.MediaType, error)  { return types.OCIUncompressedLayer, nil }

func writeLayer(files []File, layerFile string) (layer fileLayer, err error) {
	out, err := os.Create(layerFile)
	if err != nil {
		return layer, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := tar.NewWriter(out)
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	dirs := map[string]bool{"/": true}
	for _, f := range files {
		if err := writeParents(w, f.Path, dirs); err != nil {
			return layer, err
		}
		if err := writeFile(w, f); err != nil {
			return layer, fmt.Errorf("layer: %s: %w", f.Path, err)
		}
	}
	if err := w.Close(); err != nil {
		return layer, err
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return layer, err
	}
	hash, size, err := v1.SHA256(out)
	return fileLayer{file: layerFile, hash: hash, size: size}, err
}

func writeParents(w *tar.Writer, file string, done map[string]bool) error {
	dir := path.Dir(file)
	if done[dir] {
		return nil
	}
	if err := writeParents(w, dir, done); err != nil {
		return err
	}
	done[dir] = true
	mode := int64(0o755)
	if dir == "/tmp" {
		mode = forEverybody
	}
	return w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(dir, "/") + "/", Mode: mode, Typeflag: tar.TypeDir, Format: formatFor(dir)})
}

// forEverybody is the mode of directories that every user may write to.
const forEverybody = 0o1777

func writeFile(w *tar.Writer, f File) error {
	name := strings.TrimPrefix(f.Path, "/")
	if f.Directory {
		return w.WriteHeader(&tar.Header{Name: name + "/", Mode: forEverybody, Typeflag: tar.TypeDir, Format: formatFor(name)})
	}
	if f.Link != "" {
		return w.WriteHeader(&tar.Header{Name: name, Linkname: f.Link, Mode: 0o777, Typeflag: tar.TypeSymlink, Format: formatFor(name + f.Link)})
	}
	in, err := os.Open(f.Source)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	info, err := in.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: name, Mode: int64(f.Mode.Perm()), Size: info.Size(), Typeflag: tar.TypeReg, Format: formatFor(name)}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return err
}

// formatFor is the oldest format that can have a name: what has once been built stays as it is. Debian's
// ca-certificates has names that are not ASCII.
func formatFor(name string) tar.Format {
	if strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) {
		return tar.FormatPAX
	}
	return tar.FormatUSTAR
}
