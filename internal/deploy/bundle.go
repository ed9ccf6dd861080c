package deploy

import (
	"context"
	"io"

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
	// Versions are by name: kubernetes, etcd, coredns, pause, cluster-api, ...
	Versions map[string]string
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
}

// Agent is a host's agent, as a deployment uses it. The one implementation is remote.Conn; tests have others.
type Agent interface {
	Name() string
	Call(ctx context.Context, container, op string, in, out any, event func([]byte)) error
	Upload(ctx context.Context, digest string, r io.Reader) error
	Close() error
}
