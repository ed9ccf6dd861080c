// Package e2e tells what a tenant of the cloud goes through, against the all-in-one as "make up" starts it: through the
// real openstack client, gophercloud, kubectl and plain HTTP. "make e2e" runs it.
//
// Most tests share one all-in-one and use clusters of their own in it; those that stop, kill or empty one start their
// own. Nothing here asserts that anything is fast: every wait has a bound that a loaded machine keeps, and says at its
// end what it last saw.
package e2e
