package label

// Type says which values a label takes.
type Type string

// The types. Each has its check in check.go.
const (
	Text     Type = "string"            // a name that the cloud has given: whatever can be printed
	Claim    Type = "claim"             // as an OpenID Connect claim or prefix: no spaces, with ":" and "@"
	Bool     Type = "bool"              // as oslo.utils' strict bool_from_string
	Int      Type = "int"               // decimal, within Min and Max
	CIDR     Type = "CIDR"              // an IPv4 network address with a prefix length within Min and Max
	IP       Type = "IP address"        // IPv4 or IPv6
	Enum     Type = "one of"            // one of Allowed
	Version  Type = "version"           // vX.Y.Z with an optional pre-release
	Tag      Type = "image tag"         // as in a container image reference
	URL      Type = "URL"               // https, without user, query and fragment
	Zone     Type = "availability zone" // as Text
	UUID     Type = "UUID"
	Domain   Type = "domain"           // a DNS name
	Host     Type = "DNS name or IP"   // a subject alternative name; a DNS name may begin with "*."
	Path     Type = "registry path"    // host[:port][/path], as in a container image reference
	Plugin   Type = "admission plugin" // letters and digits
	Cipher   Type = "TLS cipher suite" // a name that kube-apiserver and kubelet know
	Name     Type = "name"             // lower case letters, digits, "_" and "-"
	None     Type = ""                 // of a label that is not in the registry
	maxBytes      = 4096               // the longest value of any label
	maxItems      = 64                 // the longest list
)

// Scope says whose labels are meant.
type Scope uint8

// The scopes. A node group's labels are Magnum's copy of the cluster's labels with the node group's own on top, so
// finding a cluster label there is normal.
const (
	Cluster   Scope = 1 << iota // a cluster: what is required must be there
	NodeGroup                   // a node group
	Template                    // a cluster template: as a cluster, but nothing is required yet
	Both      = Cluster | NodeGroup
)

// Effect says what part of the system acts on a label.
type Effect string

// The effects.
const (
	Machines Effect = "cluster" // Cluster API objects: machines, control plane, network, load balancer
	Addon    Effect = "addon"   // only what is installed into the cluster afterwards
)

// From says from when on a label, or a change of it, has its effect.
type From string

// The moments. A label of a cluster is fixed when the cluster is made, as in Magnum, unless it says otherwise.
const (
	Creation From = "creation"          // of the cluster, or of the node group
	Upgrade  From = "creation, upgrade" // an upgrade takes it from the new template
	AtOnce   From = "at once"           // PATCH of the cluster's labels changes it, and no machine is replaced
)

// Label is one entry of the registry.
type Label struct {
	Name     string
	Type     Type // of the value, or of each item when List is set
	List     bool // a comma-separated list of Type
	Required bool // in a cluster
	Default  string
	// DefaultDoc says what is used when the label is absent and the default is no constant.
	DefaultDoc string
	Allowed    []string // of an Enum
	Min, Max   int      // of an Int, or of a CIDR's prefix length
	Scope      Scope    // Cluster, NodeGroup or Both
	Effect     Effect
	Changes    string // what of a cluster it changes
	From       From
	Unread     bool   // taken, because clients send it, but nothing acts on it in this release
	Since      string // the release of magnum-cluster-api that first read it
	Doc        string
	Source     string // where name and default come from
}

// In tells whether the label acts in a scope.
func (l Label) In(s Scope) bool {
	if s == Template {
		s = Cluster
	}
	return l.Scope&s != 0
}
