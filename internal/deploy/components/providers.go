package components

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// provider is one of Cluster API's providers, as clusterctl knows them.
type provider struct {
	component, namespace, name, kind, deployment, version string
}

func providers(in intent.Intent) []provider {
	c := in.ClusterAPI
	return []provider{
		{"cluster-api", "capi-system", "cluster-api", "CoreProvider", "capi-controller-manager", c.CoreVersion},
		{"kubeadm-bootstrap", "capi-kubeadm-bootstrap-system", "kubeadm", "BootstrapProvider", "capi-kubeadm-bootstrap-controller-manager", c.BootstrapVersion},
		{"kubeadm-control-plane", "capi-kubeadm-control-plane-system", "kubeadm", "ControlPlaneProvider", "capi-kubeadm-control-plane-controller-manager", c.ControlPlaneVersion},
		{"cluster-api-openstack", "capo-system", "openstack", "InfrastructureProvider", "capo-controller-manager", c.InfrastructureVersion},
	}
}

// inventory are the objects by which clusterctl knows what is installed (its "Provider", v1alpha3): it would otherwise
// install everything again. Only for components that the bundle has.
func inventory(in intent.Intent, b site.Bundle) []Object {
	if !slices.ContainsFunc(b.Components, func(c site.Component) bool { return c.Name == "clusterctl-api" }) {
		return nil
	}
	var out []Object
	for _, p := range providers(in) {
		if !slices.ContainsFunc(b.Components, func(c site.Component) bool { return c.Name == p.component }) {
			continue
		}
		label := map[string]string{"CoreProvider": p.name, "BootstrapProvider": "bootstrap-" + p.name, "ControlPlaneProvider": "control-plane-" + p.name, "InfrastructureProvider": "infrastructure-" + p.name}[p.kind]
		out = append(out, Object{Component: p.component, U: &unstructured.Unstructured{Object: m{
			"apiVersion": "clusterctl.cluster.x-k8s.io/v1alpha3", "kind": "Provider",
			"metadata": m{
				"name": label, "namespace": p.namespace,
				"labels": m{"clusterctl.cluster.x-k8s.io": "", "clusterctl.cluster.x-k8s.io/core": "inventory", "cluster.x-k8s.io/provider": label},
			},
			"providerName": p.name, "type": p.kind, "version": "v" + version.Trim(p.version), "watchedNamespace": "",
		}}})
	}
	return out
}

// customise puts the operator's wishes into an object of Cluster API's providers, in place.
func customise(in intent.Intent, o Object) error {
	if o.U.GetKind() != "Deployment" {
		return nil
	}
	i := slices.IndexFunc(providers(in), func(p provider) bool { return p.component == o.Component && p.deployment == o.U.GetName() })
	if i < 0 {
		return nil
	}
	if len(in.ClusterAPI.NodeSelector) > 0 {
		if err := unstructured.SetNestedStringMap(o.U.Object, in.ClusterAPI.NodeSelector, "spec", "template", "spec", "nodeSelector"); err != nil {
			return fmt.Errorf("%s: %w", o.name(), err)
		}
	}
	if o.Component != "cluster-api-openstack" || in.ClusterAPI.InstanceCreateTimeout == 0 {
		return nil
	}
	containers, _, err := unstructured.NestedSlice(o.U.Object, "spec", "template", "spec", "containers")
	if err != nil {
		return fmt.Errorf("%s: %w", o.name(), err)
	}
	for at := range containers {
		c, ok := containers[at].(m)
		if !ok || c["name"] != "manager" {
			continue
		}
		env, _ := c["env"].([]any) // none is an empty one
		// Beside what is there: the original wiped it.
		c["env"] = append(env, m{"name": "CLUSTER_API_OPENSTACK_INSTANCE_CREATE_TIMEOUT", "value": fmt.Sprint(in.ClusterAPI.InstanceCreateTimeout)})
	}
	return unstructured.SetNestedSlice(o.U.Object, containers, "spec", "template", "spec", "containers")
}
