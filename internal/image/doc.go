// Package image makes the disks that nodes of workload clusters boot from, out of a bundle and Debian's packages.
//
// An image has a Debian 12 with systemd and cloud-init, and from the bundle containerd, runc, CNI plugins, kubelet,
// kubeadm, kubectl and crictl. All images that a workload cluster's nodes run are in containerd's store already,
// unpacked and pinned: a node of a cluster without a way out pulls nothing. What differs between nodes comes at boot,
// in the user data that Cluster API writes for cloud-init.
//
// There are two kinds. A virtual machine's image has a kernel and boots by BIOS and by UEFI. A container's image is for
// clouds whose servers are containers (Nova with virt_type=lxc): it has no kernel, and in its place what a node has to
// do for itself in such a container. Files of both are below files/, as they are in the image.
//
//	build.go    the steps
//	root.go     Debian's packages, the bundle's programs, configuration
//	preload.go  images into containerd's store
//	disk.go     a root file system becomes a disk
//	boot.go     partitions and boot loader of a virtual machine
//	properties.go, upload.go  what Glance is told
package image
