package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MagnumNodeGroup is a set of equal nodes of one cluster. The owner reference to its MagnumCluster makes the garbage
// collector take it away with the cluster.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=mng,categories=magnum
// +kubebuilder:printcolumn:name="Group",type=string,JSONPath=`.spec.name`
// +kubebuilder:printcolumn:name="Stack",type=string,JSONPath=`.spec.stackID`
// +kubebuilder:printcolumn:name="Role",type=string,JSONPath=`.spec.role`
// +kubebuilder:printcolumn:name="Nodes",type=integer,JSONPath=`.spec.nodeCount`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.statusReason`,priority=1
type MagnumNodeGroup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   MagnumNodeGroupSpec   `json:"spec"`
	Status MagnumNodeGroupStatus `json:"status,omitempty"`
}

// MagnumNodeGroupSpec is what the owner asked for.
//
// +kubebuilder:validation:XValidation:rule="!has(self.maxNodeCount) || self.minNodeCount <= self.maxNodeCount",message="minNodeCount must not exceed maxNodeCount"
// +kubebuilder:validation:XValidation:rule="self.role != 'master' || self.nodeCount % 2 == 1",message="the number of masters must be odd"
type MagnumNodeGroupSpec struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a node group cannot be renamed"
	Name string `json:"name"`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a node group cannot move to another cluster"
	ClusterID string `json:"clusterID"`
	// +kubebuilder:validation:MinLength=1
	ProjectID string `json:"projectID"`
	StackID   string `json:"stackID"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a node group cannot change its role"
	Role      string `json:"role"`
	IsDefault bool   `json:"isDefault,omitempty"`
	// +kubebuilder:validation:Minimum=0
	NodeCount int `json:"nodeCount"`
	// +kubebuilder:validation:Minimum=0
	MinNodeCount int `json:"minNodeCount"`
	// +kubebuilder:validation:Minimum=0
	MaxNodeCount     *int   `json:"maxNodeCount,omitempty"`
	FlavorID         string `json:"flavorID,omitempty"`
	ImageID          string `json:"imageID,omitempty"`
	DockerVolumeSize int    `json:"dockerVolumeSize,omitempty"`
	// +kubebuilder:validation:MaxProperties=512
	Labels        map[string]string `json:"labels,omitempty"`
	NodeLabels    map[string]string `json:"nodeLabels,omitempty"`
	NodeTaints    []Taint           `json:"nodeTaints,omitempty"`
	NodesToRemove []string          `json:"nodesToRemove,omitempty"`
	Resolved      Resolved          `json:"resolved,omitempty"`
	// Resize counts the requests for another size; NodeCount and NodesToRemove belong to the last one.
	// +kubebuilder:validation:Minimum=0
	Resize int64 `json:"resize,omitempty"`
	// Upgrade is the last upgrade of this group by name.
	// +optional
	Upgrade Upgrade `json:"upgrade,omitzero"`
	// ClusterUpgrade is the generation of the cluster's upgrade that this group took part in, or had to decide about,
	// last.
	ClusterUpgrade int64 `json:"clusterUpgrade,omitempty"`
}

// Taint keeps pods off the nodes of a group.
type Taint struct {
	// +kubebuilder:validation:MinLength=1
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
	// +kubebuilder:validation:Enum=NoSchedule;PreferNoSchedule;NoExecute
	Effect string `json:"effect"`
}

// MagnumNodeGroupStatus is what was seen of the group.
type MagnumNodeGroupStatus struct {
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// +kubebuilder:validation:Pattern=`^(CREATE|UPDATE|DELETE)_(IN_PROGRESS|COMPLETE|FAILED)$`
	Status             string       `json:"status,omitempty"`
	StatusReason       string       `json:"statusReason,omitempty"`
	OperationStartedAt *metav1.Time `json:"operationStartedAt,omitempty"`
	// Progress is when the operation last came nearer to its goal.
	Progress *Progress `json:"progress,omitempty"`
	// Resized and Upgraded are the generations of spec.resize and spec.upgrade that were reached last.
	Resized  int64 `json:"resized,omitempty"`
	Upgraded int64 `json:"upgraded,omitempty"`
	// NodesSynced says which labels and taints which nodes were given last.
	NodesSynced string `json:"nodesSynced,omitempty"`
	// Nodes is how many machines the group has.
	Nodes         *int         `json:"nodes,omitempty"`
	NodeAddresses []string     `json:"nodeAddresses,omitempty"`
	Version       string       `json:"version,omitempty"`
	UpdatedAt     *metav1.Time `json:"updatedAt,omitempty"`
}

// MagnumNodeGroupList is a list of MagnumNodeGroup.
//
// +kubebuilder:object:root=true
type MagnumNodeGroupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []MagnumNodeGroup `json:"items"`
}
