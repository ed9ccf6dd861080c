// Package kubeadm is the control plane of the management cluster: who belongs to it, what kubeadm makes and changes of
// it, one node at a time and never without a quorum, and the settings that its nodes and the cluster keep.
//
//	Record, Wanted        how it should be: kubeadm's configuration of each node
//	Look, LookAtCluster   how it is: asked of nodes' agents and of the API server
//	Changes               what would change, each a typed value such as Upgrade{Node, From, To}; pure
//	Run                   does what a plan has of it
//
// Settings are compared with what is in force, not with what was written last, so a cluster that somebody else made is
// adopted.
package kubeadm
