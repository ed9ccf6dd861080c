package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/endpoints/discovery"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

// catalog answers discovery for clusters with certain custom resources.
type catalog struct {
	root   http.Handler            // /apis
	groups map[string]http.Handler // /apis/group, /apis/group/version
}

// catalog is nil for a cluster without custom resources.
func (c *customResources) catalog(set *definitions) (*catalog, error) {
	if len(set.byName) == 0 {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if made := c.catalogs[set.id]; made != nil {
		return made, nil
	}
	made, err := c.newCatalog(set)
	if err != nil {
		return nil, fmt.Errorf("list what can be asked for: %w", err)
	}
	c.catalogs[set.id] = made
	return made, nil
}

func (c *customResources) newCatalog(set *definitions) (*catalog, error) {
	native, err := c.native()
	if err != nil {
		return nil, err
	}
	generic := c.server.generic
	root := discovery.NewRootAPIsHandler(discovery.DefaultAddresses{DefaultAddress: generic.ExternalAddress}, legacyscheme.Codecs)
	groups, err := generic.DiscoveryGroupManager.Groups(context.Background(), httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/apis", nil))
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		root.AddGroup(g)
	}
	all := aggregated.NewResourceManager("apis")
	all.SetGroups(native)
	made := &catalog{groups: map[string]http.Handler{}}
	for name, g := range customGroups(set) {
		root.AddGroup(g.group())
		made.groups["/apis/"+name] = discovery.NewAPIGroupHandler(apiextensionsapiserver.Codecs, g.group())
		for _, v := range g.versions() {
			gv, crds := schema.GroupVersion{Group: name, Version: v}, g[v]
			made.groups["/apis/"+name+"/"+v] = discovery.NewAPIVersionHandler(apiextensionsapiserver.Codecs, gv,
				discovery.APIResourceListerFunc(func() []metav1.APIResource { return resourcesOf(gv, crds) }))
			all.AddGroupVersion(name, apidiscoveryv2.APIVersionDiscovery{
				Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent, Version: v, Resources: aggregatedResourcesOf(gv, crds),
			})
			all.SetGroupVersionPriority(metav1.GroupVersion(gv), 1000, 100) // apiextensions' for custom resources
		}
	}
	made.root = aggregated.WrapAggregatedDiscoveryToHandler(root, all, nil)
	return made, nil
}

// native are the groups that every cluster has.
func (c *customResources) native() ([]apidiscoveryv2.APIGroupDiscovery, error) {
	r, w := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/apis", nil), httptest.NewRecorder()
	r.Header.Set("Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
	c.server.generic.AggregatedDiscoveryGroupManager.ServeHTTP(w, r)
	list := &apidiscoveryv2.APIGroupDiscoveryList{}
	if err := json.Unmarshal(w.Body.Bytes(), list); err != nil || w.Code != http.StatusOK {
		return nil, fmt.Errorf("the native groups: status %d: %w", w.Code, err)
	}
	return list.Items, nil
}

// serve says whether it answered.
func (c *catalog) serve(w http.ResponseWriter, r *http.Request) bool {
	path := strings.TrimSuffix(r.URL.Path, "/")
	handler := c.groups[path]
	if path == "/apis" {
		handler = c.root
	}
	if handler == nil {
		return false
	}
	handler.ServeHTTP(w, r)
	return true
}

// customGroup has the definitions that are served in each version.
type customGroup map[string][]*apiextensionsv1.CustomResourceDefinition

func customGroups(set *definitions) map[string]customGroup {
	all := map[string]customGroup{}
	for _, d := range set.byName {
		for _, v := range d.crd.Spec.Versions {
			if !v.Served {
				continue
			}
			name := d.crd.Spec.Group
			if all[name] == nil {
				all[name] = customGroup{}
			}
			all[name][v.Name] = append(all[name][v.Name], d.crd)
		}
	}
	for _, g := range all {
		for _, crds := range g {
			slices.SortFunc(crds, func(a, b *apiextensionsv1.CustomResourceDefinition) int { return strings.Compare(a.Name, b.Name) })
		}
	}
	return all
}

// versions begin with the one that is preferred.
func (g customGroup) versions() []string {
	var all []string
	for v := range g {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b string) int { return version.CompareKubeAwareVersionStrings(b, a) })
	return all
}

func (g customGroup) group() metav1.APIGroup {
	group := metav1.APIGroup{}
	for _, v := range g.versions() {
		group.Name = g[v][0].Spec.Group
		group.Versions = append(group.Versions, metav1.GroupVersionForDiscovery{GroupVersion: group.Name + "/" + v, Version: v})
	}
	group.PreferredVersion = group.Versions[0]
	return group
}

// What can be done with custom resources, and with their status and scale.
func customVerbs() metav1.Verbs {
	return metav1.Verbs{"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"}
}

func subresourceVerbs() metav1.Verbs { return metav1.Verbs{"get", "patch", "update"} }

// subresources have the kinds of a definition's subresources.
func subresources(gv schema.GroupVersion, crd *apiextensionsv1.CustomResourceDefinition) map[string]schema.GroupVersionKind {
	all := map[string]schema.GroupVersionKind{}
	for _, v := range crd.Spec.Versions {
		if v.Name != gv.Version || v.Subresources == nil {
			continue
		}
		if v.Subresources.Status != nil {
			all["status"] = gv.WithKind(crd.Spec.Names.Kind)
		}
		if v.Subresources.Scale != nil {
			all["scale"] = schema.GroupVersionKind{Group: "autoscaling", Version: "v1", Kind: "Scale"}
		}
	}
	return all
}

func resourcesOf(gv schema.GroupVersion, crds []*apiextensionsv1.CustomResourceDefinition) []metav1.APIResource {
	var all []metav1.APIResource
	for _, crd := range crds {
		names, namespaced := crd.Spec.Names, crd.Spec.Scope == apiextensionsv1.NamespaceScoped
		all = append(all, metav1.APIResource{
			Name: names.Plural, SingularName: names.Singular, Namespaced: namespaced, Kind: names.Kind,
			Verbs: customVerbs(), ShortNames: names.ShortNames, Categories: names.Categories,
		})
		for sub, kind := range subresources(gv, crd) {
			r := metav1.APIResource{Name: names.Plural + "/" + sub, Namespaced: namespaced, Kind: kind.Kind, Verbs: subresourceVerbs()}
			if sub == "scale" {
				r.Group, r.Version = kind.Group, kind.Version
			}
			all = append(all, r)
		}
	}
	return all
}

func aggregatedResourcesOf(gv schema.GroupVersion, crds []*apiextensionsv1.CustomResourceDefinition) []apidiscoveryv2.APIResourceDiscovery {
	var all []apidiscoveryv2.APIResourceDiscovery
	for _, crd := range crds {
		names, scope := crd.Spec.Names, apidiscoveryv2.ScopeCluster
		if crd.Spec.Scope == apiextensionsv1.NamespaceScoped {
			scope = apidiscoveryv2.ScopeNamespace
		}
		r := apidiscoveryv2.APIResourceDiscovery{
			Resource: names.Plural, SingularResource: names.Singular, Scope: scope,
			ResponseKind: &metav1.GroupVersionKind{Group: gv.Group, Version: gv.Version, Kind: names.Kind},
			Verbs:        customVerbs(), ShortNames: names.ShortNames, Categories: names.Categories,
		}
		for sub, kind := range subresources(gv, crd) {
			r.Subresources = append(r.Subresources, apidiscoveryv2.APISubresourceDiscovery{
				Subresource: sub, ResponseKind: &metav1.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind}, Verbs: subresourceVerbs(),
			})
		}
		all = append(all, r)
	}
	return all
}
