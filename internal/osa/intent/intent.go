package intent

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// Intent is everything an operator asks for. It is a value: pure data, the same for the same files.
type Intent struct {
	// Directory is the operator's directory.
	Directory string `json:"directory"`
	// Release is the OpenStack-Ansible release, such as "30.1.5" or "33 or newer".
	Release string `json:"release"`
	// Generation says which playbooks the configuration was written for; defaults that the operator did not touch are
	// theirs.
	Generation Generation `json:"generation"`
	// Drawn are containers that are not in openstack_inventory.json yet: their names and addresses were drawn for this run
	// and will be others in the next one, until "jeroboam inventory --write". Nothing may be deployed before.
	Drawn []string `json:"drawn"`
	// NeedFacts are hosts and containers whose facts a variable needs and nobody gathered. Fields that stand on them have
	// defaults; gather the facts and read again with Options.HostFacts.
	NeedFacts []string `json:"needFacts"`

	VIPs VIPs `json:"vips"`
	// Hosts are the physical hosts on which something is done, in the order of the inventory.
	Hosts []Host `json:"hosts"`
	// Nodes are the members of the management cluster's control plane, in the order of the group k8s_all: the first one
	// bootstraps a cluster that does not exist yet.
	Nodes []Node `json:"nodes"`

	Network    Network    `json:"network"`
	Versions   Versions   `json:"versions"`
	Kubernetes Kubernetes `json:"kubernetes"`
	CustomCA   CustomCA   `json:"customCA"`
	Containerd Containerd `json:"containerd"`
	Cilium     Cilium     `json:"cilium"`
	Helm       Helm       `json:"helm"`
	ClusterAPI ClusterAPI `json:"clusterAPI"`
	HAProxy    HAProxy    `json:"haproxy"`
	Sources    Sources    `json:"sources"`
	Magnum     Magnum     `json:"magnum"`
	Proxy      Proxy      `json:"proxy"`
	Backups    Backups    `json:"backups"`
	// Environment are the variables under which hosts download, such as https_proxy: deployment_environment_variables.
	Environment map[string]string `json:"environment"`

	// Origins says where each field comes from, by path. Origin looks one up.
	Origins map[string]Origin `json:"-"`

	secrets []string // texts that must not be shown wherever they went, longest first
}

// Generation is one of the three sets of playbooks that have deployed management clusters.
type Generation string

// Generations, oldest first.
const (
	// Seed is vexxhost.kubernetes from the branch venv-support, with the files of the README: Kubernetes 1.28, Cluster API
	// 1.8.
	Seed Generation = "seed"
	// Ops is openstack-ansible-ops of 2026 with vexxhost.kubernetes: Kubernetes 1.33, Cluster API 1.10.
	Ops Generation = "ops"
	// InTree is OpenStack-Ansible 33 (2026.1) and later, which ship the playbooks: Kubernetes 1.36, Cluster API 1.13.
	InTree Generation = "in-tree"
)

// Origin is where a field comes from.
type Origin struct {
	// Pos is the file and line; without a file the field has a default or was derived.
	Pos osa.Pos `json:"pos"`
	// Variable is the variable or key, such as "cilium_ipv4_cidr".
	Variable string `json:"variable,omitempty"`
	// Level is whose it is: "group k8s_all", "extra vars", "inventory", "default", "derived".
	Level string `json:"level"`
	// Why is the rule behind a default or something derived.
	Why string `json:"why,omitempty"`
	// Secret says that the value must not be shown.
	Secret bool `json:"secret,omitempty"`
}

// String is one line for people.
func (o Origin) String() string {
	var parts []string
	if o.Pos.File != "" {
		parts = append(parts, o.Pos.String())
	}
	if o.Variable != "" {
		parts = append(parts, o.Variable)
	}
	if o.Level != "" {
		parts = append(parts, "("+o.Level+")")
	}
	if o.Why != "" {
		parts = append(parts, o.Why)
	}
	return strings.Join(parts, " ")
}

// Origin returns where the field at a path comes from: its own origin, or that of the nearest path above it.
func (in Intent) Origin(path string) Origin {
	for {
		if o, ok := in.Origins[path]; ok {
			return o
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return Origin{}
		}
		path = path[:i]
	}
}

// Host returns a physical host by name.
func (in Intent) Host(name string) (Host, bool) {
	for _, h := range in.Hosts {
		if h.Name == name {
			return h, true
		}
	}
	return Host{}, false
}

// HostsWith returns the hosts that have a role, in order.
func (in Intent) HostsWith(r Role) []Host {
	var out []Host
	for _, h := range in.Hosts {
		if h.Has(r) {
			out = append(out, h)
		}
	}
	return out
}

// String keeps an Intent, which may hold secrets, out of logs and messages.
func (in Intent) String() string {
	return fmt.Sprintf("intent of %s (%d hosts, %d nodes)", in.Directory, len(in.Hosts), len(in.Nodes))
}

// LogValue keeps an Intent out of logs.
func (in Intent) LogValue() slog.Value { return slog.StringValue(in.String()) }

// Secret is text that is never printed. It is not in JSON, logs or formatted text; Reveal gives it.
type Secret struct{ text string }

// NewSecret makes a secret of text.
func NewSecret(text string) Secret { return Secret{text: text} }

// Reveal returns the text in the clear.
func (s Secret) Reveal() string { return s.text }

// Set says whether there is one.
func (s Secret) Set() bool { return s.text != "" }

const mask = "********"

// String is a mask.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return mask
}

// GoString is a mask.
func (s Secret) GoString() string { return s.String() }

// LogValue is a mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is a mask.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
