package bundle

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// Deployable reads what a bundle has, as a deployment takes it.
func (b *Bundle) Deployable() (site.Bundle, error) {
	files := map[string]string{} // by digest
	out := site.Bundle{Versions: map[string]string{}, Catalogue: map[string]string{}}
	for _, f := range b.Index.Files {
		path := filepath.Join(b.Dir, "files", filepath.FromSlash(f.Path))
		files[f.Digest] = path
		if err := addFile(&out, b, f); err != nil {
			return out, err
		}
	}
	if err := addImages(&out, b, files); err != nil {
		return out, err
	}
	out.Digests = slices.Sorted(maps.Keys(files))
	out.Open = func(digest string) (io.ReadCloser, error) {
		path, ok := files[digest]
		if !ok {
			return nil, fmt.Errorf("the bundle has nothing with digest %s", digest)
		}
		return os.Open(path)
	}
	return out, nil
}

func addFile(out *site.Bundle, b *Bundle, f IndexFile) error {
	switch f.Kind {
	case "manifest":
		text, err := b.Read(f)
		if err != nil {
			return err
		}
		values, err := b.ChartValues(f.Name)
		if err != nil {
			return err
		}
		out.Components = append(out.Components, site.Component{Name: f.Name, Manifest: text, Values: values})
		out.Versions[f.Name] = strings.TrimPrefix(f.Version, "v")
	default:
		path, release := f.Path, ""
		if f.Release != "" {
			path, release = strings.TrimPrefix(path, "releases/"+f.Release+"/"), strings.TrimPrefix(f.Release, "v")
		}
		dir, name, _ := strings.Cut(path, "/")
		if dir == "addons" {
			out.Catalogue[name] = f.Digest
			return nil
		}
		at, ok := map[string]string{"bin": "/usr/bin/", "cni": "/opt/cni/bin/"}[dir]
		if !ok {
			return nil // for somebody else
		}
		if release != "" {
			of := releaseOf(out, release)
			of.Programs = append(of.Programs, site.Program{Name: strings.TrimSuffix(f.Name, "-"+f.Release), Path: at + name, Digest: f.Digest})
			return nil
		}
		out.Programs = append(out.Programs, site.Program{Name: f.Name, Path: at + name, Digest: f.Digest})
		if f.Name == "kubeadm" {
			out.Versions["kubernetes"] = strings.TrimPrefix(f.Version, "v")
		}
	}
	return nil
}

// releaseOf is where a further release of Kubernetes is gathered.
func releaseOf(out *site.Bundle, version string) *site.Release {
	i := slices.IndexFunc(out.Releases, func(r site.Release) bool { return r.Version == version })
	if i < 0 {
		i, out.Releases = len(out.Releases), append(out.Releases, site.Release{Version: version})
	}
	return &out.Releases[i]
}

// addImages reads each image's manifest, for the blobs that a node needs of it.
func addImages(out *site.Bundle, b *Bundle, files map[string]string) error {
	for _, i := range b.Index.Images {
		blob := func(digest string) string {
			return filepath.Join(b.Dir, "oci", "blobs", "sha256", strings.TrimPrefix(digest, "sha256:"))
		}
		text, err := b.ReadManifest(i)
		if err != nil {
			return fmt.Errorf("image %s: %w", i.Reference, err)
		}
		var m struct {
			MediaType string `json:"mediaType"`
			Config    struct {
				Digest string `json:"digest"`
			} `json:"config"`
			Layers []struct {
				Digest string `json:"digest"`
			} `json:"layers"`
		}
		if err := json.Unmarshal(text, &m); err != nil {
			return fmt.Errorf("read the bundle's image %s: %w", i.Reference, err)
		}
		img := host.Image{Ref: i.Reference, Manifest: i.Digest, Size: int64(len(text)), MediaType: m.MediaType, Blobs: []string{i.Digest, m.Config.Digest}}
		for _, l := range m.Layers {
			if !slices.Contains(img.Blobs, l.Digest) {
				img.Blobs = append(img.Blobs, l.Digest)
			}
		}
		for _, d := range img.Blobs {
			files[d] = blob(d)
		}
		if i.Release != "" {
			of := releaseOf(out, strings.TrimPrefix(i.Release, "v"))
			of.Images = append(of.Images, img)
			continue
		}
		out.Images = append(out.Images, img)
		tag := i.Reference[strings.LastIndexByte(i.Reference, ':')+1:]
		switch i.Name {
		case "etcd", "coredns":
			out.Versions[i.Name+"-tag"] = tag
		case "pause":
			out.Versions["pause-image"] = i.Reference
		}
	}
	return nil
}
