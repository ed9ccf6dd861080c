package kube

import (
	"testing"

	"sigs.k8s.io/yaml"
)

// The objects are what cluster-api-provider-openstack 0.13 has made so far.
func TestMissingParts(t *testing.T) {
	for object, want := range map[string]string{
		`{}`: "the network",
		`{status: {network: {id: n}, router: {id: r}}}`:                                                                                                    "the router and the security groups",
		`{spec: {apiServerLoadBalancer: {enabled: true}}, status: {network: {id: n}, controlPlaneSecurityGroup: {id: s}}}`:                                 "the load balancer of the API",
		`{spec: {apiServerLoadBalancer: {enabled: true}}, status: {network: {id: n}, controlPlaneSecurityGroup: {id: s}, apiServerLoadBalancer: {id: b}}}`: "the address of the API",
		`{spec: {apiServerLoadBalancer: {enabled: false}}, status: {network: {id: n}, controlPlaneSecurityGroup: {id: s}}}`:                                "the address of the API",
		`{status: {ready: true}}`: "",
	} {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(object), &o); err != nil {
			t.Fatal(err)
		}
		if got := missingParts(o); got != want {
			t.Errorf("%s lacks %q, want %q", object, got, want)
		}
	}
}
