// Package control is what the proxy has to do with the management cluster: it follows OpenStackClusters, publishes an
// EndpointSlice of this host for each cluster whose API server answers, and, on the one host that owns the fleet, keeps
// Services and kubeconfig Secrets and withdraws what dead hosts left behind.
//
// Everything is watched and nothing is polled. An idle host makes one request every ten seconds, to renew its own
// lease, however many clusters there are. Nobody's clock is compared with anybody else's: a lease is alive as long as
// it is seen to change, and how long it has not is measured on the observer's own monotonic clock.
package control
