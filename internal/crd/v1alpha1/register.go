package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Namespace holds every record and every Cluster API object. It cannot be chosen: host names in certificates of
// clusters made by the Python driver end in it.
const Namespace = "magnum-system"

// Finalizer keeps a record until what was made for it is gone.
const Finalizer = "magnum.jeroboam.cloud/finalizer"

// Labels and annotations on records and on what is made for them.
const (
	// LabelClusterUUID ties objects to a MagnumCluster. Without a prefix, as the Python driver wrote it: cluster
	// resource sets of existing clusters select on it.
	LabelClusterUUID = "cluster-uuid"
	// LabelProject holds the project that owns a record.
	LabelProject = "magnum.jeroboam.cloud/project"
	// AnnotationRequestID is the x-openstack-request-id of the last API request that changed the record.
	AnnotationRequestID = "magnum.jeroboam.cloud/request-id"
	// AnnotationUpdatedAt is when the API last changed the record, RFC 3339.
	AnnotationUpdatedAt = "magnum.jeroboam.cloud/updated-at"
)

// GroupVersion names the API group of the records.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: "magnum.jeroboam.cloud", Version: "v1alpha1"}
}

// AddToScheme makes the records known to clients that use s.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion(),
		&MagnumCluster{}, &MagnumClusterList{},
		&MagnumNodeGroup{}, &MagnumNodeGroupList{},
		&MagnumClusterTemplate{}, &MagnumClusterTemplateList{},
		&MagnumQuota{}, &MagnumQuotaList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion())
	return nil
}
