package magnum

import "time"

// DefaultCreateTimeout is how many minutes a cluster may take to come up when its creator does not say (Magnum 1.14).
const DefaultCreateTimeout = 60

// Cluster is one Kubernetes cluster as its owner asked for it and as it was last seen.
type Cluster struct {
	// ID orders clusters by creation: microseconds since 1970 of the record's creation. Magnum's sort_key "id".
	ID   int64
	UUID string
	// Name is not unique, not even within a project (Magnum 1.14).
	Name      string
	ProjectID string
	UserID    string

	ClusterTemplateID string
	// Template is the template as this cluster uses it: a copy taken at creation and at each upgrade, so that a
	// template which changes or vanishes never changes a running cluster.
	Template ClusterTemplate

	// StackID is the name of the Cluster API Cluster in the management cluster ("kube-" and five letters or digits).
	// Clients see it as stack_id, and as cluster_id from microversion 1.13.
	StackID string

	Keypair          string
	DockerVolumeSize int // GiB; 0 is unset
	Labels           map[string]string
	MasterFlavorID   string
	FlavorID         string
	CreateTimeout    int // minutes; 0 waits for ever
	DiscoveryURL     string
	FixedNetwork     string
	FixedSubnet      string

	FloatingIPEnabled bool
	MasterLBEnabled   bool

	// MasterCount and NodeCount are sums over the node groups of role master and of all others. On creation they are
	// what the default node groups are made with.
	MasterCount int
	NodeCount   int

	// Resolved is what names meant in the owner's cloud when they were last checked with the owner's token.
	Resolved Resolved
	// Upgrade is the last upgrade that was asked for.
	Upgrade Upgrade

	Status             Status
	StatusReason       string
	Health             Health
	HealthReason       map[string]string
	APIAddress         string
	COEVersion         string
	ContainerVersion   string
	NodeAddresses      []string
	MasterAddresses    []string
	Faults             map[string]string // node group name -> reason, of failed groups only
	CreatedAt          time.Time
	UpdatedAt          time.Time // zero: never
	DeletionRequested  bool
	Rotation           Rotation
	Rotating           bool     // that rotation has not been reached yet: it goes on being tried, whatever Status says
	Rotatable          bool     // its class can roll machines for another authority; nobody has looked yet: false
	MutableLabels      []string // labels that can change without an upgrade; nobody has looked yet: none
	OperationRequestID string   // the x-openstack-request-id of the last request that changed the record
}

// Upgrade is a request to make machines anew.
type Upgrade struct {
	Generation   int64 // counts the requests
	MaxBatchSize int   // how many nodes of a group are replaced at once; 0: not said
	// FromImage and FromImageID are the image of the template before: groups that have it follow a cluster's upgrade
	// (Follows).
	FromImage, FromImageID string
	Note                   string // what its owner is warned of while it lasts
}

// Again asks once more.
func (u Upgrade) Again(maxBatchSize int) Upgrade {
	return Upgrade{Generation: u.Generation + 1, MaxBatchSize: maxBatchSize}
}

// NextUpgrade is the request that an upgrade of the cluster to another template makes.
func (c *Cluster) NextUpgrade(maxBatchSize int) Upgrade {
	next := c.Upgrade.Again(maxBatchSize)
	next.FromImage, next.FromImageID = c.Template.ImageID, c.Resolved.ImageID
	return next
}

// ExistingNetwork tells whether nodes are in a network that was there before the cluster.
func (c *Cluster) ExistingNetwork() bool {
	return c.FixedNetwork != "" || c.FixedSubnet != "" || c.Resolved.FixedNetworkID != ""
}

// Follows tells whether a group goes along when its cluster is upgraded: all but those that have an image of their own.
func (g *NodeGroup) Follows(u Upgrade) bool {
	return g.IsDefault || g.ImageID == "" || g.ImageID == u.FromImage || g.Resolved.ImageID != "" && g.Resolved.ImageID == u.FromImageID
}

// Rotation is a request for another certificate authority, or another key that signs service account tokens.
type Rotation struct {
	Generation int64 // counts the requests
	Authority  Authority
}

// Again asks once more.
func (r Rotation) Again(a Authority) Rotation {
	return Rotation{Generation: r.Generation + 1, Authority: a}
}

// Authority is one of the things that a cluster trusts: Magnum's ca_cert_type.
type Authority string

// The authorities. Magnum does not know the last one.
const (
	AuthorityKubernetes     Authority = "kubernetes"
	AuthorityEtcd           Authority = "etcd"
	AuthorityFrontProxy     Authority = "front_proxy"
	AuthorityServiceAccount Authority = "service_account"
)

