package workload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	informers "k8s.io/apiextensions-apiserver/pkg/client/informers/externalversions/apiextensions/v1"
	listers "k8s.io/apiextensions-apiserver/pkg/client/listers/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// customResources serves the custom resources of all clusters. A definition is known by what it says: clusters that
// have the same share one handler, whose storage goes by the request's cluster like every other.
type customResources struct {
	server *Server
	models map[string]*spec.Schema // what every object has, for server-side apply

	mu       sync.Mutex
	sets     map[string]*definitions // of each cluster that was asked for, until its definitions change
	changes  map[string]int          // how often they did
	known    map[string]*definition  // by what they say
	catalogs map[string]*catalog     // discovery, by all that a cluster has
}

func newCustomResources(s *Server, models map[string]*spec.Schema) (*customResources, error) {
	return &customResources{
		server: s, models: models, sets: map[string]*definitions{}, changes: map[string]int{}, known: map[string]*definition{}, catalogs: map[string]*catalog{},
	}, nil
}

// definitions are those of one cluster.
type definitions struct {
	byName map[string]*definition
	id     string // all that they say
	ending []string
}

// definition is a custom resource definition as any cluster may have it.
type definition struct {
	crd     *apiextensionsv1.CustomResourceDefinition
	handler http.Handler
}

// of is what the cluster of a request has.
func (c *customResources) of(ctx context.Context) (*definitions, error) {
	cluster, err := clusterOf(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	set, change := c.sets[cluster], c.changes[cluster]
	c.mu.Unlock()
	if set != nil {
		return set, nil
	}
	list, err := c.server.registries.crds.List(ctx, &internalversion.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the custom resource definitions of cluster %s: %w", cluster, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if set, err = c.intern(list.(*apiextensions.CustomResourceDefinitionList)); err != nil {
		return nil, err
	}
	if c.changes[cluster] == change {
		c.sets[cluster] = set
	}
	return set, nil
}

// forget is called when a cluster's definitions change, or the cluster goes.
func (c *customResources) forget(cluster string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes[cluster]++
	delete(c.sets, cluster)
	used, ids := map[*definition]bool{}, map[string]bool{}
	for _, set := range c.sets {
		ids[set.id] = true
		for _, d := range set.byName {
			used[d] = true
		}
	}
	for key, d := range c.known {
		if !used[d] {
			delete(c.known, key)
		}
	}
	for id := range c.catalogs {
		if !ids[id] {
			delete(c.catalogs, id)
		}
	}
}

func (c *customResources) intern(list *apiextensions.CustomResourceDefinitionList) (*definitions, error) {
	set, all := &definitions{byName: map[string]*definition{}}, sha256.New()
	for i := range list.Items {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := apiextensionsapiserver.Scheme.Convert(&list.Items[i], crd, nil); err != nil {
			return nil, fmt.Errorf("read custom resource definition %s: %w", list.Items[i].Name, err)
		}
		says, err := json.Marshal(crd.Spec)
		if err != nil {
			return nil, fmt.Errorf("read custom resource definition %s: %w", crd.Name, err)
		}
		sum := sha256.Sum256(append([]byte(crd.Name+"\n"), says...))
		key := hex.EncodeToString(sum[:])
		_, _ = all.Write(sum[:])
		if c.known[key] == nil {
			if c.known[key], err = c.define(crd, key); err != nil {
				return nil, err
			}
		}
		set.byName[crd.Name] = c.known[key]
		if list.Items[i].DeletionTimestamp != nil {
			set.ending = append(set.ending, crd.Name)
		}
	}
	set.id = hex.EncodeToString(all.Sum(nil))
	return set, nil
}

// define makes the handler that apiextensions has for all definitions, for this one. What is costly about it is made
// with the first request for such a resource.
func (c *customResources) define(crd *apiextensionsv1.CustomResourceDefinition, key string) (*definition, error) {
	crd.ObjectMeta = metav1.ObjectMeta{Name: crd.Name, UID: types.UID(key)}
	establish(crd)
	handler, err := apiextensionsapiserver.NewCustomResourceDefinitionHandler(nil, nil, newLonely(crd), http.NotFoundHandler(),
		encoded{c.server.backend, unstructured.UnstructuredJSONScheme}, namespaceLifecycle{c.server.registries},
		nil, nil, nil, 1, authorizerfactory.NewAlwaysAllowAuthorizer(), requestTimeout, minWatch, c.models, maxBody)
	if err != nil {
		return nil, fmt.Errorf("serve custom resource %s: %w", crd.Name, err)
	}
	return &definition{crd: crd, handler: handler}, nil
}

// kube-apiserver's defaults.
const (
	requestTimeout = time.Minute
	minWatch       = 30 * time.Minute
	maxBody        = 3 << 20
)

// lonely is an informer of one definition that never changes.
type lonely struct {
	informer cache.SharedIndexInformer
	indexer  cache.Indexer
}

var _ informers.CustomResourceDefinitionInformer = lonely{}

func newLonely(crd *apiextensionsv1.CustomResourceDefinition) lonely {
	l := lonely{cache.NewSharedIndexInformer(&cache.ListWatch{}, crd, 0, nil), cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil)}
	_ = l.indexer.Add(crd) // fails for objects without a name
	return l
}

// Informer implements informers.CustomResourceDefinitionInformer.
func (l lonely) Informer() cache.SharedIndexInformer { return l.informer }

// Lister implements informers.CustomResourceDefinitionInformer.
func (l lonely) Lister() listers.CustomResourceDefinitionLister {
	return listers.NewCustomResourceDefinitionLister(l.indexer)
}

// establish says that a definition is served, under the names it asks for. kube-apiserver's controllers say it a moment
// after the definition was stored, and look for others with the same names.
func establish(crd *apiextensionsv1.CustomResourceDefinition) {
	crd.Status.AcceptedNames = crd.Spec.Names
	now := metav1.Now()
	crd.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{
		{Type: apiextensionsv1.NamesAccepted, Status: apiextensionsv1.ConditionTrue, Reason: "NoConflicts", Message: "no conflicts found", LastTransitionTime: now},
		{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue, Reason: "InitialNamesAccepted", Message: "the initial names have been accepted", LastTransitionTime: now},
	}
}

// established makes new definitions served at once.
type established struct{ rest.RESTCreateStrategy }

// PrepareForCreate implements rest.RESTCreateStrategy.
func (e established) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	e.RESTCreateStrategy.PrepareForCreate(ctx, obj)
	crd := obj.(*apiextensions.CustomResourceDefinition)
	crd.Status.AcceptedNames = crd.Spec.Names
	for _, c := range []apiextensions.CustomResourceDefinitionCondition{
		{Type: apiextensions.NamesAccepted, Status: apiextensions.ConditionTrue, Reason: "NoConflicts", Message: "no conflicts found"},
		{Type: apiextensions.Established, Status: apiextensions.ConditionTrue, Reason: "InitialNamesAccepted", Message: "the initial names have been accepted"},
	} {
		apiextensions.SetCRDCondition(crd, c)
	}
}

// renamed accepts changed names at once.
type renamed struct{ rest.RESTUpdateStrategy }

// PrepareForUpdate implements rest.RESTUpdateStrategy.
func (r renamed) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	r.RESTUpdateStrategy.PrepareForUpdate(ctx, obj, old)
	crd := obj.(*apiextensions.CustomResourceDefinition)
	crd.Status.AcceptedNames = crd.Spec.Names
}
