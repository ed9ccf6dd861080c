package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MagnumClusterTemplate is what clusters are made from.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,shortName=mct,categories=magnum
// +kubebuilder:printcolumn:name="Template",type=string,JSONPath=`.spec.name`
// +kubebuilder:printcolumn:name="Project",type=string,JSONPath=`.spec.projectID`
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.imageID`
// +kubebuilder:printcolumn:name="Public",type=boolean,JSONPath=`.spec.public`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MagnumClusterTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MagnumClusterTemplateSpec `json:"spec"`
}

// MagnumClusterTemplateSpec is a cluster template as Magnum knows it.
type MagnumClusterTemplateSpec struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Name string `json:"name"`
	// +kubebuilder:validation:MinLength=1
	ProjectID string `json:"projectID"`
	UserID    string `json:"userID,omitempty"`
	// +kubebuilder:validation:Enum=kubernetes
	COE           string `json:"coe"`
	ClusterDistro string `json:"clusterDistro,omitempty"`
	Driver        string `json:"driver,omitempty"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	ImageID           string `json:"imageID"`
	FlavorID          string `json:"flavorID,omitempty"`
	MasterFlavorID    string `json:"masterFlavorID,omitempty"`
	KeypairID         string `json:"keypairID,omitempty"`
	DNSNameserver     string `json:"dnsNameserver,omitempty"`
	ExternalNetworkID string `json:"externalNetworkID,omitempty"`
	FixedNetwork      string `json:"fixedNetwork,omitempty"`
	FixedSubnet       string `json:"fixedSubnet,omitempty"`
	NetworkDriver     string `json:"networkDriver,omitempty"`
	VolumeDriver      string `json:"volumeDriver,omitempty"`
	// APIServerPort is 0 when not set.
	// +kubebuilder:validation:XValidation:rule="self == 0 || (self >= 1024 && self <= 65535)",message="must be 1024 to 65535"
	APIServerPort int `json:"apiServerPort,omitempty"`
	// +kubebuilder:validation:Minimum=0
	DockerVolumeSize    int    `json:"dockerVolumeSize,omitempty"`
	DockerStorageDriver string `json:"dockerStorageDriver,omitempty"`
	HTTPProxy           string `json:"httpProxy,omitempty"`
	HTTPSProxy          string `json:"httpsProxy,omitempty"`
	NoProxy             string `json:"noProxy,omitempty"`
	InsecureRegistry    string `json:"insecureRegistry,omitempty"`
	RegistryEnabled     bool   `json:"registryEnabled,omitempty"`
	TLSDisabled         bool   `json:"tlsDisabled,omitempty"`
	Public              bool   `json:"public,omitempty"`
	Hidden              bool   `json:"hidden,omitempty"`
	MasterLBEnabled     bool   `json:"masterLBEnabled,omitempty"`
	FloatingIPEnabled   bool   `json:"floatingIPEnabled,omitempty"`
	// +kubebuilder:validation:Enum=vm;bm
	ServerType string `json:"serverType"`
	// +kubebuilder:validation:MaxProperties=512
	Labels map[string]string `json:"labels,omitempty"`
	// +kubebuilder:validation:MaxLength=255
	Tags string `json:"tags,omitempty"`
}

// MagnumClusterTemplateList is a list of MagnumClusterTemplate.
//
// +kubebuilder:object:root=true
type MagnumClusterTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []MagnumClusterTemplate `json:"items"`
}

// MagnumQuota bounds how many clusters a project may have. Its name is "<project>.<resource in lower case>".
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,shortName=mq,categories=magnum
// +kubebuilder:printcolumn:name="Project",type=string,JSONPath=`.spec.projectID`
// +kubebuilder:printcolumn:name="Resource",type=string,JSONPath=`.spec.resource`
// +kubebuilder:printcolumn:name="Limit",type=integer,JSONPath=`.spec.hardLimit`
type MagnumQuota struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MagnumQuotaSpec `json:"spec"`
}

// MagnumQuotaSpec is one bound.
type MagnumQuotaSpec struct {
	// +kubebuilder:validation:MinLength=1
	ProjectID string `json:"projectID"`
	// +kubebuilder:validation:Enum=Cluster
	Resource string `json:"resource"`
	// +kubebuilder:validation:Minimum=0
	HardLimit int `json:"hardLimit"`
}

// MagnumQuotaList is a list of MagnumQuota.
//
// +kubebuilder:object:root=true
type MagnumQuotaList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []MagnumQuota `json:"items"`
}
