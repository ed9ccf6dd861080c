package main

import (
	"context"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/jeroboam-cloud/jeroboam/internal/registry"
)

// image makes an OCI image of jeroboam for all architectures, as a layout that skopeo, crane and containerd read. There
// is nothing in it but the program: authorities of the cloud's TLS are the operator's to mount.
func (r *release) image(context.Context) error {
	if !slices.Contains(r.programs, "jeroboam") {
		return nil
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range r.arches {
		img, err := registry.Build(registry.Spec{
			Files:      []registry.File{{Path: "/usr/bin/jeroboam", Source: r.binary("jeroboam", arch), Mode: 0o755}},
			Entrypoint: []string{"/usr/bin/jeroboam"}, User: "65532:65532", Platform: "linux/" + arch,
			Labels: map[string]string{
				"org.opencontainers.image.source":  "https://github.com/jeroboam-cloud/jeroboam",
				"org.opencontainers.image.version": r.commit.version,
			},
		}, r.work("layer-"+arch))
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	whole := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add: index, Descriptor: v1.Descriptor{Annotations: map[string]string{"org.opencontainers.image.ref.name": r.commit.version}},
	})
	dir := r.work("oci")
	if _, err := layout.Write(dir, whole); err != nil {
		return fmt.Errorf("write the layout: %w", err)
	}
	return r.pack(dir, r.name("jeroboam", "multiarch", ".oci.tar"))
}
