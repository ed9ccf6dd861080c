package addon

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

// The cluster autoscaler runs in the management cluster, one for each cluster that has asked for it, because that is
// where machine deployments are. Names are those of magnum-cluster-api's helm release, whose Deployment is taken over
// by them.

// upstreamAutoscaler is the registry path of upstream's images ([auto_scaling] image_repository of magnum.conf names
// another one).
const upstreamAutoscaler = "registry.k8s.io/autoscaling"

// AutoscalerName names all that a cluster's autoscaler has in the management cluster.
func AutoscalerName(stack string) string { return stack + "-autoscaler" }

func noAutoscaler(c Cluster) string {
	switch {
	case !c.Labels.Bool(label.AutoScalingEnabled):
		return "the label " + label.AutoScalingEnabled + " is not true"
	case !c.Home.RunsPods:
		return "the management cluster runs no pods"
	}
	return ""
}

func autoscalerValues(c Cluster) m {
	return m{
		"name": AutoscalerName(c.Stack), "stack": c.Stack, "namespace": c.Home.Namespace, "kubeconfigSecret": c.Home.KubeconfigSecret,
		"kubeconfigDigest": c.Home.KubeconfigDigest,
	}
}

// autoscalerAccount is whom the Deployment runs as. What it may do is AutoscalerRole's.
func autoscalerAccount(c Cluster) []m {
	name := AutoscalerName(c.Stack)
	return []m{
		{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": m{"name": name}, "automountServiceAccountToken": false},
		{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": m{"name": name},
			"roleRef":  m{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
			"subjects": []any{m{"kind": "ServiceAccount", "name": name, "namespace": c.Home.Namespace}},
		},
	}
}

// Scaled is what an autoscaler works on, by name.
type Scaled struct {
	Deployments []string // machine deployments: what is resized
	Machines    []string // of theirs: what is marked to go first when a group shrinks
	Templates   []string // OpenStackMachineTemplates of theirs: read before the first node of an empty group
}

// AutoscalerRole is what one cluster's autoscaler may do. It changes what it is named, and nothing of another cluster.
// It reads the lists of its namespace, because its watches have no names and RBAC knows no labels: in them is no
// Secret.
//
// A rule for no names is left out: to RBAC an empty list of names means all of them.
func AutoscalerRole(c Cluster, s Scaled) *unstructured.Unstructured {
	rules := []any{m{
		"apiGroups": []any{"cluster.x-k8s.io"}, "resources": []any{"machinedeployments", "machinepools", "machines", "machinesets"},
		"verbs": []any{"get", "list", "watch"},
	}}
	for _, r := range []struct {
		group, resource string
		verbs           []any
		names           []string
	}{
		{"cluster.x-k8s.io", "machinedeployments/scale", []any{"get", "patch", "update"}, s.Deployments},
		{"cluster.x-k8s.io", "machines", []any{"patch", "update"}, s.Machines},
		{"infrastructure.cluster.x-k8s.io", "openstackmachinetemplates", []any{"get"}, s.Templates},
	} {
		var names []any
		for _, n := range slices.Compact(slices.Sorted(slices.Values(r.names))) {
			names = append(names, n)
		}
		if len(names) > 0 {
			rules = append(rules, m{"apiGroups": []any{r.group}, "resources": []any{r.resource}, "verbs": r.verbs, "resourceNames": names})
		}
	}
	role := &unstructured.Unstructured{Object: m{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": m{"name": AutoscalerName(c.Stack)}, "rules": rules,
	}}
	finish(Autoscaler, c.Home.Namespace, []*unstructured.Unstructured{role})
	return role
}

// fromOperator takes images from the operator's registry. The cluster's own mirror, a label of its tenant, does not
// decide what the management cluster runs.
func fromOperator(objects []*unstructured.Unstructured, repository string) error {
	if repository == "" {
		return nil
	}
	for _, u := range objects {
		err := eachImage(u, func(image string) (string, error) {
			if name, ok := strings.CutPrefix(image, upstreamAutoscaler+"/"); ok {
				return strings.TrimSuffix(repository, "/") + "/" + name, nil
			}
			return image, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
