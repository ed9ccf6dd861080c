// Package kubeconfigs is kubeconfigs of the management cluster at places that are no part of it: where Magnum's driver
// and proxies look for them. They are compared by digest and written last of all; what is written when a cluster goes
// is taken away again.
package kubeconfigs
