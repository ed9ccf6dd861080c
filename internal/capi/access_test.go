package capi_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
)

// TestTheManagementClusterIsNotLockedOut: magnum.conf says where the management cluster comes from. Whatever becomes of
// that setting, no cluster that has a list of who may reach it gets one without the management cluster.
func TestTheManagementClusterIsNotLockedOut(t *testing.T) {
	const owners = "198.51.100.0/24"
	wanted := func(t *testing.T, class, label string, management ...string) capi.Wanted {
		t.Helper()
		c, g := aCluster()
		if label != "" {
			c.Labels["api_server_allowed_cidrs"] = label
		}
		w, err := capi.Cluster(c, g, capi.Options{Class: class, ManagementCIDRs: management})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	cases := map[string]struct {
		reason string
		class  string
		label  string   // of the cluster, now
		now    []string // management_cidrs, now; at first: 192.0.2.0/24
		want   string
		warns  bool
	}{
		"as it was":           {reason: "Nothing to do.", label: owners, now: []string{"192.0.2.0/24"}, want: `["198.51.100.0/24","192.0.2.0/24"]`},
		"another one":         {reason: "It has moved, and the operator says where to.", label: owners, now: []string{"203.0.113.0/24"}, want: `["198.51.100.0/24","203.0.113.0/24"]`},
		"one more":            {reason: "Before it moves.", label: owners, now: []string{"192.0.2.0/24", "203.0.113.0/24"}, want: `["198.51.100.0/24","192.0.2.0/24","203.0.113.0/24"]`},
		"emptied":             {reason: "Nobody said that it may be locked out: the list stays.", label: owners, want: `["198.51.100.0/24","192.0.2.0/24"]`, warns: true},
		"emptied, upgraded":   {reason: "Nor does an upgrade to another class open it to everybody.", class: "new", label: owners, want: `["198.51.100.0/24","192.0.2.0/24"]`, warns: true},
		"emptied, other list": {reason: "Refused at the request; if it comes in spite of that, it waits.", label: "198.51.100.7/32", want: `["198.51.100.0/24","192.0.2.0/24"]`, warns: true},
		"emptied, no list":    {reason: "The owner lets everybody in: nobody is locked out.", want: `[]`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			live := wanted(t, "class", owners, "192.0.2.0/24").Cluster
			now := wanted(t, strings.Join(append([]string{"class"}, strings.Fields(tc.class)...), "-"), tc.label, tc.now...)
			if (len(now.Warnings) > 0) != tc.warns {
				t.Errorf("%s: warnings %v", tc.reason, now.Warnings)
			}
			capi.Apply(live, capi.Plan(live, now.Cluster, capi.Request{Upgrade: tc.class != ""}))
			if diff := cmp.Diff(tc.want, allowed(live)); diff != "" {
				t.Errorf("%s: %s", tc.reason, diff)
			}
		})
	}
	// A new cluster is not made open, and not made without the management cluster: its controller takes warnings for
	// errors then.
	if w := wanted(t, "class", owners); len(w.Warnings) != 1 || !strings.Contains(w.Warnings[0].Error(), "management_cidrs") {
		t.Errorf("a new cluster: %v", w.Warnings)
	}
}

func allowed(c *clusterv1.Cluster) string {
	for _, v := range c.Spec.Topology.Variables {
		if v.Name == "apiServerAllowedCIDRs" {
			return string(v.Value.Raw)
		}
	}
	return "not there"
}
