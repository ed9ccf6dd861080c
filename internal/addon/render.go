package addon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Namespace is where addons live in a workload cluster, as magnum-cluster-api has them.
const Namespace = "kube-system"

// Label is on every object of an addon and names it: what is found by it and wanted no longer is pruned.
const Label = "magnum.jeroboam.cloud/addon"

// render makes an entry's objects. Rendering is a function of its arguments: a chart that asks a cluster something
// ("lookup") gets no answer, as with "helm template".
func (e *entry) render(release, kubernetes string, values map[string]any) ([]*unstructured.Unstructured, error) {
	if e.chart == nil {
		return documents(e.File, e.plain)
	}
	version, err := chartutil.ParseKubeVersion(kubernetes)
	if err != nil {
		return nil, fmt.Errorf("kubernetes version %q: %w", kubernetes, err)
	}
	all := chartutil.CoalesceTables(deepCopy(values), deepCopy(e.Values))
	in, err := chartutil.ToRenderValues(e.chart, all,
		chartutil.ReleaseOptions{Name: release, Namespace: Namespace, Revision: 1, IsInstall: true},
		&chartutil.Capabilities{KubeVersion: *version, APIVersions: chartutil.DefaultVersionSet, HelmVersion: chartutil.DefaultCapabilities.HelmVersion})
	if err != nil {
		return nil, fmt.Errorf("%s: values: %w", e.File, err)
	}
	files, err := engine.Render(e.chart, in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.File, err)
	}
	var out []*unstructured.Unstructured
	for _, crd := range e.chart.CRDObjects() {
		objects, err := documents(crd.Filename, crd.File.Data)
		if err != nil {
			return nil, err
		}
		out = append(out, objects...)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if base := path.Base(name); strings.HasPrefix(base, "_") || base == "NOTES.txt" {
			continue
		}
		objects, err := documents(name, []byte(files[name]))
		if err != nil {
			return nil, err
		}
		out = append(out, objects...)
	}
	return out, nil
}

func deepCopy(in map[string]any) map[string]any {
	if in == nil {
		return map[string]any{}
	}
	out := make(map[string]any, len(in))
	for k, v := range in {
		if m, ok := v.(map[string]any); ok {
			v = deepCopy(m)
		}
		out[k] = v
	}
	return out
}

// documents reads the objects of a YAML file. Helm's hooks are left out: they belong to helm's own way of installing.
func documents(name string, text []byte) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	dec := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		u := &unstructured.Unstructured{}
		err := dec.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(u.Object) == 0 || u.GetAnnotations()["helm.sh/hook"] != "" {
			continue
		}
		if u.GetKind() == "" || u.GetAPIVersion() == "" || u.GetName() == "" {
			return nil, fmt.Errorf("%s: an object has no apiVersion, kind or name", name)
		}
		out = append(out, u)
	}
}

// finish makes rendered objects ours: in a namespace, with our label, without what only a server writes, in the order
// in which they can be applied.
func finish(name, namespace string, objects []*unstructured.Unstructured) {
	for _, u := range objects {
		prune(u.Object)
		unstructured.RemoveNestedField(u.Object, "status")
		unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
		if u.GetNamespace() == "" && !clusterScoped(u.GetKind()) {
			u.SetNamespace(namespace)
		}
		labels := u.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels[Label] = name
		u.SetLabels(labels)
	}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return rank(a.GetKind()) - rank(b.GetKind()) })
}

// prune takes away fields without a value, which templates leave: server-side apply would own them as null.
func prune(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if value == nil {
				delete(v, key)
				continue
			}
			prune(value)
		}
	case []any:
		for _, item := range v {
			prune(item)
		}
	}
}

// clusterScoped tells whether objects of a kind that an addon brings live in no namespace. A kind that is missing here
// is found by the test that applies every addon to a real API server.
func clusterScoped(kind string) bool {
	return slices.Contains([]string{
		"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "StorageClass", "CSIDriver", "PriorityClass",
		"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
		"APIService", "IngressClass", "GatewayClass", "VolumeSnapshotClass", "RuntimeClass",
	}, kind)
}

// rank orders kinds: what others refer to comes first.
func rank(kind string) int {
	order := []string{
		"Namespace", "CustomResourceDefinition", "PriorityClass", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding",
		"Secret", "ConfigMap", "StorageClass", "CSIDriver", "Service",
	}
	if i := slices.Index(order, kind); i >= 0 {
		return i
	}
	return len(order)
}
