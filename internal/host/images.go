package host

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Images are what containerd must hold, by reference. They are imported from the store and pinned: kubelet's garbage
// collection must not take an image that cannot be pulled again.
type Images struct {
	Images []Image `json:"images"`
}

// Image is one of them.
type Image struct {
	Ref string `json:"ref"`
	// Manifest is the digest of its manifest (or index); Size and MediaType are the manifest's.
	Manifest  string `json:"manifest"`
	Size      int64  `json:"size"`
	MediaType string `json:"mediaType"`
	// Blobs are everything the manifest refers to, and the manifest itself.
	Blobs []string `json:"blobs"`
}

const containerdNamespace = "k8s.io"

func (i *Images) blobs() []string {
	set := map[string]bool{}
	for _, img := range i.Images {
		for _, b := range img.Blobs {
			set[b] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

func (i *Images) thing(plan.Facts) plan.Thing {
	t := plan.Thing{Kind: "images", Name: "containerd", Want: plan.Facts{}}
	for _, img := range i.Images {
		t.Want[img.Ref] = strings.TrimPrefix(img.Manifest, "sha256:")[:12]
	}
	return t
}

func (i *Images) observe(ctx context.Context, m *Machine) (plan.Facts, error) {
	all, err := containerdImages(ctx, m)
	if err != nil || all == nil {
		return nil, err
	}
	have := plan.Facts{}
	for ref, img := range all {
		have[ref] = strings.TrimPrefix(img.digest, "sha256:")[:12]
		switch {
		case !img.pinned:
			have[ref] += " not pinned"
		case !img.brought:
			have[ref] += " not known as ours"
		}
	}
	return have, nil
}

// The labels of an image: kubelet's garbage collection leaves one that is pinned (containerd: internal/cri/labels), and
// one that a deployment has brought is known again when it is not wanted any more.
const (
	pinnedKey   = "io.cri-containerd.pinned"
	pinnedLabel = pinnedKey + "=pinned"
	ourLabel    = "jeroboam/brought=yes"
)

// containerdImage is an image that containerd has.
type containerdImage struct {
	digest          string
	pinned, brought bool
}

// containerdImages are those that containerd has, by reference; nil if it does not run.
func containerdImages(ctx context.Context, m *Machine) (map[string]containerdImage, error) {
	if !m.exists("/usr/bin/ctr") || !m.exists("/run/containerd/containerd.sock") {
		return nil, nil
	}
	out, err := m.run(ctx, "ctr", "-n", containerdNamespace, "images", "ls")
	if err != nil {
		return nil, err
	}
	all := map[string]containerdImage{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 3 || !isDigest.MatchString(f[2]) {
			continue
		}
		labels := strings.Split(f[len(f)-1], ",")
		all[f[0]] = containerdImage{digest: f[2], pinned: slices.Contains(labels, pinnedLabel), brought: slices.Contains(labels, ourLabel)}
	}
	return all, nil
}

// ensure hands containerd one archive with the images it lacks, made on the way from the store. An image is unpacked
// when the first container of it starts: a node runs few of them.
func (i *Images) ensure(ctx context.Context, m *Machine) error {
	have, err := i.observe(ctx, m)
	if err != nil {
		return err
	}
	var lacking []Image
	for _, img := range i.Images {
		if !strings.HasPrefix(have[img.Ref], strings.TrimPrefix(img.Manifest, "sha256:")[:12]) {
			lacking = append(lacking, img)
		}
	}
	if len(lacking) > 0 {
		r, w := io.Pipe()
		go func() { _ = w.CloseWithError(writeLayout(m, w, lacking)) }() // the reader gets the error
		_, err := m.Exec(ctx, Command{
			Args:    []string{"ctr", "-n", containerdNamespace, "images", "import", "--local", "--all-platforms", "--no-unpack", "--digests=false", "-"},
			Timeout: 20 * time.Minute, input: r,
		})
		_ = r.CloseWithError(io.ErrClosedPipe) // ends the writer if ctr ended early
		if err != nil {
			return err
		}
	}
	for _, img := range i.Images {
		if have[img.Ref] == strings.TrimPrefix(img.Manifest, "sha256:")[:12] {
			continue
		}
		if _, err := m.run(ctx, "ctr", "-n", containerdNamespace, "images", "label", img.Ref, pinnedLabel, ourLabel); err != nil {
			return err
		}
	}
	return nil
}

// writeLayout writes an OCI image layout as a tar.
func writeLayout(m *Machine, w io.Writer, images []Image) error {
	t := tar.NewWriter(w)
	type descriptor struct {
		MediaType   string            `json:"mediaType"`
		Digest      string            `json:"digest"`
		Size        int64             `json:"size"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	index := struct {
		SchemaVersion int          `json:"schemaVersion"`
		Manifests     []descriptor `json:"manifests"`
	}{SchemaVersion: 2}
	for _, img := range images {
		index.Manifests = append(index.Manifests, descriptor{
			MediaType: img.MediaType, Digest: img.Manifest, Size: img.Size,
			Annotations: map[string]string{"io.containerd.image.name": img.Ref, "org.opencontainers.image.ref.name": img.Ref},
		})
	}
	text, err := json.Marshal(index)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": string(text)} {
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		if _, err := io.WriteString(t, content); err != nil {
			return err
		}
	}
	for _, d := range (&Images{Images: images}).blobs() {
		if err := writeBlob(m, t, d); err != nil {
			return fmt.Errorf("image blob %s: %w", d, err)
		}
	}
	return t.Close()
}

func writeBlob(m *Machine, t *tar.Writer, digest string) error {
	f, err := openBlob(m, digest)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	name := "blobs/sha256/" + strings.TrimPrefix(digest, "sha256:")
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}
