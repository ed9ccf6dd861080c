package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
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
	// Open opens a blob by digest.
	Open func(digest string) (io.ReadCloser, error)
}

// Fits says whether the bundle has what the configuration asks for. A deployment installs what the bundle has, so the two must
// agree; none of them is bent.
func (b Bundle) Fits(in intent.Intent) error {
	var errs []error
	for _, v := range []struct{ name, variable, want string }{
		{"kubernetes", "kubernetes_version", in.Versions.Kubernetes},
		{"cluster-api", "cluster_api_version", in.Versions.ClusterAPI},
		{"cluster-api-openstack", "cluster_api_infrastructure_version", in.Versions.ClusterAPIProviderOpenStack},
	} {
		if have := b.Versions[v.name]; have != v.want {
			errs = append(errs, fmt.Errorf("the configuration asks for %s %s (%s), the bundle has %s: set %s, or build a bundle with that version", v.name, v.want, v.variable, or(have, "none"), v.variable))
		}
	}
	return errors.Join(append(errs, ciliumFits(in, b)...)...)
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

// Agent is a host's agent, as a deployment uses it. The one implementation is remote.Conn; tests have others.
type Agent interface {
	Name() string
	Call(ctx context.Context, container, op string, in, out any, event func(json.RawMessage)) error
	Upload(ctx context.Context, digest string, r io.Reader) error
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	Close() error
}
