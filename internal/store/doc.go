// Package store keeps Magnum's records in the management cluster. It is the only package that knows where they live.
//
// Reads come from a View: informers feed it, it turns each record into a word of package magnum once, and every reader
// shares that snapshot. A list of ten thousand clusters therefore touches neither etcd nor the API server. Writes go to
// the API server with the resource version they were based on, and return when the View has seen them, so that a client
// which writes and then reads through the same process sees what it wrote.
//
// What a client sees as a cluster's state is derived, never stored twice: a record that is newer than its last
// observation is being updated, a record with a deletion timestamp is being deleted (see state.go).
package store
