// Package node says what a node of the management cluster is, up to kubeadm: what its physical host's kernel needs, its
// container as OpenStack-Ansible makes one, and inside of it programs, containerd, images, the network of pods,
// kubelet. All of it is lists of items for a place, and judges of them, and pure; site brings them about.
package node

// The groups of a node's items, in the order of the work.
const (
	GroupHost      = "host"
	GroupContainer = "container"
	GroupInside    = "node"
	GroupKubelet   = "kubelet" // what of a node changes after its control plane in an upgrade
	GroupSpare     = "spare"   // what nobody needs any more: it goes when all the rest has been done
)
