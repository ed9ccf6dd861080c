package capi_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
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
	out, err := capi.Cluster(c, g, capi.Options{Class: class})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

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
	tp.Variables = dropVariable(tp.Variables, "dockerVolume", "etcdVolume", "proxy", "nodeLabels", "nodeTaints")
	tp.Variables = setVariable(tp.Variables, "containerdConfig", `"dmVyc2lvbiA9IDI="`)
	tp.Variables = setVariable(tp.Variables, "disableAPIServerFloatingIPManaged", `false`)
	tp.Variables = setVariable(tp.Variables, "apiServerLoadBalancer", `{"enabled":true,"flavor":"","availabilityZone":""}`)
	md := &tp.Workers.MachineDeployments[0]
	md.Variables.Overrides = dropVariable(md.Variables.Overrides, "dockerVolume")
	return c
}

func TestMerge(t *testing.T) {
	tests := map[string]struct {
		reason  string
		live    *clusterv1.Cluster
		desired *clusterv1.Cluster
		upgrade bool
		want    func(*clusterv1.Cluster) // changes the live Cluster into what is expected
	}{
		"nothing to do": {
			"equal objects are not written again", written(t, ours, nil), written(t, ours, nil), false, func(*clusterv1.Cluster) {},
		},
		"the same upgrade again": {
			"an upgrade to what is there replaces no machine", written(t, ours, nil), written(t, ours, nil), true, func(*clusterv1.Cluster) {},
		},
		"resize": {
			"counts move, the machines' variables do not, even when the image or a default has changed since", written(t, ours, nil),
			written(t, "jeroboam-openstack-new", func(c *magnum.Cluster, g groups) groups {
				c.Resolved.ImageID, c.Labels["kube_tag"] = netID, "v1.35.0"
				g[0].NodeCount, g[1].NodeCount = 3, 5
				return g
			}), false,
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
			}), false,
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
			}(), written(t, ours, nil), true, func(*clusterv1.Cluster) {},
		},
		"groups come and go": {
			"the live order is kept", written(t, ours, func(_ *magnum.Cluster, g groups) groups {
				return append(g, &magnum.NodeGroup{ID: 3, Name: "old", Role: "worker", NodeCount: 1}, &magnum.NodeGroup{ID: 4, Name: "kept", Role: "worker", NodeCount: 1})
			}),
			written(t, ours, func(_ *magnum.Cluster, g groups) groups {
				return append(g, &magnum.NodeGroup{ID: 1, Name: "kept", Role: "worker", NodeCount: 2}, &magnum.NodeGroup{ID: 5, Name: "new", Role: "worker", NodeCount: 1})
			}), false,
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
			}), false,
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
			}), true,
			func(c *clusterv1.Cluster) {
				fresh := written(t, ours, nil).Spec.Topology
				tp := &c.Spec.Topology
				tp.ClassRef.Name, tp.Version = ours, "v1.35.0"
				tp.Variables = dropVariable(tp.Variables, "containerdConfig", "disableAPIServerFloatingIPManaged", "disableAPIServerFloatingIP")
				for _, v := range fresh.Variables {
					if v.Name == "etcdVolume" || v.Name == "dockerVolume" || v.Name == "proxy" {
						tp.Variables = append(tp.Variables, v)
					}
				}
				md := &tp.Workers.MachineDeployments[0]
				md.Variables.Overrides = append(md.Variables.Overrides, fresh.Workers.MachineDeployments[0].Variables.Overrides[1])
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			want, before := tc.live.DeepCopy(), tc.desired.DeepCopy()
			tc.want(want)
			should := !cmp.Equal(tc.live, want)
			changed := capi.Merge(tc.live, tc.desired, tc.upgrade)
			if diff := cmp.Diff(want, tc.live); diff != "" || changed != should {
				t.Errorf("%s: changed is %v: -want +got\n%s", tc.reason, changed, diff)
			}
			if capi.Merge(tc.live, tc.desired, tc.upgrade) {
				t.Errorf("%s: a second merge changes again", tc.reason)
			}
			if diff := cmp.Diff(before, tc.desired); diff != "" {
				t.Errorf("the desired Cluster was changed:\n%s", diff)
			}
		})
	}
}
