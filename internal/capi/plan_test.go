package capi_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

const ours = "jeroboam-openstack-0123456789"

// written is a Cluster as the API server would hold it.
func written(t *testing.T, class string, change changer) *clusterv1.Cluster {
	t.Helper()
	c, g := aCluster()
	if change != nil {
		g = change(c, g)
	}
	out, err := capi.Cluster(c, g, capi.Options{Class: class, ManagementCIDRs: []string{"10.9.0.0/16"}})
	if err != nil || len(out.Faults) > 0 {
		t.Fatal(err, out.Faults)
	}
	return out.Cluster
}

// withGPU adds a group with an image of its own.
func withGPU(image string, nodes int) changer {
	return func(_ *magnum.Cluster, g groups) groups {
		return append(g, &magnum.NodeGroup{
			ID: 3, Name: "gpu", Role: "gpu", NodeCount: nodes, ImageID: "gpu-image", Resolved: magnum.Resolved{ImageID: image, FlavorName: "g1"},
		})
	}
}

// workers asks for other machines of the default workers.
var workers = map[string]int{magnum.DefaultWorker: 0}

func setVariable(vs []clusterv1.ClusterVariable, name, value string) []clusterv1.ClusterVariable {
	v := clusterv1.ClusterVariable{Name: name, Value: apiextensionsv1.JSON{Raw: []byte(value)}}
	for i := range vs {
		if vs[i].Name == name {
			vs[i] = v
			return vs
		}
	}
	return append(vs, v)
}

func dropVariable(vs []clusterv1.ClusterVariable, names ...string) []clusterv1.ClusterVariable {
	return slices.DeleteFunc(vs, func(v clusterv1.ClusterVariable) bool { return slices.Contains(names, v.Name) })
}

// pythons is a Cluster that magnum-cluster-api made: its class has other variables, of our own it knows only some.
func pythons(t *testing.T) *clusterv1.Cluster {
	t.Helper()
	c := written(t, "magnum-v0.38.1", nil)
	tp := &c.Spec.Topology
	tp.Variables = dropVariable(tp.Variables, "dockerVolume", "etcdVolume", "proxy", "nodeLabels", "nodeTaints", "controlPlaneRotation", "workerRotation")
	tp.Variables = setVariable(tp.Variables, "containerdConfig", `"dmVyc2lvbiA9IDI="`)
	tp.Variables = setVariable(tp.Variables, "disableAPIServerFloatingIPManaged", `false`)
	tp.Variables = setVariable(tp.Variables, "apiServerLoadBalancer", `{"enabled":true,"flavor":"","availabilityZone":""}`)
	md := &tp.Workers.MachineDeployments[0]
	md.Variables.Overrides = dropVariable(md.Variables.Overrides, "dockerVolume")
	return c
}

// fromBefore is a Cluster of our own last class, which did not know who may reach it.
func fromBefore(t *testing.T) *clusterv1.Cluster {
	t.Helper()
	c := written(t, ours, nil)
	c.Spec.Topology.Variables = dropVariable(c.Spec.Topology.Variables, "apiServerAllowedCIDRs", "nodePorts")
	return c
}

