// Package addon says what makes a workload cluster usable, as Kubernetes objects: the network of pods, the OpenStack
// cloud controller manager, storage, Keystone's webhook. It is pure: a Cluster and a Catalogue in, Releases out. Who
// applies them is package controller/addon.
//
// Which versions there are is data. A catalogue is a directory with one Helm chart or one file of plain objects for
// each version of an addon, and catalogue.yaml, which names them with their digests. A bundle carries one. Charts are
// rendered here, with Helm's own engine and with the version of the cluster they are for, because nearly every label of
// a cluster is a value of a chart (docs/decisions/0026).
//
//	catalogue.go  reading a catalogue, choosing an entry for a cluster
//	cluster.go    what is known of a cluster
//	addons.go     the list of addons: when one is wanted, with which values
//	render.go     an entry and its values become objects
//	images.go     images of all objects, and the mirror they come from
//	ready.go      whether what was applied is available
package addon
