package capi

import (
	"encoding/json"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	bootstrapv1 "sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// Names that existing clusters depend on (magnum-cluster-api 0.38).
const (
	// Namespace holds every tenant's clusters. It is part of host names in certificates.
	Namespace = "magnum-system"
	// UUIDLabel carries the Magnum UUID on all that belongs to a cluster.
	UUIDLabel = "cluster-uuid"
	// NodeGroupLabel is set on nodes, with the node group's name.
	NodeGroupLabel = magnum.NodeGroupLabel
	// RoleLabelPrefix with the node group's role is set on nodes.
	RoleLabelPrefix = clusterv1.NodeRoleLabelPrefix + "/"
	// WorkerClass is the one class of machine deployments in a ClusterClass.
	WorkerClass = "default-worker"
	// DeleteMachineAnnotation on a Machine makes a shrinking group give it up first; its value is DeleteMachineValue.
	DeleteMachineAnnotation = clusterv1.DeleteMachineAnnotation
	DeleteMachineValue      = "yes"
)

// Names of our own.
const (
	// FlavorAnnotation and ImageAnnotation tell the simulator of machines what was asked for.
	FlavorAnnotation = "jeroboam.cloud/flavor"
	ImageAnnotation  = "jeroboam.cloud/image"
	// AskedAnnotation is on a Cluster and says which requests it carries (Asked).
	AskedAnnotation = "magnum.jeroboam.cloud/asked"
	// ResizeAnnotation is on the machine deployment of a group that the autoscaler sizes, and says which of its owner's
	// requests for a size was carried out last.
	ResizeAnnotation = "magnum.jeroboam.cloud/resize"
	// ManagedByLabel is on classes and their templates.
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "jeroboam"
)

const (
	kubeadmControlPlaneTemplate = "KubeadmControlPlaneTemplate"
	kubeadmConfigTemplate       = "KubeadmConfigTemplate"
	infrastructureGroup         = "infrastructure.cluster.x-k8s.io"
)

func controlPlaneAPI() string { return controlplanev1.GroupVersion.String() }
func bootstrapAPI() string    { return bootstrapv1.GroupVersion.String() }
func clusterAPI() string      { return clusterv1.GroupVersion.String() }

// raw is a value as the JSON that Cluster API keeps variables and patches in. What is given to it always marshals.
func raw(v any) apiextensionsv1.JSON {
	b, err := json.Marshal(v)
	if err != nil {
		panic("capi: value does not marshal: " + err.Error())
	}
	return apiextensionsv1.JSON{Raw: b}
}

func rawp(v any) *apiextensionsv1.JSON {
	j := raw(v)
	return &j
}
