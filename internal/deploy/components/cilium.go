package components

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// ciliumOptions are values of the chart that are chosen when it is deployed, and the keys of the ConfigMap that the
// chart puts them under. The rest was decided when the bundle was made.
func ciliumOptions() map[string]string {
	return map[string]string{"tunnelProtocol": "tunnel-protocol", "tunnelPort": "tunnel-port", "MTU": "mtu"}
}

const (
	ciliumReplicas = "operator.replicas"
	ciliumExtra    = "extraConfig." // the chart takes further keys of the ConfigMap as they are
)

// ciliumConfig is what the configuration decides of the agents' and the operator's configuration, as the chart would
// have rendered it.
func ciliumConfig(in intent.Intent) map[string]string {
	out := map[string]string{
		"cluster-pool-ipv4-cidr": in.Network.PodCIDR, "cluster-pool-ipv4-mask-size": fmt.Sprint(in.Network.PodMaskSize),
		"tunnel-protocol": in.Cilium.TunnelProtocol, "tunnel-port": fmt.Sprint(in.Cilium.TunnelPort),
		"kube-proxy-replacement": fmt.Sprint(in.Cilium.ReplaceKubeProxy),
	}
	if in.Cilium.ReplaceKubeProxy {
		out["kube-proxy-replacement-healthz-bind-address"] = "0.0.0.0:10256" // the collection's: load balancers ask there
		if devices := nodeDevices(in); len(devices) > 0 {
			// A container's interfaces are veth, which the agent does not take for a way to other nodes by itself, and the
			// default route is another one's (Cilium 1.20: pkg/datapath/linux/devices_controller.go).
			out["devices"] = strings.Join(devices, " ")
			if len(devices) == 1 { // with several the agent takes the one that has the node's address
				out["direct-routing-device"] = devices[0]
			}
		}
	}
	if mtu := underlayMTU(in); mtu > 0 {
		out["mtu"] = fmt.Sprint(mtu)
	}
	options := ciliumOptions()
	for path, value := range leaves("", in.Cilium.Values) {
		if key, ok := options[path]; ok {
			out[key] = fmt.Sprint(value)
		} else if key, ok := strings.CutPrefix(path, ciliumExtra); ok {
			out[key] = fmt.Sprint(value)
		}
	}
	return out
}

// nodeDevices are the interfaces that have nodes' addresses.
func nodeDevices(in intent.Intent) []string {
	var out []string
	for _, n := range in.Nodes {
		for _, net := range n.Networks {
			if strings.HasPrefix(net.Address, n.NodeIP+"/") && !slices.Contains(out, net.Interface) {
				out = append(out, net.Interface)
			}
		}
	}
	return out
}

// underlayMTU is the smallest MTU, in bytes, that the configuration gives to the networks between nodes; 0 if it gives
// none, and the agent finds out.
func underlayMTU(in intent.Intent) int {
	smallest := 0
	for _, n := range in.Nodes {
		for _, net := range n.Networks {
			if net.MTU > 0 && strings.HasPrefix(net.Address, n.NodeIP+"/") && (smallest == 0 || net.MTU < smallest) {
				smallest = net.MTU
			}
		}
	}
	return smallest
}

// leaves are the values of a tree by their paths, "operator.replicas".
func leaves(prefix string, tree map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range tree {
		if branch, ok := value.(map[string]any); ok {
			maps.Copy(out, leaves(prefix+key+".", branch))
			continue
		}
		out[prefix+key] = value
	}
	return out
}

// Fits finds what the configuration asks of Cilium and the bundle cannot give: its chart was rendered when it was made.
func Fits(in intent.Intent, b site.Bundle) []error {
	i := slices.IndexFunc(b.Components, func(c site.Component) bool { return c.Name == site.Cilium })
	if i < 0 {
		return nil
	}
	var errs []error
	want, have := version.Trim(in.Versions.Cilium), b.Versions[site.Cilium]
	// A version that nobody wrote is the collection's default, and older than what this Kubernetes works with.
	if in.Origin("versions.cilium").Pos.File != "" && want != have {
		errs = append(errs, fmt.Errorf("the configuration asks for Cilium %s (cilium_image_tag), the bundle has %s: take the line out, or build a bundle with that version", want, have))
	}
	rendered := leaves("", b.Components[i].Values)
	asked := leaves("", in.Cilium.Values)
	for _, path := range slices.Sorted(maps.Keys(asked)) {
		if _, ok := ciliumOptions()[path]; ok || path == ciliumReplicas || strings.HasPrefix(path, ciliumExtra) {
			continue
		}
		if value, ok := rendered[path]; !ok || fmt.Sprint(value) != fmt.Sprint(asked[path]) {
			errs = append(errs, fmt.Errorf("cilium_helm_values has %s, and the bundle's Cilium was rendered with another value: "+
				"write it under chart.values of the manifest cilium in bundle.lock.yaml and build the bundle with --record", path))
		}
	}
	return errs
}

