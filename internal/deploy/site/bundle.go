package site

import (
	"io"
	"slices"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// Bundle is what a deployment installs, all of it named by digest. A deployment fetches nothing else from anywhere.
type Bundle struct {
	// Programs are files of nodes.
	Programs []Program
	// Packages are Debian packages that nodes need.
	Packages []host.Package
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
	// Open opens a blob by digest.
	Open func(digest string) (io.ReadCloser, error)
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

// Cilium is the component that is the network of pods, where a bundle has it. Its DaemonSet and its other objects are named so.
const Cilium = "cilium"

// Has says whether a bundle has a component.
func (b Bundle) Has(component string) bool {
	return slices.ContainsFunc(b.Components, func(c Component) bool { return c.Name == component })
}
