// Package cloud proves Jeroboam on a real OpenStack (test/cloud) with Cluster API's own OpenStack provider and real
// nodes: what a tenant does with the openstack client, seen from the client, from kubectl and from the cloud. "make
// e2e-cloud" runs it; docs/cloud.md says what it needs and what was seen.
package cloud