// customiseCilium puts what the configuration decides into the objects of Cilium's chart, in place.
func customiseCilium(in intent.Intent, objects []Object) error {
	at := func(kind, name string) (*unstructured.Unstructured, error) {
		i := slices.IndexFunc(objects, func(o Object) bool { return o.U.GetKind() == kind && o.U.GetName() == name })
		if i < 0 {
			return nil, fmt.Errorf("the chart has no %s %s", kind, name)
		}
		return objects[i].U, nil
	}
	config, err1 := at("ConfigMap", "cilium-config")
	agents, err2 := at("DaemonSet", site.Cilium)
	operator, err3 := at("Deployment", "cilium-operator")
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	sum, err := configureCilium(in, config)
	if err != nil {
		return err
	}
	for _, workload := range []*unstructured.Unstructured{agents, operator} {
		// The chart's own annotation (rollOutCiliumPods): pods read the ConfigMap when they start.
		if err := unstructured.SetNestedField(workload.Object, sum, "spec", "template", "metadata", "annotations", "cilium.io/cilium-configmap-checksum"); err != nil {
			return fmt.Errorf("%s: %w", workload.GetName(), err)
		}
		if !in.Cilium.ReplaceKubeProxy {
			continue
		}
		// Nobody but the agent would translate the service's address by which it reaches the API server.
		if err := reachAPI(in, workload); err != nil {
			return fmt.Errorf("%s: %w", workload.GetName(), err)
		}
	}
	return scaleOperator(in, operator)
}

// configureCilium changes the ConfigMap, and gives a checksum of it.
func configureCilium(in intent.Intent, config *unstructured.Unstructured) (string, error) {
	data, _, err := unstructured.NestedStringMap(config.Object, "data")
	if err != nil {
		return "", fmt.Errorf("cilium-config: %w", err)
	}
	for _, key := range []string{"cluster-pool-ipv4-cidr", "cluster-pool-ipv4-mask-size", "tunnel-protocol", "tunnel-port", "kube-proxy-replacement"} {
		if _, ok := data[key]; !ok { // renamed in another version, or the chart was rendered for something else
			return "", fmt.Errorf("cilium-config has no %s: it has to be rendered with ipam.mode cluster-pool, routingMode tunnel and a tunnelPort", key)
		}
	}
	maps.Copy(data, ciliumConfig(in))
	hash := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(data)) {
		_, _ = fmt.Fprintf(hash, "%s\x00%s\x00", key, data[key]) // a hash takes everything
	}
	return hex.EncodeToString(hash.Sum(nil)), unstructured.SetNestedStringMap(config.Object, data, "data")
}

// reachAPI makes a workload's containers use the API server's own address, as the chart's k8sServiceHost does.
func reachAPI(in intent.Intent, workload *unstructured.Unstructured) error {
	for _, list := range []string{"containers", "initContainers"} {
		containers, _, err := unstructured.NestedSlice(workload.Object, "spec", "template", "spec", list)
		if err != nil {
			return err
		}
		for _, item := range containers {
			c, ok := item.(m)
			if !ok || !slices.Contains([]any{"cilium-agent", "cilium-operator", "config", "clean-cilium-state"}, c["name"]) {
				continue
			}
			env, _ := c["env"].([]any) // none is an empty one
			c["env"] = append(
				env, m{"name": "KUBERNETES_SERVICE_HOST", "value": in.Kubernetes.ControlPlaneHost},
				m{"name": "KUBERNETES_SERVICE_PORT", "value": fmt.Sprint(in.Kubernetes.ControlPlanePort)},
			)
		}
		if len(containers) == 0 {
			continue
		}
		if err := unstructured.SetNestedSlice(workload.Object, containers, "spec", "template", "spec", list); err != nil {
			return err
		}
	}
	return nil
}

// scaleOperator: two never run on one node, and a second one without a node would never become available.
func scaleOperator(in intent.Intent, operator *unstructured.Unstructured) error {
	replicas := int64(min(2, len(in.Nodes)))
	if value, ok := leaves("", in.Cilium.Values)[ciliumReplicas]; ok {
		n, err := strconv.ParseInt(fmt.Sprint(value), 10, 32)
		if err != nil || n < 1 {
			return fmt.Errorf("cilium_helm_values: %s is no number of replicas", ciliumReplicas)
		}
		replicas = n
	}
	if err := unstructured.SetNestedField(operator.Object, replicas, "spec", "replicas"); err != nil {
		return fmt.Errorf("%s: %w", operator.GetName(), err)
	}
	if replicas > 1 {
		return nil
	}
	// The chart's: otherwise the old one keeps the node that the new one needs.
	return unstructured.SetNestedField(operator.Object, "100%", "spec", "strategy", "rollingUpdate", "maxUnavailable")
}
