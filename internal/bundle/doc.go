// Package bundle makes, checks and shows bundles: everything a deployment needs, in one directory.
//
// A bundle is a lock file made real. The lock (bundle.lock.yaml) names each artefact once: where upstream publishes it,
// how it is built from source, and the one digest it must have. "bundle build" fetches or builds, compares, and stops
// at the first thing that is not what the lock says. Building from source needs the Go module proxy and Debian's
// packages and nothing else, so a bundle can be made where no download site can be reached; and it is repeatable: the
// same lock gives the same digests.
//
// The directory holds "oci", an image layout (package registry), "files" for what is not an image, and bundle.json, the
// list of it all. bundle.json is written last: a directory without it is a build that was interrupted, and is finished
// by running the build again.
package bundle
