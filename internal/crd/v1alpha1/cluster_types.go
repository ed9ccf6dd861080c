package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MagnumCluster is one workload cluster.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=mcl,categories=magnum
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.spec.name`
// +kubebuilder:printcolumn:name="Stack",type=string,JSONPath=`.spec.stackID`
// +kubebuilder:printcolumn:name="Project",type=string,JSONPath=`.spec.projectID`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.status`
// +kubebuilder:printcolumn:name="Health",type=string,JSONPath=`.status.health`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.coeVersion`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.statusReason`,priority=1
type MagnumCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   MagnumClusterSpec   `json:"spec"`
	Status MagnumClusterStatus `json:"status,omitempty"`
}

// MagnumClusterSpec is what the owner asked for.
type MagnumClusterSpec struct {
	// +kubebuilder:validation:Pattern=`^[a-zA-Z][a-zA-Z0-9_.-]*$`
	// +kubebuilder:validation:MaxLength=242
	Name string `json:"name"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a cluster cannot move to another project"
	ProjectID string `json:"projectID"`
	UserID    string `json:"userID,omitempty"`
	// +kubebuilder:validation:MinLength=1
	ClusterTemplateID string `json:"clusterTemplateID"`
	// Template is the cluster template as this cluster uses it; replaced as a whole by an upgrade.
	Template MagnumClusterTemplateSpec `json:"template"`
	// StackID names the Cluster API Cluster.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a cluster cannot change its stack"
	StackID string `json:"stackID"`
	Keypair string `json:"keypair,omitempty"`
	// +kubebuilder:validation:Minimum=0
	DockerVolumeSize int `json:"dockerVolumeSize,omitempty"`
	// +kubebuilder:validation:MaxProperties=512
	Labels         map[string]string `json:"labels,omitempty"`
	MasterFlavorID string            `json:"masterFlavorID,omitempty"`
	FlavorID       string            `json:"flavorID,omitempty"`
	// CreateTimeout is in minutes; 0 waits for ever.
	// +kubebuilder:validation:Minimum=0
	CreateTimeout     int    `json:"createTimeout"`
	DiscoveryURL      string `json:"discoveryURL,omitempty"`
	FixedNetwork      string `json:"fixedNetwork,omitempty"`
	FixedSubnet       string `json:"fixedSubnet,omitempty"`
	FloatingIPEnabled bool   `json:"floatingIPEnabled,omitempty"`
	MasterLBEnabled   bool   `json:"masterLBEnabled,omitempty"`
	// MasterCount is how many nodes the default master group is made with.
	// +kubebuilder:validation:Minimum=1
	MasterCount int `json:"masterCount"`
	// NodeCount is how many nodes the default worker group is made with.
	// +kubebuilder:validation:Minimum=0
	NodeCount int      `json:"nodeCount"`
	Resolved  Resolved `json:"resolved,omitempty"`
	// Upgrade is the last upgrade that was asked for: version, images and class of all that follows the cluster's
	// template.
	// +optional
	Upgrade Upgrade `json:"upgrade,omitzero"`
	// Rotation is the last rotation that was asked for.
	// +optional
	Rotation Rotation `json:"rotation,omitzero"`
}

// Rotation is a request for another certificate authority, or another key that signs service account tokens.
type Rotation struct {
	// Generation counts the requests; 0 is none. The status says which was reached.
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`
	// +kubebuilder:validation:Enum="";kubernetes;front_proxy;service_account
	Authority string `json:"authority,omitempty"`
}

