package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
)

// pageSize bounds what is in memory at once.
const pageSize = 200

// exported says whether objects of an API group are in a backup as YAML: Cluster API's groups, its provider's resource
// controller, Magnum's records.
func exported(group string) bool {
	return group == "cluster.x-k8s.io" || strings.HasSuffix(group, ".cluster.x-k8s.io") || group == "openstack.k-orc.cloud" || group == v1alpha1.GroupVersion().Group
}

// objects lists everything exported, and with it the Secrets and ConfigMaps of the namespaces that it is in: clusters
// are of no use without their authorities. add is given one page at a time. What cannot be listed is told and left out:
// etcd's snapshot has it.
func objects(ctx context.Context, kubeconfig []byte, server string, add func(name string, text []byte) error) (int, []string, error) {
	cfg, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return 0, nil, fmt.Errorf("read the administrator's kubeconfig: %w", err)
	}
	cfg.Host, cfg.QPS, cfg.UserAgent, cfg.Timeout = server, -1, "jeroboam-backup", time.Minute
	kinds, missing, err := kindsOf(cfg)
	if err != nil {
		return 0, []string{"objects: " + err.Error()}, nil //nolint:nilerr // told in the manifest: the snapshot is worth more than nothing
	}
	c, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return 0, nil, fmt.Errorf("connect to the API server: %w", err)
	}
	e := export{client: c, add: add, namespaces: map[string]bool{v1alpha1.Namespace: true}, missing: missing}
	for _, k := range kinds {
		if err := e.list(ctx, k, ""); err != nil {
			return e.count, e.missing, err
		}
	}
	for _, ns := range slices.Sorted(maps.Keys(e.namespaces)) {
		for _, resource := range []string{"secrets", "configmaps"} {
			if err := e.list(ctx, schema.GroupVersionResource{Version: "v1", Resource: resource}, ns); err != nil {
				return e.count, e.missing, err
			}
		}
	}
	return e.count, e.missing, nil
}

// kindsOf asks the API server what there is of the exported groups, each in its preferred version.
func kindsOf(cfg *rest.Config) ([]schema.GroupVersionResource, []string, error) {
	d, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, nil, err
	}
	groups, err := d.ServerGroups()
	if err != nil {
		return nil, nil, err
	}
	var out []schema.GroupVersionResource
	var missing []string
	for _, g := range groups.Groups {
		if !exported(g.Name) {
			continue
		}
		list, err := d.ServerResourcesForGroupVersion(g.PreferredVersion.GroupVersion)
		if err != nil {
			missing = append(missing, g.Name+": "+err.Error())
			continue
		}
		gv := schema.GroupVersion{Group: g.Name, Version: g.PreferredVersion.Version}
		for _, r := range list.APIResources {
			if slices.Contains(r.Verbs, "list") && !strings.Contains(r.Name, "/") {
				out = append(out, gv.WithResource(r.Name))
			}
		}
	}
	return out, missing, nil
}

type export struct {
	client     dynamic.Interface
	add        func(name string, text []byte) error
	namespaces map[string]bool
	missing    []string
	count      int
}

// list adds all objects of a kind; namespace "" is all of them.
func (e *export) list(ctx context.Context, k schema.GroupVersionResource, namespace string) error {
	var of dynamic.ResourceInterface = e.client.Resource(k)
	dir := objectsDir + k.Resource + "." + k.Group
	if namespace != "" {
		of, dir = e.client.Resource(k).Namespace(namespace), objectsDir+namespace+"/"+k.Resource
	}
	opts := metav1.ListOptions{Limit: pageSize}
	for page := 1; ; page++ {
		list, err := of.List(ctx, opts)
		if err != nil {
			e.missing = append(e.missing, strings.TrimPrefix(dir, objectsDir)+": "+err.Error())
			return ctx.Err()
		}
		if len(list.Items) > 0 {
			text, err := e.text(list.Items, namespace == "")
			if err == nil {
				err = e.add(fmt.Sprintf("%s/%04d.yaml", dir, page), text)
			}
			if err != nil {
				return err
			}
		}
		if opts.Continue = list.GetContinue(); opts.Continue == "" {
			return nil
		}
	}
}

// text is a page as YAML documents.
func (e *export) text(items []unstructured.Unstructured, note bool) ([]byte, error) {
	var out bytes.Buffer
	for _, u := range items {
		if ns := u.GetNamespace(); note && ns != "" {
			e.namespaces[ns] = true
		}
		u.SetManagedFields(nil)
		text, err := yaml.Marshal(u.Object)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("write %s %s", u.GetKind(), u.GetName()), err)
		}
		out.WriteString("---\n")
		out.Write(text)
		e.count++
	}
	return out.Bytes(), nil
}
