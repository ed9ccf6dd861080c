// Package v1alpha1 is how Magnum's records lie in the management cluster: custom resources of the group
// magnum.jeroboam.cloud, all in the namespace magnum-system, each named by its UUID (names are not unique in Magnum).
//
// Spec is what was asked for, written by the API; Status is what was seen, written by controllers. A record whose
// generation is ahead of status.observedGeneration has been changed and not been looked at yet, which clients see as
// UPDATE_IN_PROGRESS: no state is written twice. The schema refuses what Magnum would refuse, so that a record made
// with kubectl is as sound as one made through the API.
//
// +kubebuilder:object:generate=true
// +groupName=magnum.jeroboam.cloud
package v1alpha1