// Resolved holds identifiers looked up in the owner's cloud with the owner's own token, so that no controller ever
// needs a credential that sees more than the owner does. Empty fields were not asked for.
type Resolved struct {
	ImageID          string
	ImageOSDistro    string
	HardwareDiskBus  string
	FlavorName       string
	MasterFlavorName string
	// What a machine of FlavorName has. The autoscaler must know it while there is no such machine.
	FlavorMemoryMiB   int
	FlavorVCPUs       int
	FlavorDiskGiB     int
	ExternalNetworkID string
	FixedNetworkID    string
	FixedSubnetID     string
}

// The two node groups that every cluster has (Magnum 1.9 and later).
const (
	DefaultMaster = "default-master"
	DefaultWorker = "default-worker"
	RoleMaster    = "master"
	RoleWorker    = "worker"
)

// NodeGroup is a set of equal nodes of one cluster.
type NodeGroup struct {
	ID        int64 // like Cluster.ID
	UUID      string
	Name      string // unique within the cluster
	ClusterID string // the cluster's UUID
	ProjectID string
	StackID   string

	Role      string
	IsDefault bool
	// NodeCount is how many nodes the group is to have; of a group that the autoscaler sizes, how many it has.
	NodeCount int
	// Asked is how many its owner asked for last, Resize counts such requests.
	Asked            int
	Resize           int64
	MinNodeCount     int
	MaxNodeCount     *int // nil: no bound
	FlavorID         string
	ImageID          string
	DockerVolumeSize int
	Labels           map[string]string
	NodeLabels       map[string]string
	NodeTaints       []Taint
	// NodesToRemove names nodes (server UUID or node name) that a shrinking group gives up first.
	NodesToRemove []string
	Version       string
	Resolved      Resolved
	// Upgrade is the last upgrade of the group by name; ClusterUpgrade is the generation of the cluster's in which it took
	// part.
	Upgrade        Upgrade
	ClusterUpgrade int64
	// Resized and Upgraded are the generations of Resize and Upgrade that were reached.
	Resized, Upgraded int64

	Status        Status
	StatusReason  string
	NodeAddresses []string
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Taint keeps pods off the nodes of a group, as Kubernetes defines it.
type Taint struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Effect string `json:"effect"`
}

// ClusterTemplate is what clusters are made from.
type ClusterTemplate struct {
	ID   int64 // like Cluster.ID
	UUID string
	TemplateFields
	CreatedAt time.Time
	UpdatedAt time.Time
}

// TemplateFields are what a cluster template says. The record of a template (v1alpha1.MagnumClusterTemplateSpec) has
// the same fields in the same order, so that one is converted into the other and the compiler finds what stands in one
// of them only; the API reads, patches, shows and sorts them by one table.
type TemplateFields struct {
	Name                string
	ProjectID           string
	UserID              string
	COE                 string
	ClusterDistro       string // the image's os_distro
	Driver              string
	ImageID             string // as the creator wrote it: name or id
	FlavorID            string
	MasterFlavorID      string
	KeypairID           string
	DNSNameserver       string // comma list
	ExternalNetworkID   string
	FixedNetwork        string
	FixedSubnet         string
	NetworkDriver       string
	VolumeDriver        string
	APIServerPort       int // 0: unset
	DockerVolumeSize    int // GiB; 0: unset
	DockerStorageDriver string
	HTTPProxy           string
	HTTPSProxy          string
	NoProxy             string
	InsecureRegistry    string
	RegistryEnabled     bool
	TLSDisabled         bool
	Public              bool
	Hidden              bool
	MasterLBEnabled     bool
	FloatingIPEnabled   bool
	ServerType          string
	Labels              map[string]string
	Tags                string
}

// Quota bounds how many of a resource one project may have. The only resource is "Cluster".
type Quota struct {
	ID        int64 // 0: the built-in default, no record
	ProjectID string
	Resource  string
	HardLimit int
	CreatedAt time.Time
	UpdatedAt time.Time
}

// QuotaCluster is the one resource that has a quota.
const QuotaCluster = "Cluster"

// Event is something that happened to a cluster or, when NodeGroup is not empty, to one of its node groups.
type Event struct {
	Type      string // Normal or Warning
	Reason    string // one word
	Message   string
	NodeGroup string // its name
	Count     int
	FirstSeen time.Time
	LastSeen  time.Time
}

// Service is one process that does work for Magnum's API, as "openstack coe service list" shows it.
type Service struct {
	ID          int64
	Host        string
	Binary      string
	ReportCount int
	Disabled    bool
	LastSeen    time.Time
	CreatedAt   time.Time
}
