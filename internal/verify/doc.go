// Package verify judges whether a cloud gives its tenants usable Kubernetes clusters: it makes one as a tenant would,
// through the Magnum API of the cloud's catalog, uses it, and says what it saw.
//
// A run is a procedure, a slice of steps on one screen ([procedure]). Each step says what it proves and where to look
// when it fails. What is made and what is found is decided by a pure function ([Decide]) from what the cloud has
// ([Find]) and what was asked for ([Options]), all problems at once and before anything is made; whether the cloud
// passed is decided by another ([Judge]) from the steps' results. So the outcome never depends on the order in which
// things were seen.
//
// Everything a run makes has one name, "jeroboam-verify-" and the run's id, and nothing is remembered anywhere else:
// removal ([Remove]) looks for the name. It is the same at the end of a run, after an interrupt, and a day after a
// kill.
//
// It speaks plain OpenStack and plain Kubernetes and knows nothing of Jeroboam's server, so it judges other Magnums as
// well.
package verify
