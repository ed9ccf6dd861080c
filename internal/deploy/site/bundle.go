package site

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// Bundle is what a deployment installs, all of it named by digest. A deployment fetches nothing else from anywhere.
type Bundle struct {
	// Programs are files of nodes.
	Programs []Program
	// Images are what containerd is given.
	Images []host.Image
	// RootFS is the digest of an archive that new containers are made of; "" if the bundle has none.
	RootFS string
	// Components are manifests, in the order they are applied.
	Components []Component
	// Versions are by name: kubernetes, those of components, and kubeadm's tags (etcd-tag, coredns-tag, pause-image).
	Versions map[string]string
	// Catalogue is what Magnum's server installs into workload clusters: digests by path.
	Catalogue map[string]string
	// Releases are older releases of Kubernetes that a cluster goes through.
	Releases []Release
	// Digests are all that it has, those of its older releases among them.
	Digests []string
	// Open opens a blob by digest.
	Open func(digest string) (io.ReadCloser, error)
}

// Release is an older release of Kubernetes: what takes the place of the bundle's own.
type Release struct {
	Version  string // "1.35.4"
	Programs []Program
	Images   []host.Image
}

// Carries says of a version of Kubernetes that it is a release on the way, and not the bundle's own.
func (b Bundle) Carries(release string) bool {
	return slices.ContainsFunc(b.Releases, func(r Release) bool { return r.Version == release })
}

// With is the bundle with the Kubernetes of a release in place of its own. Programs take the place of those with their
// name, images of those of their repository.
func (b Bundle) With(release string) (Bundle, error) {
	i := slices.IndexFunc(b.Releases, func(r Release) bool { return r.Version == release })
	if i < 0 {
		return b, fmt.Errorf("the bundle carries no Kubernetes %s", release)
	}
	r := b.Releases[i]
	b.Programs, b.Images, b.Versions = slices.Clone(b.Programs), slices.Clone(b.Images), maps.Clone(b.Versions)
	for _, p := range r.Programs {
		at := slices.IndexFunc(b.Programs, func(own Program) bool { return own.Name == p.Name })
		if at < 0 {
			return b, fmt.Errorf("the bundle's Kubernetes %s has the program %s, and its own has none", release, p.Name)
		}
		b.Programs[at].Digest = p.Digest
	}
	for _, img := range r.Images {
		at := slices.IndexFunc(b.Images, func(own host.Image) bool { return host.Repository(own.Ref) == host.Repository(img.Ref) })
		if at < 0 {
			return b, fmt.Errorf("the bundle's Kubernetes %s has the image %s, and its own has none", release, img.Ref)
		}
		b.Images[at] = img
	}
	b.Versions["kubernetes"] = release
	return b, nil
}

// Program is a file of a node.
type Program struct {
	Name   string
	Path   string
	Digest string
}

// Component is a set of objects of the API server.
type Component struct {
	// Name is such as "cilium", "cert-manager", "cluster-api".
	Name string
	// Manifest is YAML.
	Manifest []byte
	// Values are those its chart was rendered with, nil if it has none.
	Values map[string]any
}

// Cilium is the component that is the network of pods, where a bundle has it. Its DaemonSet and its other objects are
// named so.
const Cilium = "cilium"

// Has says whether a bundle has a component.
func (b Bundle) Has(component string) bool {
	return slices.ContainsFunc(b.Components, func(c Component) bool { return c.Name == component })
}
