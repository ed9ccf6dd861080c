// Package proxy is the proxy's lab: real network namespaces, named as Neutron names them, with API servers that only
// exist inside; three proxy hosts, each a namespace of its own; a real kube-apiserver and etcd as the management
// cluster. The hosts run the real binary as an ordinary user with one capability and a credential of the shipped roles.
// "make e2e-proxy" runs it; it needs root.
//
// Figures are logged and never asserted. What CI has no time for has flags: -idle (how long a watch is silent),
// -partition (how long a host is cut off), -many (clusters on one host), -bytes (of the large transfer). "go test -v
// ./test/e2e/proxy -full" is all of it.
package proxy
