// Package registry keeps container images in a directory and serves them. The directory is an OCI image layout
// (github.com/opencontainers/image-spec, image-layout.md), so other tools read it as well: skopeo, crane, containerd's
// ctr. The server is the reading half of the OCI distribution protocol; it never writes, so it needs no accounts and no
// locks.
//
// An image has one name here, its full reference as a node would ask for it upstream ("registry.k8s.io/pause:3.10.2").
// Nodes reach it in three ways: as a mirror (containerd says which registry it stands in for with "?ns="), under the
// full name with the upstream host as first part, and under names that the caller adds.
package registry
