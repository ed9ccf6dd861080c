package addon

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ciliumValues: magnum-cluster-api 0.38.1 keeps kube-proxy, and takes the pods' addresses from the label.
func ciliumValues(c Cluster) m {
	replicas := 2 // the chart's; two never run on one node
	if c.Masters < 2 {
		replicas = 1
	}
	return m{
		"k8sServiceHost": c.APIHost, "k8sServicePort": int64(c.APIPort),
		"ipam":     m{"mode": "cluster-pool", "operator": m{"clusterPoolIPv4PodCIDRList": []any{c.podRange()}}},
		"operator": m{"replicas": replicas, "rollOutPods": true},
		// Pods read their configuration when they start.
		"rollOutCiliumPods": true,
		"hubble":            hubble(c.Labels.Bool("cilium_hubble_ui_enabled")),
	}
}

// hubble: without it the chart refuses a relay. Its certificates would be others in each rendering, so relay and agents
// speak to each other in the clear, within the cluster's security group.
func hubble(wanted bool) m {
	out := m{"relay": m{"enabled": wanted}, "ui": m{"enabled": wanted}}
	if wanted {
		out["enabled"], out["tls"] = true, m{"enabled": false}
	}
	return out
}

// calicoPool puts the pods' addresses into Calico's manifest, which has them as a comment: calico-node finds them out
// from kubeadm otherwise, but only when it makes its pool. Traffic between nodes is always in tunnels. The manifest
// leaves it bare within one subnet (CrossSubnet), but all nodes of a cluster are in one, and Neutron's port security
// drops what does not come from a port's own address. A pool that is there already stays as it is: calico-node reads
// this once.
func calicoPool(c Cluster, objects []*unstructured.Unstructured) {
	for _, u := range objects {
		if u.GetKind() != "DaemonSet" || !strings.HasPrefix(u.GetName(), "calico-node") {
			continue
		}
		_ = eachContainer(u, func(container map[string]any) error { // a DaemonSet has containers
			if container["name"] == "calico-node" {
				setEnv(container, "CALICO_IPV4POOL_CIDR", c.podRange())
				setEnv(container, "CALICO_IPV4POOL_VXLAN", "Always")
			}
			return nil
		})
	}
}

func setEnv(container map[string]any, name, value string) {
	env, _ := container["env"].([]any) // none is an empty one
	for _, item := range env {
		if e, ok := item.(map[string]any); ok && e["name"] == name {
			e["value"] = value
			delete(e, "valueFrom")
			return
		}
	}
	container["env"] = append(env, m{"name": name, "value": value})
}
