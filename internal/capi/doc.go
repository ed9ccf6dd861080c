// Package capi translates between Magnum and Cluster API. It is pure: values go in, values come out; nothing here talks
// to an API server, reads a clock or draws a random number.
//
// Three directions:
//
//   - ClusterClass writes the one class that all clusters of a release share, for an Infrastructure. The class and its
//     templates are named after their content, so an existing class never changes under a running cluster; a new
//     release brings a new class beside it, and a cluster moves to it when its owner upgrades.
//   - Cluster writes the Cluster API Cluster of a Magnum cluster and its node groups, and Merge brings a live one there
//     with no more change than the operation needs.
//   - Observed reads back: how far a node group is, what is wrong in one sentence, health, addresses.
//
// Names, labels, the namespace and the Secrets are those of magnum-cluster-api (v0.38), so that
// its clusters can be taken over without a machine being replaced. Cluster API is v1beta2 throughout.
package capi