// Upgrade is a request to make machines anew.
type Upgrade struct {
	// Generation counts the requests; 0 is none. The status says which have been reached.
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`
	// MaxBatchSize is how many nodes of a group are replaced at once; 0 leaves it to Cluster API.
	// +kubebuilder:validation:Minimum=0
	MaxBatchSize int `json:"maxBatchSize,omitempty"`
	// FromImage and FromImageID are the image of the cluster template before: groups that have it follow a cluster's
	// upgrade, those with an image of their own do not.
	FromImage   string `json:"fromImage,omitempty"`
	FromImageID string `json:"fromImageID,omitempty"`
	// Note is what its owner is warned of while it lasts.
	Note string `json:"note,omitempty"`
}

// Progress is how near an operation has come to its goal.
type Progress struct {
	// Left is the fewest things that were ever left to do.
	Left int `json:"left,omitempty"`
	// At is when Left last became fewer.
	At metav1.Time `json:"at"`
}

// Resolved is what names meant in the owner's cloud, looked up with the owner's token.
type Resolved struct {
	ImageID          string `json:"imageID,omitempty"`
	ImageOSDistro    string `json:"imageOSDistro,omitempty"`
	HardwareDiskBus  string `json:"hardwareDiskBus,omitempty"`
	FlavorName       string `json:"flavorName,omitempty"`
	MasterFlavorName string `json:"masterFlavorName,omitempty"`
	// What a machine of FlavorName has.
	FlavorMemoryMiB   int    `json:"flavorMemoryMiB,omitempty"`
	FlavorVCPUs       int    `json:"flavorVCPUs,omitempty"`
	FlavorDiskGiB     int    `json:"flavorDiskGiB,omitempty"`
	ExternalNetworkID string `json:"externalNetworkID,omitempty"`
	FixedNetworkID    string `json:"fixedNetworkID,omitempty"`
	FixedSubnetID     string `json:"fixedSubnetID,omitempty"`
}

// MagnumClusterStatus is what was seen of the cluster.
type MagnumClusterStatus struct {
	// ObservedGeneration is the generation of the spec that Status speaks of.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Status is Magnum's: CREATE_IN_PROGRESS and so on.
	// +kubebuilder:validation:Pattern=`^(CREATE|UPDATE|DELETE)_(IN_PROGRESS|COMPLETE|FAILED)$`
	Status       string `json:"status,omitempty"`
	StatusReason string `json:"statusReason,omitempty"`
	// OperationStartedAt is when the present or last operation began; create_timeout counts from it.
	OperationStartedAt *metav1.Time `json:"operationStartedAt,omitempty"`
	// Progress is when the operation last came nearer to its goal.
	Progress *Progress `json:"progress,omitempty"`
	// LeftBehind names what a deletion could not clean up and went on without.
	LeftBehind map[string]string `json:"leftBehind,omitempty"`
	// Upgraded is the generation of spec.upgrade that was reached last.
	Upgraded int64 `json:"upgraded,omitempty"`
	// Rotated is the generation of spec.rotation that was reached last.
	Rotated int64 `json:"rotated,omitempty"`
	// Rotatable tells that the cluster's class can roll machines for another authority.
	Rotatable bool `json:"rotatable,omitempty"`
	// ClassName is the cluster class that the cluster is of.
	ClassName string `json:"className,omitempty"`
	// MutableLabels are those that the cluster's class lets change without an upgrade.
	MutableLabels []string `json:"mutableLabels,omitempty"`
	// +kubebuilder:validation:Enum="";HEALTHY;UNHEALTHY;UNKNOWN
	Health           string            `json:"health,omitempty"`
	HealthReason     map[string]string `json:"healthReason,omitempty"`
	APIAddress       string            `json:"apiAddress,omitempty"`
	COEVersion       string            `json:"coeVersion,omitempty"`
	ContainerVersion string            `json:"containerVersion,omitempty"`
	UpdatedAt        *metav1.Time      `json:"updatedAt,omitempty"`
	// Addons are what is installed into the cluster, in the order of installation.
	// +listType=map
	// +listMapKey=name
	Addons []AddonStatus `json:"addons,omitempty"`
	// AddonsGeneration is the generation of the spec that Addons speak of.
	AddonsGeneration int64 `json:"addonsGeneration,omitempty"`
	// AddonsReadyFor is the version of Kubernetes that the masters may run as far as addons are concerned.
	AddonsReadyFor string `json:"addonsReadyFor,omitempty"`
	// Troubles are what keeps the cloud from making what was asked for, as its provider and the cloud itself say.
	// +listType=atomic
	Troubles []Trouble `json:"troubles,omitempty"`
}

// Trouble is one thing that is wrong in the cloud.
type Trouble struct {
	// Machine is the name of the machine's object of the infrastructure provider; empty: it is the cluster's.
	Machine string `json:"machine,omitempty"`
	Text    string `json:"text"`
}

// AddonStatus is what was seen of one addon.
type AddonStatus struct {
	Name string `json:"name"`
	// Version is the catalogue's; empty for what is in no catalogue.
	Version string `json:"version,omitempty"`
	// Reached is the version that was the last one to be available everywhere.
	Reached string `json:"reached,omitempty"`
	// State is Available, Progressing (it was applied and does not run everywhere yet), Failed (it cannot be applied) or
	// Skipped.
	// +kubebuilder:validation:Enum=Available;Progressing;Failed;Skipped
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Since is when State last changed.
	Since *metav1.Time `json:"since,omitempty"`
}

// The states of an addon.
const (
	AddonAvailable   = "Available"
	AddonProgressing = "Progressing"
	AddonFailed      = "Failed"
	AddonSkipped     = "Skipped"
)

// MagnumClusterList is a list of MagnumCluster.
//
// +kubebuilder:object:root=true
type MagnumClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []MagnumCluster `json:"items"`
}
