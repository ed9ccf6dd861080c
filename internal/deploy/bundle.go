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
	// Catalogue is what Magnum's server installs into workload clusters: digests by path.
	Catalogue map[string]string
	// Open opens a blob by digest.
	Open func(digest string) (io.ReadCloser, error)
}

// Decide gives the configuration with the bundle's versions: a deployment installs what the bundle has. Notes say where the
// configuration asks for something older, which is what operators have from the time of another bundle. What is newer than the
// bundle cannot be given and is refused; strict refuses every difference.
func (b Bundle) Decide(in intent.Intent, strict bool) (intent.Intent, []string, error) {
	var errs []error
	var notes []string
	for _, v := range []struct {
		name, variable, path string
		asked                string
		give                 []*string
	}{
		{"kubernetes", "kubernetes_version", "versions.kubernetes", in.Versions.Kubernetes, []*string{&in.Versions.Kubernetes}},
		{
			"cluster-api", "cluster_api_version", "versions.clusterAPI", in.Versions.ClusterAPI,
			[]*string{&in.Versions.ClusterAPI, &in.ClusterAPI.CoreVersion, &in.ClusterAPI.BootstrapVersion, &in.ClusterAPI.ControlPlaneVersion},
		},
		{
			"cluster-api-openstack", "cluster_api_infrastructure_version", "versions.clusterAPIProviderOpenStack", in.Versions.ClusterAPIProviderOpenStack,
			[]*string{&in.Versions.ClusterAPIProviderOpenStack, &in.ClusterAPI.InfrastructureVersion},
		},
	} {
		have, pos := b.Versions[v.name], in.Origin(v.path).Pos
		switch {
		case have == v.asked:
		case have == "" || strict || older(have, v.asked):
			errs = append(errs, fmt.Errorf("the configuration asks for %s %s (%s), the bundle has %s: set %s, or build a bundle with that version", v.name, v.asked, v.variable, or(have, "none"), v.variable))
		default:
			where := ""
			if pos.File != "" {
				where = pos.String() + ": "
			}
			notes = append(notes, fmt.Sprintf("%snote: %s is %s, and the bundle's %s %s is what will be installed: set %s to it [bundle-newer]", where, v.variable, v.asked, v.name, have, v.variable))
		}
		if have != "" {
			for _, to := range v.give {
				*to = have
			}
		}
	}
	return in, notes, errors.Join(append(errs, ciliumFits(in, b)...)...)
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
