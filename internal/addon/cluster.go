package addon

import (
	"log/slog"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

// Network drivers, as cluster templates name them (Magnum 1.14: network_driver).
const (
	Calico = "calico"
	Cilium = "cilium"
)

// Cluster is what is known of the cluster that addons are for.
type Cluster struct {
	UUID          string
	Stack         string // name of the Cluster API Cluster
	ProjectID     string
	Labels        label.Values
	NetworkDriver string // calico or cilium
	Kubernetes    string // that was asked for: "v1.36.4"
	Running       Running
	Installed     map[string]string // addon -> version that is installed; an addon that waits for its turn keeps it
	Masters       int               // nodes of the control plane
	// APIHost and APIPort are the API server as nodes reach it. What makes nodes usable must not wait for kube-proxy,
	// which waits for it.
	APIHost string
	APIPort int32
	Cloud   Cloud
	Home    Home
	// KeystonePolicy is the operator's policy of Keystone's webhook, JSON in which $PROJECT_ID stands for the project;
	// empty: ours.
	KeystonePolicy string
}

// Home is the management cluster, as far as a cluster has something in it that runs.
type Home struct {
	RunsPods         bool // it has nodes, and not just an API server
	Namespace        string
	KubeconfigSecret string // of the workload cluster
	KubeconfigDigest string // of what is in it: who has read it starts anew when it is renewed
	Repository       string // where the autoscaler's images come from, "" for upstream's: [auto_scaling] image_repository
}

// Cloud is how the cluster's own controllers reach the OpenStack it lives in, and what there is.
type Cloud struct {
	AuthURL           string // Keystone's, as nodes reach it
	Region            string
	ID, Secret        string // application credential
	CA                []byte // PEM of authorities; empty: the system's
	Insecure          bool   // certificates are not verified: [drivers] verify_ca
	ExternalNetworkID string // where floating addresses of Services come from; empty: the only one there is
	LoadBalancers     bool   // there is an Octavia
	Volumes           bool   // there is a Cinder
	VolumeTypes       []VolumeType
	Shares            bool     // there is a Manila
	ShareTypes        []string // names
}

// VolumeType is one of Cinder's volume types.
type VolumeType struct {
	Name    string
	Default bool
}

// String names the credential and not its secret.
func (c Cloud) String() string {
	return "cloud at " + c.AuthURL + " with application credential " + c.ID
}

// GoString is String: %#v must not show the secret either.
func (c Cloud) GoString() string { return c.String() }

// LogValue is String for log/slog.
func (c Cloud) LogValue() slog.Value { return slog.StringValue(c.String()) }

// mirror is the registry path that all images come from; empty: upstream's registries.
func (c Cluster) mirror() string { return c.Labels.String(label.ContainerInfraPrefix) }

// podRange is the pods' addresses.
func (c Cluster) podRange() string { return c.Labels.String(label.Pool(c.NetworkDriver)) }