func TestPlan(t *testing.T) {
	tests := map[string]struct {
		reason  string
		live    *clusterv1.Cluster
		desired *clusterv1.Cluster
		request capi.Request
		want    func(*clusterv1.Cluster) // changes the live Cluster into what is expected
	}{
		"nothing to do": {
			"equal objects are not written again", written(t, ours, nil), written(t, ours, nil), capi.Request{}, func(*clusterv1.Cluster) {},
		},
		"the same upgrade again": {
			"an upgrade to what is there replaces no machine", written(t, ours, nil), written(t, ours, nil), capi.Request{Upgrade: true, Machines: workers}, func(*clusterv1.Cluster) {},
		},
		"resize": {
			"counts move, the machines' variables do not, even when the image or a default has changed since", written(t, ours, nil),
			written(t, "jeroboam-openstack-new", func(c *magnum.Cluster, g groups) groups {
				c.Resolved.ImageID, c.Labels["kube_tag"] = netID, "v1.35.0"
				g[0].NodeCount, g[1].NodeCount = 3, 5
				return g
			}),
			capi.Request{},
			func(c *clusterv1.Cluster) {
				c.Spec.Topology.ControlPlane.Replicas = new(int32(3))
				c.Spec.Topology.Workers.MachineDeployments[0].Replicas = new(int32(5))
			},
		},
		"the autoscaler takes over": {
			"its bounds come, the count goes", written(t, ours, nil),
			written(t, ours, func(c *magnum.Cluster, g groups) groups {
				c.Labels["auto_scaling_enabled"], g[1].MinNodeCount = "true", 1
				return g
			}),
			capi.Request{},
			func(c *clusterv1.Cluster) {
				md := &c.Spec.Topology.Workers.MachineDeployments[0]
				md.Replicas = nil
				md.Metadata.Annotations = map[string]string{clusterv1.AutoscalerMinSizeAnnotation: "1", clusterv1.AutoscalerMaxSizeAnnotation: "2"}
			},
		},
		"what others wrote": {
			"fields and variables we do not know stay", func() *clusterv1.Cluster {
				c := written(t, ours, nil)
				c.Spec.Paused = new(false)
				c.Annotations = map[string]string{"someone": "was here"}
				c.Spec.Topology.Variables = setVariable(c.Spec.Topology.Variables, "theirs", `1`)
				c.Spec.Topology.Workers.MachineDeployments[0].MinReadySeconds = new(int32(7))
				return c
			}(), written(t, ours, nil), capi.Request{Upgrade: true, Machines: workers}, func(*clusterv1.Cluster) {},
		},
		"groups come and go": {
			"the live order is kept", written(t, ours, func(_ *magnum.Cluster, g groups) groups {
				return append(g, &magnum.NodeGroup{ID: 3, Name: "old", Role: "worker", NodeCount: 1}, &magnum.NodeGroup{ID: 4, Name: "kept", Role: "worker", NodeCount: 1})
			}),
			written(t, ours, func(_ *magnum.Cluster, g groups) groups {
				return append(g, &magnum.NodeGroup{ID: 1, Name: "kept", Role: "worker", NodeCount: 2}, &magnum.NodeGroup{ID: 5, Name: "new", Role: "worker", NodeCount: 1})
			}),
			capi.Request{},
			func(c *clusterv1.Cluster) {
				mds := &c.Spec.Topology.Workers.MachineDeployments
				fresh := *(*mds)[1].DeepCopy()
				fresh.Name, fresh.Metadata.Labels[capi.NodeGroupLabel] = "new", "new"
				(*mds)[2].Replicas = new(int32(2))
				*mds = []clusterv1.MachineDeploymentTopology{(*mds)[0], (*mds)[2], fresh}
			},
		},
		"a group on an old class": {
			"the old class would refuse variables it does not define", pythons(t),
			written(t, ours, func(_ *magnum.Cluster, g groups) groups {
				return append(g, &magnum.NodeGroup{ID: 3, Name: "new", Role: "worker", NodeCount: 1, NodeLabels: map[string]string{"a": "b"}})
			}),
			capi.Request{},
			func(c *clusterv1.Cluster) {
				mds := &c.Spec.Topology.Workers.MachineDeployments
				fresh := *(*mds)[0].DeepCopy()
				fresh.Name, fresh.Replicas, fresh.Metadata.Labels[capi.NodeGroupLabel] = "new", new(int32(1)), "new"
				*mds = append(*mds, fresh)
			},
		},
		"upgrade from an old class": {
			"OpenStackCluster keeps its load balancer and its silence about floating IPs; variables of the old class go", pythons(t),
			written(t, ours, func(c *magnum.Cluster, g groups) groups {
				c.Labels["kube_tag"], c.Resolved.ExternalNetworkID, c.Labels["api_server_lb_flavor"] = "v1.35.0", netID, "new"
				return g
			}),
			capi.Request{Upgrade: true, Machines: workers},
			func(c *clusterv1.Cluster) {
				fresh := written(t, ours, nil).Spec.Topology
				tp := &c.Spec.Topology
				tp.ClassRef.Name, tp.Version = ours, "v1.35.0"
				tp.Variables = dropVariable(tp.Variables, "containerdConfig", "disableAPIServerFloatingIPManaged", "disableAPIServerFloatingIP")
				for _, v := range fresh.Variables {
					if slices.Contains([]string{"etcdVolume", "dockerVolume", "proxy", "controlPlaneRotation", "workerRotation"}, v.Name) {
						tp.Variables = append(tp.Variables, v)
					}
				}
				md := &tp.Workers.MachineDeployments[0]
				md.Variables.Overrides = append(md.Variables.Overrides, fresh.Workers.MachineDeployments[0].Variables.Overrides[1])
			},
		},
		"the same template again": {
			"a newer class, proxy and name servers of the template, an image rebuilt under its name: an upgrade rolls them all", written(t, ours, nil),
			written(t, "jeroboam-openstack-new", func(c *magnum.Cluster, g groups) groups {
				c.Resolved.ImageID, c.Template.HTTPProxy, c.Template.DNSNameserver = netID, "http://proxy.example.org:3128", "1.1.1.1"
				return g
			}),
			capi.Request{Upgrade: true, Machines: workers},
			func(c *clusterv1.Cluster) {
				tp := &c.Spec.Topology
				tp.ClassRef.Name = "jeroboam-openstack-new"
				tp.Variables = setVariable(tp.Variables, "imageUUID", `"`+netID+`"`)
				tp.Variables = setVariable(tp.Variables, "proxy", `{"http":"http://proxy.example.org:3128","https":"","noProxy":""}`)
				tp.Variables = setVariable(tp.Variables, "dnsNameservers", `["1.1.1.1"]`)
				md := &tp.Workers.MachineDeployments[0]
				md.Variables.Overrides = setVariable(md.Variables.Overrides, "imageUUID", `"`+netID+`"`)
			},
		},
		"a group with an image of its own": {
			"it does not follow: image and version stay until it is asked for by name", written(t, ours, withGPU(subnetID, 1)),
			written(t, ours, func(c *magnum.Cluster, g groups) groups {
				c.Labels["kube_tag"], c.Resolved.ImageID = "v1.35.0", netID
				return withGPU(extID, 1)(c, g)
			}),
			capi.Request{Upgrade: true, Machines: workers},
			func(c *clusterv1.Cluster) {
				tp := &c.Spec.Topology
				tp.Version, tp.Variables = "v1.35.0", setVariable(tp.Variables, "imageUUID", `"`+netID+`"`)
				md := &tp.Workers.MachineDeployments[0]
				md.Variables.Overrides = setVariable(md.Variables.Overrides, "imageUUID", `"`+netID+`"`)
				tp.Workers.MachineDeployments[1].Metadata.Annotations = map[string]string{clusterv1.ClusterTopologyDeferUpgradeAnnotation: ""}
			},
		},
		"that group, by name": {
			"only what was asked: not the class, not the variables, not the other group", func() *clusterv1.Cluster {
				c := written(t, ours, withGPU(subnetID, 1))
				c.Spec.Topology.Workers.MachineDeployments[1].Metadata.Annotations = map[string]string{clusterv1.ClusterTopologyDeferUpgradeAnnotation: ""}
				return c
			}(),
			written(t, "jeroboam-openstack-new", func(c *magnum.Cluster, g groups) groups {
				c.Template.HTTPProxy, c.Resolved.ImageID = "http://proxy.example.org:3128", netID
				return withGPU(extID, 1)(c, g)
			}),
			capi.Request{Machines: map[string]int{"gpu": 3}},
			func(c *clusterv1.Cluster) {
				md := &c.Spec.Topology.Workers.MachineDeployments[1]
				md.Metadata.Annotations = map[string]string{}
				md.Variables.Overrides = setVariable(md.Variables.Overrides, "imageUUID", `"`+extID+`"`)
				md.Rollout.Strategy.Type = clusterv1.RollingUpdateMachineDeploymentStrategyType
				md.Rollout.Strategy.RollingUpdate.MaxSurge, md.Rollout.Strategy.RollingUpdate.MaxUnavailable = new(intstr.FromInt(3)), new(intstr.FromInt(0))
			},
		},
		"a group that cannot be written": {
			"it stays as it is, and the others go on", written(t, ours, withGPU(subnetID, 1)),
			written(t, ours, func(_ *magnum.Cluster, g groups) groups { g[1].NodeCount = 4; return g }),
			capi.Request{Keep: []string{"gpu"}},
			func(c *clusterv1.Cluster) { c.Spec.Topology.Workers.MachineDeployments[0].Replicas = new(int32(4)) },
		},
		"labels of nodes change": {
			"what we asked for once goes, what others set stays, and no machine is replaced", func() *clusterv1.Cluster {
				label := map[string]string{"node.cluster.x-k8s.io/a": "1", "node.cluster.x-k8s.io/b": "1", "example.com/registered": "x"}
				c := written(t, ours, func(_ *magnum.Cluster, g groups) groups { g[1].NodeLabels = label; return g })
				capi.Apply(c, capi.Plan(c, c.DeepCopy(), capi.Request{Asked: capi.Asked{Groups: map[string]capi.AskedGroup{magnum.DefaultWorker: {}}}}))
				c.Spec.Topology.Workers.MachineDeployments[0].Metadata.Labels["theirs"] = "yes"
				return c
			}(),
			written(t, ours, func(_ *magnum.Cluster, g groups) groups {
				g[1].NodeLabels = map[string]string{"node.cluster.x-k8s.io/b": "2", "example.com/other": "y"}
				return g
			}),
			capi.Request{},
			func(c *clusterv1.Cluster) {
				labels := c.Spec.Topology.Workers.MachineDeployments[0].Metadata.Labels
				delete(labels, "node.cluster.x-k8s.io/a")
				labels["node.cluster.x-k8s.io/b"] = "2"
			},
		},
		"who may reach it": {
			"a list of addresses changes at once, without an upgrade and without a new machine", written(t, ours, nil),
			written(t, ours, func(c *magnum.Cluster, g groups) groups {
				c.Labels["api_server_allowed_cidrs"], c.Labels["node_port_allowed_cidrs"] = "192.0.2.0/24", "0.0.0.0/0"
				return g
			}),
			capi.Request{},
			func(c *clusterv1.Cluster) {
				tp := &c.Spec.Topology
				tp.Variables = setVariable(tp.Variables, "apiServerAllowedCIDRs", `["192.0.2.0/24","10.9.0.0/16"]`)
				tp.Variables = setVariable(tp.Variables, "nodePorts", `{"asked":true,"cidrs":["0.0.0.0/0"]}`)
			},
		},
		"nobody says who may reach it any more": {
			"the defaults come back", written(t, ours, func(c *magnum.Cluster, g groups) groups {
				c.Labels["api_server_allowed_cidrs"], c.Labels["node_port_allowed_cidrs"] = "192.0.2.0/24", "0.0.0.0/0"
				return g
			}),
			written(t, ours, nil),
			capi.Request{},
			func(c *clusterv1.Cluster) {
				tp := &c.Spec.Topology
				tp.Variables = setVariable(tp.Variables, "apiServerAllowedCIDRs", `[]`)
				tp.Variables = setVariable(tp.Variables, "nodePorts", `{"asked":false,"cidrs":["10.0.0.0/24"]}`)
			},
		},
		"a class that does not know who may reach it": {
			"it would refuse the variable: an upgrade has to come first", fromBefore(t),
			written(t, "jeroboam-openstack-new", func(c *magnum.Cluster, g groups) groups {
				c.Labels["api_server_allowed_cidrs"] = "192.0.2.0/24"
				return g
			}),
			capi.Request{},
			func(*clusterv1.Cluster) {},
		},
		"that upgrade": {
			"ports of Services stay open to the world where they were: somebody may rely on it", fromBefore(t),
			written(t, "jeroboam-openstack-new", nil),
			capi.Request{Upgrade: true},
			func(c *clusterv1.Cluster) {
				tp := &c.Spec.Topology
				tp.ClassRef.Name = "jeroboam-openstack-new"
				tp.Variables = append(tp.Variables, clusterv1.ClusterVariable{Name: "apiServerAllowedCIDRs", Value: apiextensionsv1.JSON{Raw: []byte(`[]`)}},
					clusterv1.ClusterVariable{Name: "nodePorts", Value: apiextensionsv1.JSON{Raw: []byte(`{"asked":false,"cidrs":["0.0.0.0/0"]}`)}})
			},
		},
		"a step of a rotation": {
			"the control plane first; workers when their turn comes", written(t, ours, nil), written(t, "jeroboam-openstack-new", nil),
			capi.Request{Rotation: &capi.Rotation{ControlPlane: "1.1"}},
			func(c *clusterv1.Cluster) {
				c.Spec.Topology.Variables = setVariable(c.Spec.Topology.Variables, "controlPlaneRotation", `{"step":"1.1","signer":""}`)
			},
		},
		"a rotation of a class that does not know of it": {
			"the API server refuses it; here nothing happens", pythons(t), written(t, ours, nil),
			capi.Request{Rotation: &capi.Rotation{ControlPlane: "1.1", Workers: "1.1"}},
			func(*clusterv1.Cluster) {},
		},
		"an upgrade after a rotation": {
			"the last step stays, so that machines are replaced for the upgrade alone", func() *clusterv1.Cluster {
				c := written(t, ours, nil)
				c.Spec.Topology.Variables = setVariable(c.Spec.Topology.Variables, "workerRotation", `"1.3"`)
				return c
			}(), written(t, ours, nil), capi.Request{Upgrade: true, Machines: workers}, func(*clusterv1.Cluster) {},
		},
		"a roll after labels were taken away": {
			"new machines do not register with what is wanted no more", written(t, ours, func(_ *magnum.Cluster, g groups) groups {
				g[1].NodeLabels = map[string]string{"example.com/registered": "x"}
				return g
			}), written(t, ours, nil),
			capi.Request{Machines: workers},
			func(c *clusterv1.Cluster) {
				md := &c.Spec.Topology.Workers.MachineDeployments[0]
				md.Variables.Overrides = dropVariable(md.Variables.Overrides, "nodeLabels")
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			want, before, live := tc.live.DeepCopy(), tc.desired.DeepCopy(), tc.live.DeepCopy()
			tc.want(want)
			ch := capi.Plan(live, tc.desired, tc.request)
			if diff := cmp.Diff(tc.live, live); diff != "" {
				t.Errorf("planning changed the live Cluster:\n%s", diff)
			}
			capi.Apply(live, ch)
			note := live.Annotations[capi.AskedAnnotation]
			if note == "" {
				t.Error("nobody can see which requests the Cluster carries")
			}
			want.Annotations = map[string]string{}
			for k, v := range tc.live.Annotations {
				want.Annotations[k] = v
			}
			want.Annotations[capi.AskedAnnotation] = note
			if diff := cmp.Diff(want, live); diff != "" {
				t.Errorf("%s: %s: -want +got\n%s", tc.reason, ch, diff)
			}
			if again := capi.Plan(live, tc.desired, tc.request); !again.Empty() {
				t.Errorf("%s: a second plan changes again: %+v", tc.reason, again)
			}
			if diff := cmp.Diff(before, tc.desired); diff != "" {
				t.Errorf("the desired Cluster was changed:\n%s", diff)
			}
		})
	}
}
