package capi

import (
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// MakesAPIAddress tells whether the floating IP of a cluster's API is ours to make and to keep.
//
// Without a load balancer it belongs to a control plane machine. Left to itself, Cluster API's OpenStack provider
// deletes it with that machine, and asks Neutron for the very same address when the next one comes, which Neutron
// refuses to ordinary tenants: no master could take the place of the last one. What is given as apiServerFloatingIP it
// leaves alone (provider 0.13: removeAPIServerEndpoint).
func MakesAPIAddress(c *magnum.Cluster) bool {
	labels := label.Of(c.Labels)
	return !c.MasterLBEnabled && c.Resolved.ExternalNetworkID != "" &&
		labels.Bool(label.FloatingIPEnabled) && !labels.Has(label.APIServerFloatingIP)
}

// APIAddressDescription is how the cluster's floating IP is found in Neutron.
func APIAddressDescription(uuid string) string { return "Kubernetes API of Magnum cluster " + uuid }

// APIAddress is the floating IP that a live Cluster was made with, "" when the provider was to find one. It cannot be
// changed.
func APIAddress(live *clusterv1.Cluster) string {
	return stringOf(live.Spec.Topology.Variables, varAPIServerFloatingIP)
}
